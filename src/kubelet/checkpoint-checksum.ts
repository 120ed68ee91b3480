/**
 * Checksums of the kubelet's checkpoint files, so that files of upstream's kubelet can be taken up, and ours by it. It hashes, by 32-bit FNV-1a, its
 * data written out as text: fields of a structure with the names of their types, maps in the order of their keys.
 */

/** A structure's fields: name, name of the type, value as text. */
export type Fields = readonly (readonly [name: string, type: string, value: string])[];

export function structText(fields: Fields): string {
  return `{${fields.map(([name, type, value]) => `${name}:(${type})${value}`).join(' ')}}`;
}
export function listText(items: readonly (string | number)[]): string {
  return `[${items.join(' ')}]`;
}
/** Numbers that stand for numbers are ordered as such, all else as text. */
export function mapText<T>(map: Readonly<Record<string, T>>, text: (value: T) => string): string {
  return `map[${sortedEntries(map).map(([key, value]) => `${key}:${text(value)}`).join(' ')}]`;
}
export function sortedEntries<T>(map: Readonly<Record<string, T>>): [string, T][] {
  return Object.entries(map).toSorted(([a], [b]) => (/^-?\d+$/.test(a) && /^-?\d+$/.test(b) ? Number(a) - Number(b) : a < b ? -1 : 1));
}
/** In the order in which upstream's kubelet writes maps. */
export function sorted<T, U>(map: Readonly<Record<string, T>>, of: (value: T) => U): Record<string, U> {
  return Object.fromEntries(sortedEntries(map).map(([key, value]) => [key, of(value)]));
}
export function checksum(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text, 'utf8')) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash;
}
/** Throws an Error where data is not what was written; files of before there were checksums have 0. */
export function verifyChecksum(written: number, actual: number): void {
  if (written !== 0 && written !== actual) throw new Error('checkpoint is corrupted');
}
