/**
 * Events of `events.k8s.io`, as newer components record them: what is the same but for its note is one event, whose repeats are a series
 * that is written when it begins and when it ends. Recording never waits and never throws: an {@link EventSender} writes what is recorded. Source: KEP-383; client-go's counterpart: tools/events.
 */
import type { ObjectReference } from '#api/gen/core-v1.ts';
import type { Event } from '#api/gen/events-v1.ts';
import { nameOf, namespaceOf, type KubeObject } from '#api/object.ts';
import { rfc3339Micro, type Clock, type Timer } from '#base/clock.ts';
import { isReason } from '#machinery/status-error.ts';
import type { Client, ResourceClient } from './client.ts';
import type { EventSender, EventWrite } from './event-sender.ts';
import { eventName, referenceTo, type EventType } from './events.ts';
import { kind } from './kinds.ts';
import { RecentMap } from './recent-map.ts';

const EVENTS = kind<Event>('events.k8s.io', 'v1', 'events');
/** A series that was not seen for this long has ended. */
const FINISH_MS = 360_000;
/** A series that goes on is written at least this often, so that it does not expire. */
const REFRESH_MS = 1_800_000;
const MAX_TRACKED = 4096;

export interface SeriesEvent {
  readonly type: EventType;
  readonly reason: string;
  /** What was tried: `Binding`. */
  readonly action: string;
  readonly note: string;
}
interface Tracked {
  readonly event: Event;
  /** 1: not repeated yet. */
  count: number;
  /** The time of day. */
  lastObserved: number;
  /** Monotonic. */
  seenAt: number;
  writtenAt: number;
}
export interface SeriesRecorderOptions {
  /** `reportingController`: `default-scheduler`. */
  readonly component: string;
  readonly hostname: string;
  readonly clock: Clock;
  readonly sender: EventSender;
}

export class SeriesRecorder {
  readonly #events: ResourceClient<Event>;
  readonly #o: SeriesRecorderOptions;
  readonly #tracked = new RecentMap<Tracked>(MAX_TRACKED);
  #timer: Timer | undefined;
  #closed = false;

  constructor(client: Client, options: SeriesRecorderOptions) {
    this.#events = client.of(EVENTS);
    this.#o = options;
  }
  /** The note of the first of a series stays. */
  event(regarding: KubeObject, event: SeriesEvent): void {
    const [now, at] = [this.#o.clock.now(), this.#o.clock.monotonic()];
    const made = this.#newEvent(regarding, event, now);
    const key = JSON.stringify([made.type, made.action, made.reason, made.regarding]);
    const known = this.#tracked.get(key);
    if (!known) {
      this.#track(key, { event: made, count: 1, lastObserved: now, seenAt: at, writtenAt: at });
      return this.#enqueue(made, (signal) => this.#events.create(made, { signal }));
    }
    known.count++;
    Object.assign(known, { lastObserved: now, seenAt: at });
    if (known.count === 2) this.#write(known, at);
  }
  /** Nothing is written of its own accord any more. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #track(key: string, tracked: Tracked): void {
    this.#tracked.set(key, tracked);
    if (!this.#closed) this.#timer ??= this.#o.clock.after(FINISH_MS, () => this.#finish());
  }
  /** Ends what was not seen for long, and keeps alive what goes on. */
  #finish(): void {
    this.#timer = undefined;
    const now = this.#o.clock.monotonic();
    for (const [key, tracked] of this.#tracked.entries()) {
      const ended = now - tracked.seenAt >= FINISH_MS;
      if (tracked.count > 1 && (ended || now - tracked.writtenAt >= REFRESH_MS)) this.#write(tracked, now);
      if (ended) this.#tracked.delete(key);
    }
    if (this.#tracked.size > 0) this.#timer = this.#o.clock.after(FINISH_MS, () => this.#finish());
  }
  #write(tracked: Tracked, at: number): void {
    const { event, count, lastObserved } = tracked;
    tracked.writtenAt = at;
    this.#enqueue(event, (signal) => this.#patch(event, { count, lastObservedTime: rfc3339Micro(lastObserved) }, signal));
  }
  #enqueue({ reason, regarding }: Event, write: EventWrite): void {
    this.#o.sender.enqueue({ reason: reason ?? '', object: regarding?.name }, write);
  }
  async #patch(event: Event, series: NonNullable<Event['series']>, signal: AbortSignal): Promise<void> {
    try {
      await this.#events.patch(namespaceOf(event), nameOf(event), 'application/strategic-merge-patch+json', { series }, { signal });
    } catch (err) {
      if (!isReason(err, 'NotFound')) throw err;
      // It has expired meanwhile.
      await this.#events.create({ ...event, series }, { signal });
    }
  }
  #newEvent(obj: KubeObject, { type, reason, action, note }: SeriesEvent, now: number): Event {
    const { component, hostname } = this.#o;
    const regarding: ObjectReference = referenceTo(obj);
    return {
      apiVersion: 'events.k8s.io/v1', kind: 'Event',
      metadata: { name: eventName(regarding.name ?? '', now), namespace: regarding.namespace || 'default' },
      eventTime: rfc3339Micro(now), reportingController: component, reportingInstance: `${component}-${hostname}`,
      action, reason, regarding, note, type,
    };
  }
}
