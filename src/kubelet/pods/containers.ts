/** Small questions about the containers of a Pod that several subjects of the kubelet ask. */
import { createHash } from 'node:crypto';
import type { Container, Pod } from '#api/gen/core-v1.ts';
import type { AnyContainer } from '../interfaces.ts';

export type ContainerList = 'initContainers' | 'containers' | 'ephemeralContainers';

/** A sidecar: an init container that is kept running (KEP-753). */
export function isRestartableInit(container: Container): boolean {
  return container.restartPolicy === 'Always';
}
export function allContainers(pod: Pod): readonly AnyContainer[] {
  return [...(pod.spec.initContainers ?? []), ...pod.spec.containers, ...(pod.spec.ephemeralContainers ?? [])];
}
export function findContainer(pod: Pod, name: string): { container: AnyContainer; list: ContainerList } | undefined {
  for (const list of ['initContainers', 'containers', 'ephemeralContainers'] as const) {
    const container = pod.spec[list]?.find((c) => c.name === name);
    if (container) return { container, list };
  }
  return undefined;
}
/** `spec.containers{web}`: the field path of events about a container. */
export function containerFieldPath(pod: Pod, name: string): string {
  const found = findContainer(pod, name);
  return found ? `spec.${found.list}{${name}}` : '';
}
/**
 * What of a container, when it changes, makes the kubelet restart it. Resources are left out: they are resized in place.
 */
export function containerHash(container: AnyContainer): string {
  const { name, image } = container;
  return createHash('sha256').update(JSON.stringify({ name, image })).digest('hex').slice(0, 8);
}
/** `namespace/name` and `name_namespace(uid)`, as upstream's messages name a Pod. */
export function podFullName(pod: Pod): string {
  return `${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`;
}
export function isHostNetwork(pod: Pod): boolean {
  return pod.spec.hostNetwork === true;
}
/** The most that containers need at a time: init containers one after the other, sidecars from their turn on, the others together. */
export function peak(pod: Pod, need: (container: Container) => number): number {
  let [sidecars, highest] = [0, 0];
  for (const c of pod.spec.initContainers ?? []) {
    if (isRestartableInit(c)) sidecars += need(c);
    else highest = Math.max(highest, sidecars + need(c));
  }
  return Math.max(highest, sidecars + pod.spec.containers.reduce((sum, c) => sum + need(c), 0));
}
