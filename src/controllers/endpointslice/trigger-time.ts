/**
 * When the change happened that a write tells of: network programming latency is measured from there (SIG scalability's SLI).
 * A Pod's trigger is the last transition of its readiness, a Service's its creation.
 */
import type { Pod, Service } from '#api/gen/core-v1.ts';
import { keyOf } from '#api/object.ts';

interface Known {
  readonly pods: ReadonlyMap<string, number>;
  readonly service: number;
}
const timeOf = (text: string | undefined): number => (text === undefined ? 0 : Date.parse(text) || 0);
function podTrigger(pod: Pod): number {
  return timeOf(pod.status?.conditions?.find((c) => c.type === 'Ready')?.lastTransitionTime);
}

export class TriggerTimes {
  readonly #known = new Map<string, Known>();

  /** The earliest new trigger, as RFC 3339 in UTC; undefined when nothing new has one. */
  next(service: Service, pods: readonly Pod[]): string | undefined {
    const before = this.#known.get(keyOf(service));
    const now: Known = { pods: new Map(pods.map((p) => [keyOf(p), podTrigger(p)] as const).filter(([, t]) => t > 0)), service: timeOf(service.metadata.creationTimestamp) };
    this.#known.set(keyOf(service), now);
    const fresh = [...now.pods].filter(([key, t]) => t > (before?.pods.get(key) ?? 0)).map(([, t]) => t);
    if (now.service > (before?.service ?? 0)) fresh.push(now.service);
    return fresh.length ? `${new Date(Math.min(...fresh)).toISOString().slice(0, 19)}Z` : undefined;
  }
  forget(serviceKey: string): void {
    this.#known.delete(serviceKey);
  }
}
