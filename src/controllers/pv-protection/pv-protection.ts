/** Keeps volumes while they are bound. Source: as `pvc-protection.ts`; upstream's counterpart: persistentvolume-protection-controller. */
import { nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { PERSISTENT_VOLUMES } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, source, type ControllerContext } from '../controller.ts';
import { untilCaughtUp } from '../workload/stale.ts';

const FINALIZER = 'kubernetes.io/pv-protection';

export function newPvProtectionController(context: ControllerContext): Component {
  const { client, informers } = context;
  const volumes = informers.informer(PERSISTENT_VOLUMES);
  return newController({
    name: 'persistentvolume-protection-controller',
    context,
    sources: (queue) => [source(context, queue, PERSISTENT_VOLUMES, (v) => [nameOf(v)])],
    async reconcile(name, signal) {
      const volume = volumes.get('', name);
      const finalizers = volume?.metadata.finalizers ?? [];
      const held = finalizers.includes(FINALIZER);
      const going = volume?.metadata.deletionTimestamp !== undefined;
      if (!volume || held !== going || (going && volume.status?.phase === 'Bound')) return undefined;
      const next = going ? finalizers.filter((f) => f !== FINALIZER) : [...finalizers, FINALIZER];
      return await untilCaughtUp(async () => {
        await client.of(PERSISTENT_VOLUMES).update({ ...volume, metadata: { ...volume.metadata, finalizers: next } }, { signal }).catch((err: unknown) => {
          if (!isReason(err, 'NotFound')) throw err;
        });
        return undefined;
      });
    },
  });
}
