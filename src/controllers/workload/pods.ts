/** What controllers ask of a Pod's state. Source: concepts/workloads/pods/pod-lifecycle. */
import type { Pod } from '#api/gen/core-v1.ts';
import { controllerOf } from './controller-ref.ts';
import type { Informer } from '#client/informer.ts';
import { uidOf } from '#api/object.ts';

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

const BY_CONTROLLER = 'controllerUid';
const indexed = new WeakSet<Informer<Pod>>();
const orphanKey = (namespace: string): string => `orphans/${namespace}`;

/** Pods that the controller with this UID owns, and those in the namespace that nobody controls. */
export interface PodsByController {
  owned(uid: string): Pod[];
  orphans(namespace: string): Pod[];
}
/** The index of a shared informer, made at the first call. */
export function podsByController(pods: Informer<Pod>): PodsByController {
  if (!indexed.has(pods)) {
    indexed.add(pods);
    pods.addIndex(BY_CONTROLLER, (pod) => [controllerOf(pod)?.uid ?? orphanKey(pod.metadata.namespace ?? '')]);
  }
  return { owned: (uid) => pods.byIndex(BY_CONTROLLER, uid), orphans: (namespace) => pods.byIndex(BY_CONTROLLER, orphanKey(namespace)) };
}
/** What a controller may claim: its own Pods and the namespace's orphans. */
export function claimablePods(index: PodsByController, owner: { readonly metadata: { readonly uid?: string | undefined; readonly namespace?: string | undefined } }): Pod[] {
  return [...index.owned(uidOf(owner)), ...index.orphans(owner.metadata.namespace ?? '')];
}
