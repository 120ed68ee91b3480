/** `net.IP` and `net.CIDR`: addresses as Go's `netip` reads them, without zones and without IPv4-mapped ones. */
import { goQuote } from '#machinery/go-text.ts';
import { cidrContains, ipText, maskIP, parseCIDR, parseIP, type CIDR, type IPAddress } from '#machinery/ip.ts';
import { CelError, noSuchOverload } from '../errors.ts';
import { declare, member, plain, type CallCost, type FunctionDeclaration, type Implementation } from '../functions.ts';
import { opaque, type CelType } from '../types.ts';
import { OpaqueValue, sizeOf, type Value } from '../values.ts';

export const IP_TYPE = opaque('net.IP');
export const CIDR_TYPE = opaque('net.CIDR');

class IpValue extends OpaqueValue {
  readonly ip: IPAddress;
  constructor(ip: IPAddress) {
    super();
    this.ip = ip;
  }
  get type(): CelType {
    return IP_TYPE;
  }
  equals(other: OpaqueValue): boolean {
    return other instanceof IpValue && sameIp(this.ip, other.ip);
  }
}
class CidrValue extends OpaqueValue {
  readonly cidr: CIDR;
  constructor(cidr: CIDR) {
    super();
    this.cidr = cidr;
  }
  get type(): CelType {
    return CIDR_TYPE;
  }
  equals(other: OpaqueValue): boolean {
    return other instanceof CidrValue && sameIp(this.cidr.address, other.cidr.address) && this.cidr.prefixLength === other.cidr.prefixLength;
  }
}
/** The address as it was written, with bits beyond the prefix. */
const cidrAsWritten = ({ address, prefixLength }: CIDR): string => `${ipText(address)}/${prefixLength}`;
const sameIp = (a: IPAddress, b: IPAddress): boolean => a.version === b.version && a.bits === b.bits;
const LEADING_ZERO = /(?:^|[.:])0\d+\./;

function ipOf(text: string): IPAddress {
  const fail = (why: string): CelError => new CelError(`IP Address ${goQuote(text)} parse error during conversion from string: ParseAddr(${goQuote(text)}): ${why}`);
  const zone = text.indexOf('%');
  if (zone > 0 && text.includes(':') && parseIP(text.slice(0, zone))) throw new CelError(`IP address ${goQuote(text)} with zone value is not allowed`);
  const ip = parseIP(text);
  if (!ip || LEADING_ZERO.test(text) || /(?:^|[.:])0\d+$/.test(text) && text.includes('.')) throw fail(/^[0-9a-fA-F.:]+$/.test(text) ? (text.includes(':') ? 'each colon-separated field must have at least one digit' : ip ? 'IPv4 field has octet with leading zero' : 'IPv4 address too short') : 'unable to parse IP');
  if (text.includes(':') && ip.version === 4) throw new CelError(`IPv4-mapped IPv6 address ${goQuote(text)} is not allowed`);
  return ip;
}
function cidrOf(text: string): CIDR {
  const fail = (why: string): CelError => new CelError(`network address parse error during conversion from string: network address parse error during conversion from string: netip.ParsePrefix(${goQuote(text)}): ${why}`);
  const slash = text.lastIndexOf('/');
  if (slash < 0) throw fail("no '/'");
  const cidr = parseCIDR(text);
  const length = text.slice(slash + 1);
  if (!cidr || (length.length > 1 && length.startsWith('0'))) throw fail(/^\d+$/.test(length) ? 'prefix length out of range' : `bad bits after slash: ${goQuote(length)}`);
  if (text.includes(':') && cidr.address.version === 4) throw new CelError(`network address parse error during conversion from string: IPv4-mapped IPv6 address ${goQuote(text)} is not allowed`);
  return cidr;
}
function succeeds(run: () => unknown): boolean {
  try {
    run();
    return true;
  } catch (err) {
    if (err instanceof CelError) return false;
    throw err;
  }
}
/** Of an argument that cannot be read nobody is told more. */
function argument<T>(read: () => T): T {
  try {
    return read();
  } catch (err) {
    throw err instanceof CelError ? noSuchOverload() : err;
  }
}
const ip = (value: Value): IPAddress => (value as IpValue).ip;
const cidr = (value: Value): CIDR => (value as CidrValue).cidr;
/** Whether an address lies in one of the ranges: by version, as prefixes. */
function within(value: IPAddress, ...ranges: readonly string[]): boolean {
  return ranges.some((range) => {
    const parsed = parseCIDR(range)!;
    return parsed.address.version === value.version && cidrContains(parsed, value);
  });
}
const isUnspecified = (a: IPAddress): boolean => a.bits === 0n;
const isLoopback = (a: IPAddress): boolean => within(a, '127.0.0.0/8', '::1/128');
const isMulticast = (a: IPAddress): boolean => within(a, '224.0.0.0/4', 'ff00::/8');
const isLinkLocalUnicast = (a: IPAddress): boolean => within(a, '169.254.0.0/16', 'fe80::/10');
/** `ff02::/16` under any flags. */
const isLinkLocalMulticast = (a: IPAddress): boolean => (a.version === 4 ? within(a, '224.0.0.0/24') : isMulticast(a) && ((a.bits >> 112n) & 0xfn) === 2n);
const isGlobalUnicast = (a: IPAddress): boolean => !isUnspecified(a) && !isLoopback(a) && !isMulticast(a) && !isLinkLocalUnicast(a) && !(a.version === 4 && a.bits === 0xffffffffn);

const cost: CallCost = (a) => Math.ceil(sizeOf(a) * 0.1);
const test = (check: (a: IPAddress) => boolean): Implementation => (_f, a) => check(ip(a));
const containsIp = (network: CIDR, address: IPAddress): boolean => network.address.version === address.version && cidrContains(network, address);
const containsCidr = (network: CIDR, other: CIDR): boolean => other.prefixLength >= network.prefixLength && containsIp(network, other.address);
const isCanonical: Implementation = (_f, a) => ipText(ipOf(a as string)) === a;

export const NETWORK: readonly FunctionDeclaration[] = [
  declare('ip', plain('string_to_ip', 'string -> net.IP', (_f, a) => new IpValue(ipOf(a as string)), cost), member('cidr_ip', 'net.CIDR -> net.IP', (_f, a) => new IpValue(cidr(a).address))),
  declare('isIP', plain('is_ip', 'string -> bool', (_f, a) => succeeds(() => ipOf(a as string)), cost)),
  declare('ip.isCanonical', plain('ip_is_canonical', 'string -> bool', isCanonical, (a) => Math.ceil(sizeOf(a) * 0.2))),
  declare('family', member('ip_family', 'net.IP -> int', (_f, a) => BigInt(ip(a).version))),
  declare('isUnspecified', member('ip_is_unspecified', 'net.IP -> bool', test(isUnspecified))),
  declare('isLoopback', member('ip_is_loopback', 'net.IP -> bool', test(isLoopback))),
  declare('isLinkLocalMulticast', member('ip_is_link_local_multicast', 'net.IP -> bool', test(isLinkLocalMulticast))),
  declare('isLinkLocalUnicast', member('ip_is_link_local_unicast', 'net.IP -> bool', test(isLinkLocalUnicast))),
  declare('isGlobalUnicast', member('ip_is_global_unicast', 'net.IP -> bool', test(isGlobalUnicast))),
  declare('string', plain('ip_to_string', 'net.IP -> string', (_f, a) => ipText(ip(a))), plain('cidr_to_string', 'net.CIDR -> string', (_f, a) => cidrAsWritten(cidr(a)))),
  declare('cidr', plain('string_to_cidr', 'string -> net.CIDR', (_f, a) => new CidrValue(cidrOf(a as string)), cost)),
  declare('isCIDR', plain('is_cidr', 'string -> bool', (_f, a) => succeeds(() => cidrOf(a as string)), cost)),
  declare('containsIP', member('cidr_contains_ip_string', 'net.CIDR, string -> bool', (_f, a, b) => containsIp(cidr(a), argument(() => ipOf(b as string))), (_a, b) => 4 + Math.ceil(sizeOf(b) * 0.1)), member('cidr_contains_ip_ip', 'net.CIDR, net.IP -> bool', (_f, a, b) => containsIp(cidr(a), ip(b)), 4)),
  declare('containsCIDR', member('cidr_contains_cidr_string', 'net.CIDR, string -> bool', (_f, a, b) => containsCidr(cidr(a), argument(() => cidrOf(b as string))), (_a, b) => 6 + Math.ceil(sizeOf(b) * 0.1)), member('cidr_contains_cidr', 'net.CIDR, net.CIDR -> bool', (_f, a, b) => containsCidr(cidr(a), cidr(b)), 6)),
  declare('prefixLength', member('cidr_prefix_length', 'net.CIDR -> int', (_f, a) => BigInt(cidr(a).prefixLength))),
  declare('masked', member('cidr_masked', 'net.CIDR -> net.CIDR', (_f, a) => new CidrValue({ address: maskIP(cidr(a).address, cidr(a).prefixLength), prefixLength: cidr(a).prefixLength }))),
];
