/** A list's JSON as the concatenation of its entries' bytes. */
import { setImmediate } from 'node:timers/promises';
import type { CacheEntry } from '../registry/object-cache.ts';

/** Longer lists are sent while they are put together, and leave no bytes behind: they would push out all others'. */
export const LONG_LIST = 5_000;
/** Lists are put together so much at a time, with a turn of the event loop for everybody else in between: about a millisecond. */
export const ENTRIES_A_TURN = 250;
const BYTES_A_TURN = 256 * 1024;
const COMMA = 0x2c;
const OPEN = 0x7b;
const NOTHING = Buffer.alloc(0);

/** The list's text around its items. */
export interface ListFrame {
  readonly start: Buffer;
  readonly end: Buffer;
}
/** `sorted`: as all of a custom resource is printed, with its keys in order; else `items` is the last of them. */
export function listFrame(head: { readonly kind: string; readonly apiVersion: string; readonly metadata: object }, sorted: boolean): ListFrame {
  const { kind, apiVersion, metadata } = head;
  const text = (value: object): string => JSON.stringify(value).slice(1, -1);
  if (!sorted) return { start: Buffer.from(`{${text({ kind, apiVersion, metadata })},"items":[`), end: Buffer.from(']}\n') };
  const inOrder = Object.fromEntries(Object.entries(metadata).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  return { start: Buffer.from(`{${text({ apiVersion })},"items":[`), end: Buffer.from(`],${text({ kind, metadata: inOrder })}}\n`) };
}

/** `prefix`: what entries begin with and items leave out; empty: nothing. One allocation, one copy. */
export function joinList(frame: ListFrame, entries: readonly CacheEntry[], prefix: Buffer): Buffer {
  return joinLines(frame.start, entries.map((e) => e.line), prefix, frame.end);
}

/** The same in parts, one in each turn. `keep`: the entries keep their lines. Throws the signal's reason when it aborts between two turns. */
export async function* listParts(frame: ListFrame, entries: readonly CacheEntry[], prefix: Buffer, signal: AbortSignal, keep = false): AsyncGenerator<Buffer> {
  for (let from = 0; from === 0 || from < entries.length;) {
    if (from > 0) await setImmediate();
    signal.throwIfAborted();
    const before = from === 0 ? frame.start : Buffer.from(',');
    const to = endOfTurn(entries, from);
    const [part, next] = keep ? [joinLines(before, entries.slice(from, to).map((e) => e.line), prefix, NOTHING), to] : writeItems(before, entries, from, to, prefix);
    yield next === entries.length ? Buffer.concat([part, frame.end]) : part;
    if (next === 0) return;
    from = next;
  }
}
function endOfTurn(entries: readonly CacheEntry[], from: number): number {
  let bytes = 0;
  let to = from;
  while (to < entries.length && to - from < ENTRIES_A_TURN && bytes < BYTES_A_TURN) bytes += entries[to++]!.itemBytes;
  return to;
}
/** The items `from … to - 1` by as few copies as can be, and the number of the first that found no room. */
function writeItems(before: Buffer, entries: readonly CacheEntry[], from: number, to: number, prefix: Buffer): [part: Buffer, next: number] {
  let room = before.length;
  for (let i = from; i < to; i++) room += entries[i]!.itemBytes;
  const out = Buffer.allocUnsafeSlow(room);
  let at = before.copy(out, 0);
  for (let i = from; i < to; i++) {
    const behind = entries[i]!.writeItem(out, at, prefix);
    if (behind === undefined) {
      // Larger than it was in the store, or never there.
      if (i === from) return [joinLines(before, [entries[i]!.passingLine], prefix, NOTHING), from + 1];
      return [out.subarray(0, at - 1), i];
    }
    at = behind;
    // In the place of the line end.
    out[at - 1] = COMMA;
  }
  return [out.subarray(0, to > from ? at - 1 : at), to];
}

function joinLines(before: Buffer, lines: readonly Buffer[], prefix: Buffer, after: Buffer): Buffer {
  let size = before.length + after.length;
  for (const line of lines) size += line.length;
  const out = Buffer.allocUnsafeSlow(size);
  let at = before.copy(out, 0);
  for (const line of lines) {
    const skip = prefix.length > 0 && line.compare(prefix, 0, prefix.length, 0, prefix.length) === 0 ? prefix.length - 1 : 0;
    const begin = at;
    at += line.copy(out, at, skip);
    if (skip > 0) out[begin] = OPEN;
    // In the place of the line end.
    out[at - 1] = COMMA;
  }
  if (lines.length > 0) at -= 1;
  at += after.copy(out, at);
  return out.subarray(0, at);
}
