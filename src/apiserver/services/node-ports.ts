/**
 * Node ports: which Service has which is what the Services say, plus what writes under way have claimed. Nothing is kept besides, so
 * nothing can leak or disagree. Source: KEP-3668 (static and dynamic parts of the range).
 */
import type { Service } from '#api/gen/core-v1.ts';
import { resourceOf } from '#api/resources.ts';
import type { ObjectReader } from '../interfaces.ts';

const SERVICES = resourceOf('', 'v1', 'services');

export interface PortRange {
  readonly base: number;
  readonly size: number;
}
export const DEFAULT_NODE_PORTS: PortRange = { base: 30_000, size: 2_768 };

export class PortError extends Error {}
export const PORT_FULL = 'range is full';
export const PORT_ALLOCATED = 'provided port is already allocated';

/** Ports at the range's start that are kept for those who ask for one: `min(max(16, size/32), 128)`; none in a range of 16 or fewer. */
export function staticPorts({ size }: PortRange): number {
  return size <= 16 ? 0 : Math.min(Math.max(16, Math.floor(size / 32)), 128);
}
export function nodePortsOf(service: Service): number[] {
  const ports = (service.spec.ports ?? []).map((p) => p.nodePort ?? 0);
  return [...ports, service.spec.healthCheckNodePort ?? 0].filter((p) => p !== 0);
}

/** Ports claimed by one write. Ports of one Service may be equal where their protocols differ. */
export interface PortClaim {
  /** Throws {@link PortError}. */
  take(port: number): void;
  /** Throws {@link PortError}. */
  takeNext(): number;
  settle(): void;
}

export class NodePorts {
  readonly #reader: ObjectReader;
  readonly #range: PortRange;
  readonly #random: () => number;
  readonly #claimed = new Set<number>();

  constructor(reader: ObjectReader, range: PortRange, random: () => number) {
    this.#reader = reader;
    this.#range = range;
    this.#random = random;
  }
  /** `service` is the one that is written: what it holds already does not count against it. */
  claim(service: { readonly namespace: string; readonly name: string }): PortClaim {
    const { base, size } = this.#range;
    const own = new Set<number>();
    let used: Set<number> | undefined;
    const isTaken = (port: number): boolean => {
      used ??= this.#usedByOthers(service);
      return used.has(port) || this.#claimed.has(port);
    };
    const add = (port: number): number => {
      own.add(port);
      this.#claimed.add(port);
      return port;
    };
    return {
      take: (port) => {
        if (port < base || port >= base + size) throw new PortError(`provided port is not in the valid range. The range of valid ports is ${base}-${base + size - 1}`);
        if (own.has(port)) return;
        if (isTaken(port)) throw new PortError(PORT_ALLOCATED);
        add(port);
      },
      takeNext: () => {
        const reserved = staticPorts(this.#range);
        for (const [low, count] of [[base + reserved, size - reserved], [base, reserved]] as const) {
          const start = Math.floor(this.#random() * count);
          for (let i = 0; i < count; i++) {
            const port = low + ((start + i) % count);
            if (!isTaken(port)) return add(port);
          }
        }
        throw new PortError(PORT_FULL);
      },
      settle: () => {
        for (const port of own) this.#claimed.delete(port);
      },
    };
  }
  #usedByOthers(service: { readonly namespace: string; readonly name: string }): Set<number> {
    const used = new Set<number>();
    for (const other of this.#reader.list<Service>(SERVICES)) {
      if (other.metadata.name === service.name && other.metadata.namespace === service.namespace) continue;
      for (const port of nodePortsOf(other)) used.add(port);
    }
    return used;
  }
}
