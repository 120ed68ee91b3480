/** Keeps claims while Pods use them. Upstream's counterpart: persistentvolumeclaim-protection-controller. */
import type { PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import { keyOf, nameOf, namespaceOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { PERSISTENT_VOLUME_CLAIMS, PODS } from '#client/kinds.ts';
import { newController, source, type ControllerContext } from '../controller.ts';
import { protect } from '../protection/finalizer.ts';

/** Names of the claims that a Pod uses. */
export function claimNames(pod: Pod): string[] {
  return (pod.spec.volumes ?? []).flatMap((v) => (v.ephemeral ? [`${nameOf(pod)}-${v.name}`] : v.persistentVolumeClaim ? [v.persistentVolumeClaim.claimName] : []));
}
export function newPvcProtectionController(context: ControllerContext): Component {
  const { client, informers } = context;
  const claims = informers.informer(PERSISTENT_VOLUME_CLAIMS);

  /** Asked of the server: the informer may not know a Pod yet. Pods that are not scheduled will not start with a claim that goes. */
  async function isUsed(claim: PersistentVolumeClaim, signal: AbortSignal): Promise<boolean> {
    const { items } = await client.of(PODS).list({ namespace: namespaceOf(claim), signal });
    return items.some((p) => p.spec.nodeName && claimNames(p).includes(nameOf(claim)));
  }
  return newController({
    name: 'persistentvolumeclaim-protection-controller',
    context,
    sources: (queue) => [
      source(context, queue, PERSISTENT_VOLUME_CLAIMS, (c) => [keyOf(c)]),
      source(context, queue, PODS, (p) => claimNames(p).map((name) => `${namespaceOf(p)}/${name}`)),
    ],
    reconcile: (key, signal) => protect(claims.getByKey(key), { client, kind: PERSISTENT_VOLUME_CLAIMS, finalizer: 'kubernetes.io/pvc-protection', isUsed }, signal),
  });
}
