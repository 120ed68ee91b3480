/** Ranges of IPv4 addresses and of ports: what ipBlocks and lists of ports leave, without overlaps, as nft wants them. Pure. */
import { maskIP, parseCIDR, type CIDR } from '#machinery/ip.ts';
import type { IPBlock } from '#api/gen/networking-v1.ts';

/** Both ends belong to it. */
export interface Range {
  readonly from: number;
  readonly to: number;
}
/** Every IPv4 address. */
export const ANYWHERE: Range = { from: 0, to: 0xffff_ffff };

/** Sorted, without overlaps, neighbours joined. */
export function merged(ranges: readonly Range[]): Range[] {
  const out: Range[] = [];
  for (const range of ranges.toSorted((a, b) => a.from - b.from)) {
    const last = out.at(-1);
    if (last && range.from <= last.to + 1) out[out.length - 1] = { from: last.from, to: Math.max(last.to, range.to) };
    else out.push(range);
  }
  return out;
}
/** What is left of a range; `holes` as {@link merged} gives them. */
function without(range: Range, holes: readonly Range[]): Range[] {
  const out: Range[] = [];
  let from = range.from;
  for (const hole of holes) {
    if (hole.to < from || hole.from > range.to) continue;
    if (hole.from > from) out.push({ from, to: hole.from - 1 });
    from = hole.to + 1;
  }
  if (from <= range.to) out.push({ from, to: range.to });
  return out;
}
function rangeOf(text: string): Range[] {
  const cidr: CIDR | undefined = parseCIDR(text);
  if (cidr?.address.version !== 4) return [];
  const from = Number(maskIP(cidr.address, cidr.prefixLength).bits);
  return [{ from, to: from + 2 ** (32 - cidr.prefixLength) - 1 }];
}
/** Addresses that any of the blocks takes in: an exception holds for its own block alone. Blocks of IPv6 have none. */
export function rangesOf(blocks: readonly IPBlock[]): Range[] {
  return merged(blocks.flatMap(({ cidr, except = [] }) => rangeOf(cidr).flatMap((range) => without(range, merged(except.flatMap(rangeOf))))));
}
export function includes(ranges: readonly Range[], value: number): boolean {
  return ranges.some((r) => r.from <= value && value <= r.to);
}

/** The number of an address in dotted decimal; undefined where the text is none. */
export function ipv4Number(text: string): number | undefined {
  const parts = text.split('.').map(Number);
  return parts.length === 4 && parts.every((p) => Number.isInteger(p) && p >= 0 && p <= 255) ? parts.reduce((sum, p) => sum * 256 + p, 0) : undefined;
}
const dotted = (n: number): string => [24, 16, 8, 0].map((shift) => (n >>> shift) & 255).join('.');
const asSet = (parts: readonly string[]): string => (parts.length === 1 ? parts[0]! : `{ ${parts.join(', ')} }`);
/** The addresses as nft writes them, for one match. */
export function addressesText(ranges: readonly Range[]): string {
  return asSet(ranges.map((r) => (r.from === r.to ? dotted(r.from) : `${dotted(r.from)}-${dotted(r.to)}`)));
}
/** The ports as nft writes them, for one match. */
export function portsText(ranges: readonly Range[]): string {
  return asSet(ranges.map((r) => (r.from === r.to ? `${r.from}` : `${r.from}-${r.to}`)));
}
