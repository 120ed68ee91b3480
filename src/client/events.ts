/**
 * Events about objects, correlated as client-go does it: a repeat counts up, many similar ones are combined, and one object
 * cannot flood. Recording never waits and never throws; what cannot be sent within the bounds is dropped and logged. While the API server
 * cannot be reached events wait in their order, each for two minutes at most.
 */
import type { Event, ObjectReference } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, type KubeObject } from '#api/object.ts';
import { rfc3339, sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { isReason, StatusError } from '#machinery/status-error.ts';
import type { Client, ResourceClient } from './client.ts';
import { EVENTS } from './kinds.ts';

export type EventType = 'Normal' | 'Warning';

const log = logger('events');
/** Similar events (same object and reason, other messages) within the window that stand for themselves; further ones are combined. */
const MAX_SIMILAR = 9;
const COMBINED = '(combined from similar events): ';
const SIMILAR_WINDOW_MS = 600_000;
/** Events of one source and type about one object: this many at once, then one every five minutes. */
const BURST = 25;
const REFILL_MS = 300_000;
const MAX_TRACKED = 4096;
const MAX_QUEUED = 1000;
/** How often an event is sent at most while nobody can be reached, and how long between. */
const MAX_TRIES = 12;
const RETRY_MS = 10_000;

/** A map that forgets what was not touched for longest. */
class RecentMap<V> {
  readonly #map = new Map<string, V>();
  get(key: string): V | undefined {
    const value = this.#map.get(key);
    if (value !== undefined) this.set(key, value);
    return value;
  }
  set(key: string, value: V): void {
    this.#map.delete(key);
    this.#map.set(key, value);
    if (this.#map.size > MAX_TRACKED) this.#map.delete(this.#map.keys().next().value!);
  }
}

export interface EventRecorderOptions {
  /** `source.component` and `reportingComponent`: `kubelet`, `default-scheduler`. */
  readonly component: string;
  /** `source.host`: the node's name, for components of a node. */
  readonly host?: string;
  readonly clock: Clock;
}

export class EventRecorder {
  readonly #events: ResourceClient<Event>;
  readonly #options: EventRecorderOptions;
  readonly #similar = new RecentMap<{ messages: Set<string>; last: number }>();
  readonly #tokens = new RecentMap<{ left: number; at: number }>();
  readonly #sent = new RecentMap<Event>();
  #queued = 0;
  #tail: Promise<void> = Promise.resolve();

  constructor(client: Client, options: EventRecorderOptions) {
    this.#events = client.of(EVENTS);
    this.#options = options;
  }
  /** Records an event about `obj`. `fieldPath` points into it: `spec.containers{web}`. */
  event(obj: KubeObject, type: EventType, reason: string, message: string, fieldPath?: string): void {
    this.eventFor(referenceTo(obj, fieldPath), type, reason, message);
  }
  /** The same for something that is only known by reference, such as a node that is yet to register. */
  eventFor(ref: ObjectReference, type: EventType, reason: string, message: string): void {
    const now = this.#options.clock.now();
    const text = this.#combine(ref, type, reason, message.slice(0, 1024), now);
    if (!this.#admit(ref, type, now)) return;
    if (this.#queued >= MAX_QUEUED) return void log.warn({ reason, object: ref.name }, 'event dropped: too many are waiting');
    this.#queued++;
    this.#tail = this.#tail.then(() => this.#sendInTime(ref, type, reason, text, now)).finally(() => this.#queued--);
  }
  /** Resolves when everything recorded so far was sent or given up. */
  flush(): Promise<void> {
    return this.#tail;
  }

  #admit(ref: ObjectReference, type: EventType, now: number): boolean {
    const key = `${ref.kind}/${ref.namespace}/${ref.name}/${ref.uid}/${type}`;
    const bucket = this.#tokens.get(key) ?? { left: BURST, at: now };
    const left = Math.min(BURST, bucket.left + (now - bucket.at) / REFILL_MS);
    this.#tokens.set(key, { left: left >= 1 ? left - 1 : left, at: now });
    return left >= 1;
  }
  #combine(ref: ObjectReference, type: EventType, reason: string, message: string, now: number): string {
    const key = `${ref.kind}/${ref.namespace}/${ref.name}/${ref.uid}/${type}/${reason}`;
    const seen = this.#similar.get(key);
    const fresh = seen && now - seen.last <= SIMILAR_WINDOW_MS ? seen : { messages: new Set<string>(), last: now };
    fresh.last = now;
    if (fresh.messages.size < MAX_SIMILAR || fresh.messages.has(message)) fresh.messages.add(message);
    this.#similar.set(key, fresh);
    return fresh.messages.has(message) ? message : `${COMBINED}${message}`;
  }
  async #sendInTime(ref: ObjectReference, type: EventType, reason: string, message: string, now: number): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#send(ref, type, reason, message, now);
      } catch (err) {
        if (tries < MAX_TRIES && isUnreachable(err)) {
          await sleep(this.#options.clock, RETRY_MS);
          continue;
        }
        // An object in a namespace that is going away cannot have events: nothing to be done about it.
        log[isReason(err, 'Forbidden') || isReason(err, 'NotFound') ? 'debug' : 'warn']({ err, reason, object: ref.name }, 'event not recorded');
        return;
      }
    }
  }
  async #send(ref: ObjectReference, type: EventType, reason: string, message: string, now: number): Promise<void> {
    const combined = message.startsWith(COMBINED);
    const key = `${ref.kind}/${ref.namespace}/${ref.name}/${ref.uid}/${ref.fieldPath}/${type}/${reason}/${combined ? '' : message}`;
    const before = this.#sent.get(key);
    const after = before ? await this.#repeat(before, message, now) : undefined;
    this.#sent.set(key, after ?? (await this.#events.create(this.#newEvent(ref, type, reason, message, now))));
  }
  /** Counts up an event; undefined when it has expired meanwhile. */
  async #repeat(before: Event, message: string, now: number): Promise<Event | undefined> {
    const patch = { count: (before.count ?? 1) + 1, lastTimestamp: rfc3339(now), message };
    try {
      return await this.#events.patch(namespaceOf(before), nameOf(before), 'application/strategic-merge-patch+json', patch);
    } catch (err) {
      if (isReason(err, 'NotFound')) return undefined;
      throw err;
    }
  }
  #newEvent(ref: ObjectReference, type: EventType, reason: string, message: string, now: number): Event {
    const { component, host } = this.#options;
    const namespace = ref.namespace || 'default';
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: eventName(ref.name ?? '', now), namespace },
      involvedObject: ref,
      reason,
      message,
      type,
      count: 1,
      firstTimestamp: rfc3339(now),
      lastTimestamp: rfc3339(now),
      source: { component, ...(host ? { host } : {}) },
      // Combined events tell their source only, as client-go makes them.
      reportingComponent: message.startsWith(COMBINED) ? '' : component,
      reportingInstance: message.startsWith(COMBINED) ? '' : (host ?? ''),
    };
  }
}

let sequence = 0;
/** The name of a new event. Nanoseconds are in it, as upstream: a sequence stands for the part the clock does not have. */
export function eventName(objectName: string, now: number): string {
  const nanos = BigInt(Math.floor(now)) * 1_000_000n + BigInt(sequence++ % 1_000_000);
  return `${objectName}.${nanos.toString(16)}`;
}
/** No answer came: what a server says itself is no failure of the way to it. */
function isUnreachable(err: unknown): boolean {
  return err instanceof StatusError && isReason(err, 'ServiceUnavailable') && err.cause !== undefined;
}

/** A reference to an object as events carry it. */
export function referenceTo(obj: KubeObject, fieldPath?: string): ObjectReference {
  const { name, namespace, uid, resourceVersion } = obj.metadata;
  return { kind: obj.kind, apiVersion: obj.apiVersion, name, namespace, uid, resourceVersion, ...(fieldPath ? { fieldPath } : {}) };
}
