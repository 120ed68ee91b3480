/**
 * Addresses of Services. Who has an address is an IPAddress object of that name: creating it is the claim, so that two servers
 * never give one address twice. Source: KEP-1880 (IPAddress, ServiceCIDR), KEP-3070 (static and dynamic parts of a range).
 */
import type { Service } from '#api/gen/core-v1.ts';
import type { IPAddress, ServiceCIDR } from '#api/gen/networking-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { cidrContains, ipText, maskIP, parseCIDR, parseIP, type CIDR } from '#machinery/ip.ts';
import { isReason } from '#machinery/status-error.ts';
import type { Loopback, ObjectReader } from '../interfaces.ts';

export const IP_ADDRESSES = resourceOf('networking.k8s.io', 'v1', 'ipaddresses');
export const SERVICE_CIDRS = resourceOf('networking.k8s.io', 'v1', 'servicecidrs');
const FAMILY_LABEL = 'ipaddress.kubernetes.io/ip-family';
const MANAGED_LABEL = 'ipaddress.kubernetes.io/managed-by';
export const ALLOCATOR = 'ipallocator.k8s.io';

/** Why an address is not to be had; the message is upstream's. */
export class AllocationError extends Error {}
export const ALLOCATED = 'provided IP is already allocated';
export const FULL = 'range is full';
const MISMATCHED = 'the provided network does not match the current range';

/** First and last assignable address of a range, and where its dynamic part begins. Numbers. */
export interface Bounds {
  readonly first: bigint;
  readonly dynamic: bigint;
  readonly last: bigint;
}
const SMALLEST_OFFSET = 16n;
const LARGEST_OFFSET = 256n;

/** The network's own address is never given out, nor is the broadcast address of IPv4. Source: KEP-3070, `min(max(16, size/16), 256)`. */
export function boundsOf(cidr: CIDR): Bounds {
  const bits = BigInt((cidr.address.version === 4 ? 32 : 128) - cidr.prefixLength);
  const base = maskIP(cidr.address, cidr.prefixLength).bits;
  const size = 1n << bits;
  const first = base + 1n;
  const last = base + size - (cidr.address.version === 4 ? 2n : 1n);
  const share = size / 16n;
  const offset = size <= SMALLEST_OFFSET ? 0n : share < SMALLEST_OFFSET ? SMALLEST_OFFSET : share > LARGEST_OFFSET ? LARGEST_OFFSET : share;
  const dynamic = first + offset;
  return { first, dynamic: dynamic > last ? first : dynamic, last };
}
/** All numbers of `[low, high]` once around, from a random one. */
function* around(low: bigint, high: bigint, random: () => number): Generator<bigint> {
  const size = high - low + 1n;
  if (size <= 0n) return;
  // Beyond 2^48 the fraction has no more bits to give: a start in the first part of the range is as good.
  const span = size > 1n << 48n ? 1n << 48n : size;
  const start = BigInt(Math.floor(random() * Number(span)));
  for (let i = 0n; i < size; i++) yield low + ((start + i) % size);
}

export interface IpAllocatorParts {
  readonly reader: ObjectReader;
  readonly loopback: Loopback;
  /** In [0, 1). */
  readonly random: () => number;
}

export class IpAllocator {
  readonly #parts: IpAllocatorParts;

  constructor(parts: IpAllocatorParts) {
    this.#parts = parts;
  }
  /** Ranges of a family that addresses may come from now. */
  #ranges(version: 4 | 6): CIDR[] {
    const ready = this.#parts.reader.list<ServiceCIDR>(SERVICE_CIDRS).filter((range) => {
      const condition = range.status?.conditions?.find((c) => c.type === 'Ready');
      return range.metadata.deletionTimestamp === undefined && (condition === undefined || condition.status === 'True');
    });
    return ready.flatMap((r) => r.spec?.cidrs ?? []).flatMap((text) => parseCIDR(text) ?? []).filter((c) => c.address.version === version);
  }
  has(name: string): IPAddress | undefined {
    return this.#parts.reader.get<IPAddress>(IP_ADDRESSES, '', name);
  }
  /** Claims the address that the user asks for. Rejects with {@link AllocationError}. */
  async allocate(service: Service, text: string, dryRun: boolean): Promise<string> {
    const ip = parseIP(text);
    const range = ip && this.#ranges(ip.version).find((cidr) => cidrContains(cidr, ip));
    if (!ip || !range) throw new AllocationError(MISMATCHED);
    const { first, last } = boundsOf(range);
    if (ip.bits < first || ip.bits > last) throw new AllocationError(`the provided IP (${ipText(ip)}) is not in the valid range. The range of valid IPs is ${ipText(maskIP(range.address, range.prefixLength))}/${range.prefixLength}`);
    const name = ipText(ip);
    if (this.has(name)) throw new AllocationError(ALLOCATED);
    if (!dryRun && !(await this.#create(service, name, ip.version))) throw new AllocationError(ALLOCATED);
    return name;
  }
  /** Claims any free address: of the upper part of a range first. Rejects with {@link AllocationError}. */
  async allocateNext(service: Service, version: 4 | 6, dryRun: boolean): Promise<string> {
    for (const range of this.#ranges(version)) {
      const { first, dynamic, last } = boundsOf(range);
      for (const [low, high] of [[dynamic, last], [first, dynamic - 1n]] as const) {
        for (const bits of around(low, high, this.#parts.random)) {
          const name = ipText({ version, bits });
          if (this.has(name)) continue;
          if (dryRun || (await this.#create(service, name, version))) return name;
        }
      }
    }
    throw new AllocationError(FULL);
  }
  async release(name: string): Promise<void> {
    try {
      await this.#parts.loopback.call({ verb: 'delete', resource: IP_ADDRESSES, name });
    } catch (err) {
      if (!isReason(err, 'NotFound')) throw err;
    }
  }
  /** Writes the claim; false when somebody else has the address. */
  async #create(service: Service, name: string, version: 4 | 6): Promise<boolean> {
    const { namespace = '', name: owner = '' } = service.metadata;
    const body: IPAddress = {
      apiVersion: 'networking.k8s.io/v1', kind: 'IPAddress',
      metadata: { name, labels: { [FAMILY_LABEL]: version === 4 ? 'IPv4' : 'IPv6', [MANAGED_LABEL]: ALLOCATOR } },
      spec: { parentRef: { group: '', resource: 'services', namespace, name: owner } },
    };
    try {
      await this.#parts.loopback.call({ verb: 'create', resource: IP_ADDRESSES, body });
      return true;
    } catch (err) {
      if (isReason(err, 'AlreadyExists')) return false;
      throw err;
    }
  }
  /** Takes an address for a Service that has it already: what a crash or an older version left without its object. */
  async adopt(service: Service, name: string): Promise<boolean> {
    const ip = parseIP(name);
    return ip ? this.#create(service, ipText(ip), ip.version) : false;
  }
}
