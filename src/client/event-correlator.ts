/** What becomes of events before they are sent: many similar ones are combined, and one object cannot flood. As client-go's correlator. */
import type { ObjectReference } from '#api/gen/core-v1.ts';
import type { EventType } from './events.ts';
import { RecentMap } from './recent-map.ts';

/** Similar events (same object and reason, other messages) within the window that stand for themselves; further ones are combined. */
const MAX_SIMILAR = 9;
const COMBINED = '(combined from similar events): ';
const SIMILAR_WINDOW_MS = 600_000;
/** Events of one source and type about one object: this many at once, then one every five minutes. */
const BURST = 25;
const REFILL_MS = 300_000;
const MAX_TRACKED = 4096;

export interface CorrelatedEvent {
  readonly message: string;
  /** It stands for many: what is the same but for its message counts as a repeat. */
  readonly combined: boolean;
}

export class EventCorrelator {
  readonly #similar = new RecentMap<{ messages: Set<string>; last: number }>(MAX_TRACKED);
  readonly #tokens = new RecentMap<{ left: number; at: number }>(MAX_TRACKED);

  /** The event to send; undefined when there were too many. `now` in milliseconds of the monotonic clock. */
  correlate(ref: ObjectReference, type: EventType, reason: string, message: string, now: number): CorrelatedEvent | undefined {
    const about = `${subjectKey(ref)}/${type}`;
    const combined = this.#isOneOfMany(`${about}/${reason}`, message, now);
    return this.#admit(about, now) ? { message: combined ? `${COMBINED}${message}` : message, combined } : undefined;
  }

  #admit(key: string, now: number): boolean {
    const bucket = this.#tokens.get(key) ?? { left: BURST, at: now };
    const left = Math.min(BURST, bucket.left + (now - bucket.at) / REFILL_MS);
    this.#tokens.set(key, { left: left >= 1 ? left - 1 : left, at: now });
    return left >= 1;
  }
  #isOneOfMany(key: string, message: string, now: number): boolean {
    const seen = this.#similar.get(key);
    const recent = seen && now - seen.last <= SIMILAR_WINDOW_MS ? seen : { messages: new Set<string>(), last: now };
    recent.last = now;
    if (recent.messages.size < MAX_SIMILAR) recent.messages.add(message);
    this.#similar.set(key, recent);
    return !recent.messages.has(message);
  }
}

/** Tells objects apart, not their parts nor their versions. */
export function subjectKey(ref: ObjectReference): string {
  return `${ref.apiVersion}/${ref.kind}/${ref.namespace}/${ref.name}/${ref.uid}`;
}
