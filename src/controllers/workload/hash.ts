/** Hashes of Pod templates and revisions: short texts that are safe in names and labels. */
import { safeEncodeString } from '#machinery/names.ts';

/** FNV-1a, 32 bits. */
export function fnv32a(...parts: readonly (string | Uint8Array)[]): number {
  let hash = 0x811c9dc5;
  for (const part of parts) for (const byte of typeof part === 'string' ? Buffer.from(part) : part) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}
/** FNV-1, 32 bits. */
export function fnv32(...parts: readonly string[]): number {
  let hash = 0x811c9dc5;
  for (const part of parts) for (const byte of Buffer.from(part)) hash = (Math.imul(hash, 0x01000193) ^ byte) >>> 0;
  return hash;
}
/** JSON with sorted keys and nothing absent: equal values give equal texts. Escapes as Go's encoder does. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, v: unknown) => {
    if (v === null || typeof v !== 'object' || Array.isArray(v)) return v;
    return Object.fromEntries(Object.entries(v).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }).replaceAll(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
/** The hash of a Pod template; `collisionCount` gives another one when a different template has taken the name. */
export function templateHash(template: unknown, collisionCount: number | undefined): string {
  const count = new Uint8Array(8);
  new DataView(count.buffer).setUint32(0, collisionCount ?? 0, true);
  return safeEncodeString(String(collisionCount === undefined ? fnv32a(canonicalJson(template)) : fnv32a(canonicalJson(template), count)));
}
