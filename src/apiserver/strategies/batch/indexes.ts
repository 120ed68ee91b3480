/** Lists of completion indexes: `1,3-5,7`. Source: the API reference, batch/v1 JobStatus `completedIndexes`. */

interface Interval {
  readonly first: number;
  readonly last: number;
}
export class IndexesError extends Error {}

function parseNumber(text: string, whole: string): number {
  if (!/^[+-]?\d+$/.test(text)) throw new IndexesError(`cannot convert string to integer for index: ${JSON.stringify(text)}`);
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new IndexesError(`cannot convert string to integer for index: ${JSON.stringify(whole)}`);
  return value;
}
function parseInterval(text: string, completions: number): Interval {
  const ends = text.split('-');
  if (ends.length > 2) throw new IndexesError(`the fragment ${JSON.stringify(text)} violates the requirement that an index interval can have at most two parts separated by '-'`);
  const first = parseNumber(ends[0]!, text);
  if (first >= completions) throw new IndexesError(`too large index: ${JSON.stringify(ends[0])}`);
  if (ends.length === 1) return { first, last: first };
  const last = parseNumber(ends[1]!, text);
  if (last >= completions) throw new IndexesError(`too large index: ${JSON.stringify(ends[1])}`);
  if (first >= last) throw new IndexesError(`non-increasing order, previous: ${first}, current: ${last}`);
  return { first, last };
}
/** The number of indexes in a list that is in order and below `completions`. Throws {@link IndexesError}. */
export function countIndexes(list: string, completions: number): number {
  if (list === '') return 0;
  let previous: number | undefined;
  let total = 0;
  for (const part of list.split(',')) {
    const { first, last } = parseInterval(part, completions);
    if (previous !== undefined && previous >= first) throw new IndexesError(`non-increasing order, previous: ${previous}, current: ${first}`);
    total += last - first + 1;
    previous = last;
  }
  return total;
}
/** The first index that two lists have in common; parts that are no intervals are passed over. */
export function overlap(a: string, b: string, completions: number): number | undefined {
  const intervals = (list: string) =>
    list.split(',').filter((part) => part !== '').flatMap((part) => {
      try {
        return [parseInterval(part, completions)];
      } catch {
        return [];
      }
    });
  const others = intervals(b);
  for (const own of intervals(a)) {
    const hit = others.find((other) => own.first <= other.last && other.first <= own.last);
    if (hit) return Math.max(own.first, hit.first);
  }
  return undefined;
}
