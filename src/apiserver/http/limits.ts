/** Requests in flight, reads and writes apart. Who must wait is decided by `flowcontrol/`; here they are counted. Long-running requests are not. */

/** How many requests the server handles at a time: the seats of all priority levels together. */
export interface InFlightLimits {
  readonly maxReadOnly: number;
  readonly maxMutating: number;
}
export const DEFAULT_IN_FLIGHT: InFlightLimits = { maxReadOnly: 400, maxMutating: 200 };
const READ_ONLY: ReadonlySet<string> = new Set(['get', 'list', 'watch', 'head', 'options']);

export type RequestKind = 'readOnly' | 'mutating';
export function kindOf(verb: string): RequestKind {
  return READ_ONLY.has(verb) ? 'readOnly' : 'mutating';
}

export class InFlight {
  readonly #counts: Record<RequestKind, number> = { readOnly: 0, mutating: 0 };
  count(kind: RequestKind): number {
    return this.#counts[kind];
  }
  /** Counts the request in; whoever calls it calls {@link leave} once. */
  enter(kind: RequestKind): void {
    this.#counts[kind] += 1;
  }
  leave(kind: RequestKind): void {
    this.#counts[kind] -= 1;
  }
}
