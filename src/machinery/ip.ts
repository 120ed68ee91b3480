/**
 * IP addresses and CIDRs: parsing, canonical text (RFC 5952) and upstream's validation messages (`util/validation`, ip.go).
 * Functions that validate return messages, none where the value is fine.
 */

import { goQuote } from './go-text.ts';

/** An address as a number of 32 or 128 bits. IPv4-mapped IPv6 addresses become version 4, as Go's `net.IP` treats them. */
export interface IPAddress {
  readonly version: 4 | 6;
  readonly bits: bigint;
}
export interface CIDR {
  /** The address as written, not masked. */
  readonly address: IPAddress;
  readonly prefixLength: number;
}
interface Parsed extends IPAddress {
  readonly leadingZeros: boolean;
  readonly mapped: boolean;
}

const MAPPED = 0xffffn << 32n;

function parseV4(text: string): { bits: bigint; leadingZeros: boolean } | undefined {
  const parts = text.split('.');
  if (parts.length !== 4 || !parts.every((p) => /^[0-9]+$/.test(p) && p.length <= 16 && Number(p) <= 255)) return undefined;
  const bits = parts.reduce((sum, p) => (sum << 8n) | BigInt(Number(p)), 0n);
  return { bits, leadingZeros: parts.some((p) => p.length > 1 && p.startsWith('0')) };
}

function parseV6(text: string): { bits: bigint; leadingZeros: boolean } | undefined {
  let body = text;
  let leadingZeros = false;
  const dotted = /^(.*:)([0-9]+\.[0-9.]+)$/.exec(text);
  if (dotted) {
    const tail = parseV4(dotted[2]!);
    if (!tail) return undefined;
    leadingZeros = tail.leadingZeros;
    body = `${dotted[1]}${(tail.bits >> 16n).toString(16)}:${(tail.bits & 0xffffn).toString(16)}`;
  }
  const halves = body.split('::');
  if (halves.length > 2) return undefined;
  const groups = halves.map((half) => (half === '' ? [] : half.split(':')));
  if (!groups.flat().every((g) => /^[0-9a-fA-F]{1,4}$/.test(g))) return undefined;
  const given = groups.flat().length;
  if (halves.length === 1 ? given !== 8 : given > 7) return undefined;
  const all = halves.length === 1 ? groups[0]! : [...groups[0]!, ...Array<string>(8 - given).fill('0'), ...groups[1]!];
  return { bits: all.reduce((sum, g) => (sum << 16n) | BigInt(`0x${g}`), 0n), leadingZeros };
}

function parseSloppy(text: string): Parsed | undefined {
  if (!text.includes(':')) {
    const v4 = parseV4(text);
    return v4 && { version: 4, mapped: false, ...v4 };
  }
  const v6 = parseV6(text);
  if (!v6) return undefined;
  if (v6.bits >> 32n === MAPPED >> 32n) return { version: 4, bits: v6.bits & 0xffffffffn, mapped: true, leadingZeros: v6.leadingZeros };
  return { version: 6, mapped: false, ...v6 };
}

/** The address in a text; leading zeros in IPv4 are let through. Undefined where it is none. */
export function parseIP(text: string): IPAddress | undefined {
  const parsed = parseSloppy(text);
  return parsed && { version: parsed.version, bits: parsed.bits };
}

/** Canonical text: dotted decimal, or RFC 5952. */
export function ipText(ip: IPAddress): string {
  if (ip.version === 4) return [24n, 16n, 8n, 0n].map((shift) => (ip.bits >> shift) & 0xffn).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => Number((ip.bits >> BigInt(112 - 16 * i)) & 0xffffn));
  let best = { start: -1, length: 1 };
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > best.length) best = { start: i, length: end - i };
  }
  const hex = (part: number[]): string => part.map((g) => g.toString(16)).join(':');
  if (best.start < 0) return hex(groups);
  return `${hex(groups.slice(0, best.start))}::${hex(groups.slice(best.start + best.length))}`;
}

const width = (ip: IPAddress): number => (ip.version === 4 ? 32 : 128);
/** The address with everything beyond the prefix cleared. */
export function maskIP(ip: IPAddress, prefixLength: number): IPAddress {
  const shift = BigInt(width(ip) - prefixLength);
  return { version: ip.version, bits: (ip.bits >> shift) << shift };
}

interface ParsedCIDR extends CIDR {
  readonly parsed: Parsed;
  readonly prefixZeros: boolean;
}
function parseSloppyCIDR(text: string): ParsedCIDR | undefined {
  const slash = text.indexOf('/');
  const parsed = slash < 0 ? undefined : parseSloppy(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (!parsed || !/^[0-9]{1,16}$/.test(length)) return undefined;
  const bits = parsed.mapped ? 128 : width(parsed);
  if (Number(length) > bits) return undefined;
  // A mapped address keeps its last 32 bits, so that its prefix shrinks by the 96 that are dropped.
  const prefixLength = parsed.mapped ? Math.max(Number(length) - 96, 0) : Number(length);
  return { address: { version: parsed.version, bits: parsed.bits }, prefixLength, parsed, prefixZeros: length.length > 1 && length.startsWith('0') };
}

/** The CIDR in a text, leading zeros let through. Undefined where it is none. */
export function parseCIDR(text: string): CIDR | undefined {
  const cidr = parseSloppyCIDR(text);
  return cidr && { address: cidr.address, prefixLength: cidr.prefixLength };
}
/** Canonical text of the subnet: host bits cleared. */
export function cidrText(cidr: CIDR): string {
  return `${ipText(maskIP(cidr.address, cidr.prefixLength))}/${cidr.prefixLength}`;
}
export function cidrContains(cidr: CIDR, ip: IPAddress): boolean {
  return cidr.address.version === ip.version && maskIP(ip, cidr.prefixLength).bits === maskIP(cidr.address, cidr.prefixLength).bits;
}

/** For fields that took addresses before they were checked strictly: any form but leading zeros and IPv4-mapped IPv6. */
export function isValidIPForLegacyField(value: string, validOld: readonly string[] = []): string[] {
  if (validOld.includes(value)) return [];
  const ip = parseSloppy(value);
  if (!ip) return ['must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'];
  const out: string[] = [];
  if (ip.leadingZeros) out.push('must not have leading 0s');
  if (ip.mapped && !ip.leadingZeros) out.push('must not be an IPv4-mapped IPv6 address');
  return out;
}
/** For newer fields: the canonical form only. */
export function isValidIP(value: string): string[] {
  const out = isValidIPForLegacyField(value);
  if (out.length) return out;
  const canonical = ipText(parseIP(value)!);
  return value === canonical ? [] : [`must be in canonical form (${goQuote(canonical)})`];
}

export function isValidCIDRForLegacyField(value: string, validOld: readonly string[] = []): string[] {
  if (validOld.includes(value)) return [];
  const cidr = parseSloppyCIDR(value);
  if (!cidr) return ['must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'];
  if (cidr.parsed.leadingZeros || cidr.prefixZeros) return ['must not have leading 0s in IP or prefix length'];
  if (cidr.parsed.mapped) return ['must not have an IPv4-mapped IPv6 address'];
  return maskIP(cidr.address, cidr.prefixLength).bits === cidr.address.bits ? [] : ['must not have bits set beyond the prefix length'];
}
export function isValidCIDR(value: string): string[] {
  const out = isValidCIDRForLegacyField(value);
  if (out.length) return out;
  const canonical = cidrText(parseCIDR(value)!);
  return value === canonical ? [] : [`must be in canonical form (${goQuote(canonical)})`];
}
/** An address with the length of its subnet: `192.168.1.5/24`. */
export function isValidInterfaceAddress(value: string): string[] {
  const cidr = parseSloppyCIDR(value);
  if (!cidr) return ['must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)'];
  const canonical = `${ipText(cidr.address)}/${cidr.prefixLength}`;
  return value === canonical ? [] : [`must be in canonical form (${goQuote(canonical)})`];
}

/** Warnings for an address that passed {@link isValidIPForLegacyField} and is not in the usual form. */
export function warningsForIP(path: { toString(): string }, value: string): string[] {
  const ip = parseSloppy(value);
  if (!ip) return [];
  const canonical = ipText(ip);
  if (ip.leadingZeros || ip.mapped) return [`${path}: non-standard IP address ${goQuote(value)} is invalid: use ${goQuote(canonical)}`];
  return ip.version === 6 && canonical !== value ? [`${path}: IPv6 address ${goQuote(value)} should be in RFC 5952 canonical format (${goQuote(canonical)})`] : [];
}
/** Warnings for a CIDR that passed {@link isValidCIDRForLegacyField} and is not in the usual form. */
export function warningsForCIDR(path: { toString(): string }, value: string): string[] {
  const cidr = parseSloppyCIDR(value);
  if (!cidr) return [];
  const out: string[] = [];
  const subnet = cidrText(cidr);
  if (maskIP(cidr.address, cidr.prefixLength).bits !== cidr.address.bits) {
    out.push(`${path}: CIDR value ${goQuote(value)} is ambiguous in this context (should be ${goQuote(subnet)} or ${goQuote(`${ipText(cidr.address)}/${width(cidr.address)}`)}?)`);
  }
  if (cidr.parsed.leadingZeros || cidr.prefixZeros || cidr.parsed.mapped) out.push(`${path}: non-standard CIDR value ${goQuote(value)} is invalid: use ${goQuote(subnet)}`);
  if (out.length === 0 && cidr.address.version === 6 && subnet !== value) out.push(`${path}: IPv6 CIDR value ${goQuote(value)} should be in RFC 5952 canonical format (${goQuote(subnet)})`);
  return out;
}
