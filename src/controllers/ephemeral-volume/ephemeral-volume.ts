/** Makes the claims of generic ephemeral volumes (KEP-1698). Upstream's counterpart: ephemeral-volume-controller. */
import type { Pod, Volume } from '#api/gen/core-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { PERSISTENT_VOLUME_CLAIMS, PODS } from '#client/kinds.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';
import { controllerOf, isControlledBy, newControllerRef } from '../workload/controller-ref.ts';

const hasEphemeral = (pod: Pod): boolean => pod.spec.volumes?.some((v) => v.ephemeral) ?? false;

export function newEphemeralVolumeController(context: ControllerContext): Component {
  const { client, informers } = context;
  const pods = informers.informer(PODS);
  const claims = informers.informer(PERSISTENT_VOLUME_CLAIMS);
  const recorder = recorderOf(context, 'ephemeral_volume');

  async function ensureClaim(pod: Pod, volume: Volume, signal: AbortSignal): Promise<void> {
    const [namespace, name] = [namespaceOf(pod), `${nameOf(pod)}-${volume.name}`];
    const there = claims.get(namespace, name);
    if (there && isControlledBy(there, pod)) return;
    if (there) throw new Error(`PVC ${namespace}/${name} was not created for pod ${namespace}/${nameOf(pod)} (pod is not owner)`);
    const { metadata, spec } = volume.ephemeral?.volumeClaimTemplate ?? {};
    const { labels, annotations } = metadata ?? {};
    await client.of(PERSISTENT_VOLUME_CLAIMS).create({
      metadata: { name, namespace, ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}), ownerReferences: [newControllerRef(pod, PODS)] },
      spec: spec ?? {},
    }, { signal }).catch((err: unknown) => {
      throw new Error(`create PVC ${name}: ${err instanceof Error ? err.message : String(err)}`, { cause: err });
    });
  }
  return newController({
    name: 'ephemeral-volume-controller',
    context,
    sources: (queue) => [
      source(context, queue, PODS, (p) => (hasEphemeral(p) && p.metadata.deletionTimestamp === undefined ? [keyOf(p)] : [])),
      sourceWith(context, PERSISTENT_VOLUME_CLAIMS, {
        onDelete(claim) {
          const ref = controllerOf(claim);
          if (ref?.kind === 'Pod') queue.add(`${namespaceOf(claim)}/${ref.name}`);
        },
      }),
    ],
    async reconcile(key, signal) {
      const pod = pods.getByKey(key);
      if (!pod || pod.metadata.deletionTimestamp !== undefined || uidOf(pod) === '') return undefined;
      for (const volume of pod.spec.volumes ?? []) {
        if (!volume.ephemeral) continue;
        await ensureClaim(pod, volume, signal).catch((err: unknown) => {
          if (!signal.aborted) recorder.event(pod, 'Warning', 'FailedBinding', `ephemeral volume ${volume.name}: ${err instanceof Error ? err.message : String(err)}`);
          throw err;
        });
      }
      return undefined;
    },
  });
}
