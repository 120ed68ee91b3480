/** Keeps claims while Pods use them. Source: concepts/storage/persistent-volumes, "Storage Object in Use Protection"; upstream's counterpart: persistentvolumeclaim-protection-controller. */
import type { Pod } from '#api/gen/core-v1.ts';
import { keyOf, nameOf, namespaceOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { PERSISTENT_VOLUME_CLAIMS, PODS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, source, type ControllerContext } from '../controller.ts';
import { untilCaughtUp } from '../workload/stale.ts';

const FINALIZER = 'kubernetes.io/pvc-protection';

/** Names of the claims that a Pod uses. */
export function claimNames(pod: Pod): string[] {
  return (pod.spec.volumes ?? []).flatMap((v) => (v.ephemeral ? [`${nameOf(pod)}-${v.name}`] : v.persistentVolumeClaim ? [v.persistentVolumeClaim.claimName] : []));
}
export function newPvcProtectionController(context: ControllerContext): Component {
  const { client, informers } = context;
  const claims = informers.informer(PERSISTENT_VOLUME_CLAIMS);

  /** Asked of the server: the informer may not know a Pod yet. Pods that are not scheduled will not start with a claim that goes. */
  async function isUsed(namespace: string, name: string, signal: AbortSignal): Promise<boolean> {
    const { items } = await client.of(PODS).list({ namespace, signal });
    return items.some((p) => p.spec.nodeName && claimNames(p).includes(name));
  }
  return newController({
    name: 'persistentvolumeclaim-protection-controller',
    context,
    sources: (queue) => [
      source(context, queue, PERSISTENT_VOLUME_CLAIMS, (c) => [keyOf(c)]),
      source(context, queue, PODS, (p) => claimNames(p).map((name) => `${namespaceOf(p)}/${name}`)),
    ],
    async reconcile(key, signal) {
      const claim = claims.getByKey(key);
      const finalizers = claim?.metadata.finalizers ?? [];
      const held = finalizers.includes(FINALIZER);
      const going = claim?.metadata.deletionTimestamp !== undefined;
      if (!claim || held !== going || (going && (await isUsed(namespaceOf(claim), nameOf(claim), signal)))) return undefined;
      const next = going ? finalizers.filter((f) => f !== FINALIZER) : [...finalizers, FINALIZER];
      return await untilCaughtUp(async () => {
        await client.of(PERSISTENT_VOLUME_CLAIMS).update({ ...claim, metadata: { ...claim.metadata, finalizers: next } }, { signal }).catch((err: unknown) => {
          if (!isReason(err, 'NotFound')) throw err;
        });
        return undefined;
      });
    },
  });
}
