/**
 * Tells that a claim waits for somebody to grow it: no volume that is served here is grown by the control plane itself. Upstream's
 * counterpart: persistentvolume-expander-controller, for plugins that it cannot expand.
 */
import { keyOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from '#client/kinds.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';
import { LOCAL_PATH } from '../persistentvolume-binder/local-path.ts';
import { PROVISIONED_BY } from '../persistentvolume-binder/matching.ts';
import { wantedGrowth } from './growth.ts';

export function newPersistentVolumeExpander(context: ControllerContext): Component {
  const claims = context.informers.informer(PERSISTENT_VOLUME_CLAIMS);
  const volumes = context.informers.informer(PERSISTENT_VOLUMES);
  const recorder = recorderOf(context, 'volume_expand');
  return newController({
    name: 'persistentvolume-expander-controller',
    context,
    sources: (queue) => [
      sourceWith(context, PERSISTENT_VOLUME_CLAIMS, {
        onAdd: (c) => queue.add(keyOf(c)),
        onUpdate: (old, c) => wantedGrowth(c) !== wantedGrowth(old) && queue.add(keyOf(c)),
      }),
      source(context, queue, PERSISTENT_VOLUMES, () => []),
    ],
    reconcile(key) {
      const claim = claims.getByKey(key);
      if (!claim || wantedGrowth(claim) === undefined) return Promise.resolve(undefined);
      const volume = volumes.get('', claim.spec.volumeName ?? '');
      if (volume && volume.metadata.annotations?.[PROVISIONED_BY] !== LOCAL_PATH) recorder.event(claim, 'Normal', 'ExternalExpanding', 'waiting for an external controller to expand this PVC');
      return Promise.resolve(undefined);
    },
  });
}
