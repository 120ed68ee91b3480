/** What controllers ask of a Pod's state. Source: concepts/workloads/pods/pod-lifecycle. */
import type { Pod } from '#api/gen/core-v1.ts';

export function isPodTerminal(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}
/** Neither ended nor on its way out. */
export function isPodActive(pod: Pod): boolean {
  return !isPodTerminal(pod) && pod.metadata.deletionTimestamp === undefined;
}
/** On its way out, its containers perhaps still running. */
export function isPodTerminating(pod: Pod): boolean {
  return !isPodTerminal(pod) && pod.metadata.deletionTimestamp !== undefined;
}
export function isPodReady(pod: Pod): boolean {
  return pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false;
}
/** When the Pod became ready, in ms since the epoch; undefined while it is not. */
export function podReadyTime(pod: Pod): number | undefined {
  const ready = pod.status?.conditions?.find((c) => c.type === 'Ready' && c.status === 'True');
  return ready?.lastTransitionTime === undefined ? undefined : Date.parse(ready.lastTransitionTime);
}
/** Ready for at least `minReadySeconds`. */
export function isPodAvailable(pod: Pod, minReadySeconds: number, now: number): boolean {
  return isPodReady(pod) && untilAvailable(pod, minReadySeconds, now) <= 0;
}
function untilAvailable(pod: Pod, minReadySeconds: number, now: number): number {
  if (minReadySeconds === 0) return 0;
  const since = podReadyTime(pod);
  return since === undefined ? Infinity : since + minReadySeconds * 1000 - now;
}
/** Milliseconds until the next ready Pod becomes available; undefined when none is on the way. */
export function nextAvailability(pods: readonly Pod[], minReadySeconds: number, now: number): number | undefined {
  if (minReadySeconds === 0) return undefined;
  const waits = pods.filter(isPodReady).map((p) => untilAvailable(p, minReadySeconds, now)).filter((ms) => ms > 0 && ms < Infinity);
  return waits.length ? Math.min(...waits) : undefined;
}
