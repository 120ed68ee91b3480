/** Sets of completion indexes as a Job's status writes them: `1,3-5,7`. Source: the API reference, batch/v1 JobStatus `completedIndexes`. */

/** First and last index of a run, both included. */
export type Interval = readonly [first: number, last: number];
/** In order; no two touch. */
export type Indexes = readonly Interval[];

/** Reads a list, leaving out what is no number, out of order or not below `completions`. */
export function parseIndexes(text: string | undefined, completions: number): Indexes {
  const found: Interval[] = [];
  for (const part of (text ?? '').split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part);
    if (!match) continue;
    const first = Number(match[1]);
    const last = Math.min(Number(match[2] ?? match[1]), completions - 1);
    if (first <= last && first > (found.at(-1)?.[1] ?? -1)) found.push([first, last]);
  }
  return joined(found);
}
function joined(sorted: readonly Interval[]): Interval[] {
  const out: [number, number][] = [];
  for (const [first, last] of sorted) {
    const before = out.at(-1);
    if (before && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else out.push([first, last]);
  }
  return out;
}
/** Two neighbours are listed, three and more become a range. */
export function formatIndexes(indexes: Indexes): string {
  return indexes.map(([first, last]) => (first === last ? `${first}` : `${first}${last === first + 1 ? ',' : '-'}${last}`)).join(',');
}
export function countIndexes(indexes: Indexes): number {
  return indexes.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}
export function hasIndex(indexes: Indexes, index: number): boolean {
  return indexes.some(([first, last]) => first <= index && index <= last);
}
/** The union with single indexes. */
export function withIndexes(indexes: Indexes, more: Iterable<number>): Indexes {
  return union(indexes, Array.from(more, (i): Interval => [i, i]));
}
export function union(a: Indexes, b: Indexes): Indexes {
  return joined([...a, ...b].toSorted((x, y) => x[0] - y[0]));
}
/** How many indexes two sets share. */
export function countCommon(a: Indexes, b: Indexes): number {
  let common = 0;
  for (const [first, last] of a) for (const other of b) common += Math.max(0, Math.min(last, other[1]) - Math.max(first, other[0]) + 1);
  return common;
}
/** The first `count` indexes below `completions` that are not in the set. */
export function firstMissing(indexes: Indexes, count: number, completions: number): number[] {
  const found: number[] = [];
  let candidate = 0;
  for (const [first, last] of [...indexes, [completions, completions] as const]) {
    for (; candidate < first && candidate < completions && found.length < count; candidate++) found.push(candidate);
    candidate = Math.max(candidate, last + 1);
  }
  return found;
}
