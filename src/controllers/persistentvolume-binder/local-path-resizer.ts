/** Grows volumes of the built-in provisioner, as an external resizer does: a directory takes what its file system has. */
import type { PersistentVolume, PersistentVolumeClaim } from '#api/gen/core-v1.ts';
import { keyOf, nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from '#client/kinds.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { newController, recorderOf, source, type ControllerContext } from '../controller.ts';
import { wantedGrowth } from '../persistentvolume-expander/growth.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { LOCAL_PATH } from './local-path.ts';
import { PROVISIONED_BY } from './matching.ts';

const MERGE = 'application/merge-patch+json';

export function newLocalPathResizer(context: ControllerContext): Component {
  const { client, informers } = context;
  const claims = informers.informer(PERSISTENT_VOLUME_CLAIMS);
  const volumes = informers.informer(PERSISTENT_VOLUMES);
  const recorder = recorderOf(context, `external-resizer ${LOCAL_PATH}`);

  function volumeOf(claim: PersistentVolumeClaim): PersistentVolume | undefined {
    const volume = volumes.get('', claim.spec.volumeName ?? '');
    return volume?.metadata.annotations?.[PROVISIONED_BY] === LOCAL_PATH && volume.spec.claimRef?.uid === claim.metadata.uid ? volume : undefined;
  }
  /** Volume first: a claim never has more than its volume. */
  async function grow(claim: PersistentVolumeClaim, volume: PersistentVolume, storage: string, signal: AbortSignal): Promise<undefined> {
    recorder.event(claim, 'Normal', 'Resizing', `External resizer is resizing volume ${nameOf(volume)}`);
    if (parseQuantity(volume.spec.capacity?.['storage'] ?? '0').cmp(parseQuantity(storage)) < 0) await client.of(PERSISTENT_VOLUMES).patch('', nameOf(volume), MERGE, { spec: { capacity: { storage } } }, { signal });
    const status = { ...claim.status, capacity: { ...claim.status?.capacity, storage }, allocatedResources: { ...claim.status?.allocatedResources, storage } };
    await client.of(PERSISTENT_VOLUME_CLAIMS).updateStatus({ ...claim, status }, { signal });
    recorder.event(claim, 'Normal', 'VolumeResizeSuccessful', 'Resize volume succeeded');
    return undefined;
  }
  return newController({
    name: 'local-path-resizer',
    context,
    sources: (queue) => [
      source(context, queue, PERSISTENT_VOLUME_CLAIMS, (c) => (wantedGrowth(c) === undefined ? [] : [keyOf(c)])),
      source(context, queue, PERSISTENT_VOLUMES, () => []),
    ],
    async reconcile(key, signal) {
      const claim = claims.getByKey(key);
      const storage = claim && wantedGrowth(claim);
      const volume = claim && volumeOf(claim);
      if (!claim || storage === undefined || !volume) return undefined;
      return await untilCaughtUp(() => grow(claim, volume, storage, signal));
    },
  });
}
