/**
 * Events about objects, correlated as client-go does it: a repeat counts up, many similar ones are combined, and one object
 * cannot flood. Recording never waits and never throws: an {@link EventSender} writes what is recorded.
 */
import type { Event, ObjectReference } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, type KubeObject } from '#api/object.ts';
import { rfc3339, type Clock } from '#base/clock.ts';
import { isReason } from '#machinery/status-error.ts';
import type { Client, ResourceClient } from './client.ts';
import { EventCorrelator, subjectKey, type CorrelatedEvent } from './event-correlator.ts';
import type { EventSender } from './event-sender.ts';
import { EVENTS } from './kinds.ts';
import { RecentMap } from './recent-map.ts';

export type EventType = 'Normal' | 'Warning';

/** Events sent whose repeats count up. */
const MAX_TRACKED = 4096;

export interface EventRecorderOptions {
  /** `source.component` and `reportingComponent`: `kubelet`, `default-scheduler`. */
  readonly component: string;
  /** `source.host`: the node's name, for components of a node. */
  readonly host?: string;
  readonly clock: Clock;
  readonly sender: EventSender;
}

/** One event as it is to be written. */
interface Occurrence extends CorrelatedEvent {
  readonly ref: ObjectReference;
  readonly type: EventType;
  readonly reason: string;
  /** When it happened, in milliseconds since the epoch. */
  readonly at: number;
}

export class EventRecorder {
  readonly #events: ResourceClient<Event>;
  readonly #options: EventRecorderOptions;
  readonly #correlator = new EventCorrelator();
  readonly #sent = new RecentMap<Event>(MAX_TRACKED);

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
    const { clock } = this.#options;
    const at = clock.now();
    const correlated = this.#correlator.correlate(ref, type, reason, message.slice(0, 1024), clock.monotonic());
    if (!correlated) return;
    this.#options.sender.enqueue({ reason, object: ref.name }, (signal) => this.#send({ ...correlated, ref, type, reason, at }, signal));
  }

  async #send(event: Occurrence, signal: AbortSignal): Promise<void> {
    const { ref, type, reason, message, combined } = event;
    const key = `${subjectKey(ref)}/${ref.fieldPath}/${type}/${reason}/${combined ? '' : message}`;
    const before = this.#sent.get(key);
    const after = before ? await this.#repeat(before, event, signal) : undefined;
    this.#sent.set(key, after ?? (await this.#events.create(this.#newEvent(event), { signal })));
  }
  /** Counts up an event; undefined when it has expired meanwhile. */
  async #repeat(before: Event, { message, at }: Occurrence, signal: AbortSignal): Promise<Event | undefined> {
    const patch = { count: (before.count ?? 1) + 1, lastTimestamp: rfc3339(at), message };
    try {
      return await this.#events.patch(namespaceOf(before), nameOf(before), 'application/strategic-merge-patch+json', patch, { signal });
    } catch (err) {
      if (isReason(err, 'NotFound')) return undefined;
      throw err;
    }
  }
  #newEvent({ ref, type, reason, message, combined, at }: Occurrence): Event {
    const { component, host } = this.#options;
    const namespace = ref.namespace || 'default';
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: eventName(ref.name ?? '', at), namespace },
      involvedObject: ref,
      reason,
      message,
      type,
      count: 1,
      firstTimestamp: rfc3339(at),
      lastTimestamp: rfc3339(at),
      source: { component, ...(host ? { host } : {}) },
      // Combined events tell their source only, as client-go makes them.
      reportingComponent: combined ? '' : component,
      reportingInstance: combined ? '' : (host ?? ''),
    };
  }
}

let sequence = 0;
/** The name of a new event. Nanoseconds are in it, as upstream: a sequence stands for the part the clock does not have. */
export function eventName(objectName: string, now: number): string {
  const nanos = BigInt(Math.floor(now)) * 1_000_000n + BigInt(sequence++ % 1_000_000);
  return `${objectName}.${nanos.toString(16)}`;
}

/** A reference to an object as events carry it. */
export function referenceTo(obj: KubeObject, fieldPath?: string): ObjectReference {
  const { name, namespace, uid, resourceVersion } = obj.metadata;
  return { kind: obj.kind, apiVersion: obj.apiVersion, name, namespace, uid, resourceVersion, ...(fieldPath ? { fieldPath } : {}) };
}
