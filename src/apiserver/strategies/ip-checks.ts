/** Addresses in fields, in the words of upstream's `util/validation` and `ValidateNonSpecialIP`. */
import { invalidValue, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { cidrContains, isValidCIDRForLegacyField, isValidIPForLegacyField, parseCIDR, parseIP } from '#machinery/ip.ts';
import { fromMessages } from './field-checks.ts';

export type IPFamily = 'IPv4' | 'IPv6';

/** The family of an address; undefined for what is none. */
export function familyOf(address: string): IPFamily | undefined {
  const ip = parseIP(address);
  return ip && (ip.version === 4 ? 'IPv4' : 'IPv6');
}
/** Fields that accept what Go's older parser took, leading zeros apart. */
export function ipErrors(address: string, path: FieldPath): FieldError[] {
  return fromMessages(path, address, isValidIPForLegacyField(address));
}
export function cidrErrors(text: string, path: FieldPath): FieldError[] {
  return fromMessages(path, text, isValidCIDRForLegacyField(text));
}

interface SpecialRange {
  readonly message: (address: string) => string;
  readonly ranges: readonly string[];
}
const SPECIAL: readonly SpecialRange[] = [
  { message: (ip) => `may not be unspecified (${ip})`, ranges: ['0.0.0.0/32', '::/128'] },
  { message: () => 'may not be in the loopback range (127.0.0.0/8, ::1/128)', ranges: ['127.0.0.0/8', '::1/128'] },
  { message: () => 'may not be in the link-local range (169.254.0.0/16, fe80::/10)', ranges: ['169.254.0.0/16', 'fe80::/10'] },
  { message: () => 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)', ranges: ['224.0.0.0/24', 'ff02::/16'] },
];
/** Addresses that no endpoint or external address can have: unspecified, loopback, link-local. */
export function specialIPErrors(address: string, path: FieldPath): FieldError[] {
  const ip = parseIP(address);
  if (!ip) return [invalidValue(path, address, 'must be a valid IP address')];
  const hits = SPECIAL.filter(({ ranges }) => ranges.some((range) => cidrContains(parseCIDR(range)!, ip)));
  return hits.map(({ message }) => invalidValue(path, address, message(address)));
}
