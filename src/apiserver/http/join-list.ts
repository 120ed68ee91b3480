/** A list's JSON as the concatenation of its entries' bytes. */
import { setImmediate } from 'node:timers/promises';
import type { CacheEntry } from '../registry/object-cache.ts';

/** Longer lists are put together in several turns of the event loop, and leave no bytes behind: they would push out all others'. */
export const LONG_LIST = 5_000;
const ENTRIES_A_TURN = 1_000;
const COMMA = 0x2c;
const OPEN = 0x7b;
const END = Buffer.from(']}\n');
const NOTHING = Buffer.alloc(0);

/** The list without its items: `{"kind":…,"metadata":{…}`, and what stands in front of the first. */
function startOf(head: object): Buffer {
  return Buffer.from(`${JSON.stringify(head).slice(0, -1)},"items":[`);
}

/** `prefix`: what entries begin with and items leave out; empty: nothing. One allocation, one copy. */
export function joinList(head: object, entries: readonly CacheEntry[], prefix: Buffer): Buffer {
  return joinLines(startOf(head), entries.map((e) => e.line), prefix, END);
}

/** The same for a list of any length. Rejects with the signal's reason when it aborts between two turns. */
export async function joinLongList(head: object, entries: readonly CacheEntry[], prefix: Buffer, signal: AbortSignal): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let from = 0; from === 0 || from < entries.length; from += ENTRIES_A_TURN) {
    if (from > 0) await setImmediate();
    signal.throwIfAborted();
    const to = Math.min(from + ENTRIES_A_TURN, entries.length);
    const lines = entries.slice(from, to).map((e) => e.passingLine);
    parts.push(joinLines(from === 0 ? startOf(head) : Buffer.from(','), lines, prefix, to === entries.length ? END : NOTHING));
  }
  return Buffer.concat(parts);
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
