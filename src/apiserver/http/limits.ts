/**
 * Requests in flight, reads and writes apart, as upstream's `max-requests-inflight` filter: a client that floods one kind is told
 * to come back and the other kind goes on. Long-running requests are not counted.
 */
import { tooManyRequests } from '#machinery/status-error.ts';
import type { UserInfo } from '../interfaces.ts';

export interface InFlightLimits {
  readonly maxReadOnly: number;
  readonly maxMutating: number;
}
export const DEFAULT_IN_FLIGHT: InFlightLimits = { maxReadOnly: 400, maxMutating: 200 };
/** Never refused: the way in when everything else is full. */
const PRIVILEGED = 'system:masters';
const READ_ONLY: ReadonlySet<string> = new Set(['get', 'list', 'watch', 'head', 'options']);

export type RequestKind = 'readOnly' | 'mutating';
export function kindOf(verb: string): RequestKind {
  return READ_ONLY.has(verb) ? 'readOnly' : 'mutating';
}

export class InFlight {
  readonly #limits: Readonly<Record<RequestKind, number>>;
  readonly #counts: Record<RequestKind, number> = { readOnly: 0, mutating: 0 };
  constructor(limits: InFlightLimits) {
    this.#limits = { readOnly: limits.maxReadOnly, mutating: limits.maxMutating };
  }
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
  /** Refuses (429) a request of a user without privilege while more than the limit are in. */
  check(kind: RequestKind, user: UserInfo): void {
    if (this.#counts[kind] <= this.#limits[kind] || user.groups.includes(PRIVILEGED)) return;
    throw tooManyRequests('Too many requests, please try again later.', 1);
  }
}
