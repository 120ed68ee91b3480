/**
 * Brings claims and volumes together, asks provisioners for volumes that are not there, and says what becomes of volumes whose claim
 * is gone. Source: concepts/storage/persistent-volumes; upstream's counterpart: persistentvolume-binder-controller.
 */
import type { PersistentVolume, PersistentVolumeClaim } from '#api/gen/core-v1.ts';
import type { StorageClass } from '#api/gen/storage-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import type { EventType } from '#client/events.ts';
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, STORAGE_CLASSES } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { BIND_COMPLETED, classOfClaim, classOfVolume, defaultClass, findVolume, hasNoClass, isBoundTo, mismatch, NO_PROVISIONER, PROVISIONED_BY, SELECTED_NODE } from './matching.ts';
import { claimKey, VolumeWriter } from './writer.ts';

const CLAIM = 'claim:';
const VOLUME = 'volume:';

export function newPersistentVolumeBinder(context: ControllerContext): Component {
  const { client, informers, clock } = context;
  const claims = informers.informer(PERSISTENT_VOLUME_CLAIMS);
  const volumes = informers.informer(PERSISTENT_VOLUMES);
  const classes = informers.informer(STORAGE_CLASSES);
  const pods = informers.informer(PODS);
  const recorder = recorderOf(context, 'persistentvolume-controller');
  const writer = new VolumeWriter(client, clock);
  const tell = (obj: PersistentVolume | PersistentVolumeClaim, type: EventType, reason: string, message: string) => recorder.event(obj, type, reason, message);

  const isUnbound = (claim: PersistentVolumeClaim): boolean => claim.metadata.annotations?.[BIND_COMPLETED] === undefined;
  const unboundOf = (className: string | undefined): string[] => claims.list().filter((c) => isUnbound(c) && (className === undefined || classOfClaim(c) === className)).map(claimKey);

  async function syncUnbound(claim: PersistentVolumeClaim, signal: AbortSignal): Promise<void> {
    if (claim.spec.volumeName) return await bindRequested(claim, claim.spec.volumeName, signal);
    const storageClass = classes.get('', classOfClaim(claim));
    const waits = storageClass?.volumeBindingMode === 'WaitForFirstConsumer' && claim.metadata.annotations?.[SELECTED_NODE] === undefined;
    const volume = findVolume(claim, volumes.list(), waits);
    if (volume) return await writer.bind(volume, claim, signal);
    const fallback = hasNoClass(claim) ? defaultClass(classes.list()) : undefined;
    if (fallback) return await writer.setClass(claim, nameOf(fallback), signal);
    if (waits) tellWaiting(claim);
    else if (classOfClaim(claim)) return await provision(claim, storageClass, signal);
    else tell(claim, 'Normal', 'FailedBinding', 'no persistent volumes available for this claim and no storage class is set');
    await writer.claimStatus(claim, 'Pending', undefined, signal);
  }
  function tellWaiting(claim: PersistentVolumeClaim): void {
    const waiting = pods.list(namespaceOf(claim)).filter((p) => !p.spec.nodeName && p.spec.volumes?.some((v) => (v.ephemeral ? `${nameOf(p)}-${v.name}` : v.persistentVolumeClaim?.claimName) === nameOf(claim))).map(nameOf);
    if (waiting.length === 0) tell(claim, 'Normal', 'WaitForFirstConsumer', 'waiting for first consumer to be created before binding');
    else tell(claim, 'Normal', 'WaitForPodScheduled', `waiting for pod${waiting.length > 1 ? 's' : ''} ${waiting.join(',')} to be scheduled`);
  }
  async function provision(claim: PersistentVolumeClaim, storageClass: StorageClass | undefined, signal: AbortSignal): Promise<void> {
    if (!storageClass) return tell(claim, 'Warning', 'ProvisioningFailed', `storageclass.storage.k8s.io ${JSON.stringify(classOfClaim(claim))} not found`);
    const { provisioner } = storageClass;
    if (provisioner === NO_PROVISIONER) return tell(claim, 'Warning', 'ProvisioningFailed', `no volume plugin matched name: ${NO_PROVISIONER}`);
    await writer.setProvisioner(claim, provisioner, signal);
    tell(claim, 'Normal', 'ExternalProvisioning', `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`);
  }
  /** A claim that names its volume. */
  async function bindRequested(claim: PersistentVolumeClaim, name: string, signal: AbortSignal): Promise<void> {
    const volume = volumes.get('', name);
    if (volume && !volume.spec.claimRef) {
      const why = mismatch(volume, claim);
      if (why === undefined) return await writer.bind(volume, claim, signal);
      tell(claim, 'Warning', 'VolumeMismatch', `Cannot bind to requested volume ${JSON.stringify(name)}: ${why}`);
    } else if (volume && isBoundTo(volume, claim)) return await writer.bind(volume, claim, signal);
    else if (volume) tell(claim, 'Warning', 'FailedBinding', `volume ${JSON.stringify(name)} already bound to a different claim.`);
    await writer.claimStatus(claim, 'Pending', undefined, signal);
  }
  async function syncBound(claim: PersistentVolumeClaim, signal: AbortSignal): Promise<void> {
    const { volumeName } = claim.spec;
    if (!volumeName) return await lose(claim, 'ClaimLost', 'Bound claim has lost reference to PersistentVolume. Data on the volume is lost!', signal);
    const volume = volumes.get('', volumeName) ?? (await live(volumeName, signal));
    if (!volume) return await lose(claim, 'ClaimLost', 'Bound claim has lost its PersistentVolume. Data on the volume is lost!', signal);
    const ref = volume.spec.claimRef;
    if (ref && ref.uid !== uidOf(claim)) return await lose(claim, 'ClaimMisbound', 'Two claims are bound to the same volume, this one is bound incorrectly', signal);
    await writer.bind(volume, claim, signal);
  }
  async function lose(claim: PersistentVolumeClaim, reason: string, message: string, signal: AbortSignal): Promise<void> {
    if (claim.status?.phase === 'Lost') return;
    await writer.claimStatus(claim, 'Lost', undefined, signal);
    tell(claim, 'Warning', reason, message);
  }
  function live(name: string, signal: AbortSignal): Promise<PersistentVolume | undefined> {
    return client.of(PERSISTENT_VOLUMES).get('', name, signal).catch((err: unknown) => {
      if (isReason(err, 'NotFound')) return undefined;
      throw err;
    });
  }
  /** The claim that a volume is for; asked of the server where the informer does not have it: a volume must not be reclaimed by mistake. */
  async function claimOf(volume: PersistentVolume, signal: AbortSignal): Promise<PersistentVolumeClaim | undefined> {
    const { namespace = '', name = '', uid } = volume.spec.claimRef ?? {};
    const known = claims.get(namespace, name);
    const claim = known && uidOf(known) === uid ? known : await client.of(PERSISTENT_VOLUME_CLAIMS).get(namespace, name, signal).catch((err: unknown) => {
      if (isReason(err, 'NotFound')) return undefined;
      throw err;
    });
    return claim && uidOf(claim) === uid ? claim : undefined;
  }

  async function syncVolume(volume: PersistentVolume, enqueue: (key: string) => void, signal: AbortSignal): Promise<void> {
    const ref = volume.spec.claimRef;
    if (!ref?.uid) return void (await writer.volumePhase(volume, 'Available', '', signal));
    const claim = await claimOf(volume, signal);
    if (!claim) return await release(volume, signal);
    if (!claim.spec.volumeName) {
      if ((volume.spec.volumeMode ?? 'Filesystem') === (claim.spec.volumeMode ?? 'Filesystem')) return enqueue(claimKey(claim));
      const message = `Cannot bind PersistentVolume ${JSON.stringify(nameOf(volume))} to requested PersistentVolumeClaim ${JSON.stringify(nameOf(claim))} due to incompatible volumeMode.`;
      tell(volume, 'Warning', 'VolumeMismatch', message);
      return tell(claim, 'Warning', 'VolumeMismatch', message);
    }
    if (claim.spec.volumeName === nameOf(volume)) return void (await writer.volumePhase(volume, 'Bound', '', signal));
    // The claim has another volume. One made for it is of no use any more.
    if (volume.metadata.annotations?.[PROVISIONED_BY] !== undefined && volume.spec.persistentVolumeReclaimPolicy === 'Delete') return await release(volume, signal);
    await writer.unbind(volume, signal);
  }
  async function release(volume: PersistentVolume, signal: AbortSignal): Promise<void> {
    const { phase } = volume.status ?? {};
    const released = phase === 'Released' || phase === 'Failed' ? volume : await writer.volumePhase(volume, 'Released', '', signal);
    const policy = volume.spec.persistentVolumeReclaimPolicy;
    // What a provisioner has made, it deletes; and what a driver serves.
    const isForeign = volume.metadata.annotations?.[PROVISIONED_BY] !== undefined || volume.spec.csi !== undefined;
    if (policy === 'Retain' || (policy === 'Delete' && isForeign) || phase === 'Failed') return;
    const [reason, message] = policy === 'Delete'
      ? ['VolumeFailedDelete', `error getting deleter volume plugin for volume ${JSON.stringify(nameOf(volume))}: no deletable volume plugin matched`]
      : ['VolumeFailedRecycle', 'No recycler plugin found for the volume!'];
    await writer.volumePhase(released, 'Failed', message!, signal);
    tell(volume, 'Warning', reason!, message!);
  }

  const controller = newController({
    name: 'persistentvolume-binder-controller',
    context,
    // One at a time: two claims must not be given the same volume.
    workers: 1,
    sources: (queue) => [
      source(context, queue, PERSISTENT_VOLUME_CLAIMS, (c) => [claimKey(c), ...(c.spec.volumeName ? [VOLUME + c.spec.volumeName] : [])]),
      sourceWith(context, PERSISTENT_VOLUME_CLAIMS, {
        // A volume may be set aside for the claim though the claim does not know it.
        onDelete: (c) => volumes.list().filter((v) => v.spec.claimRef?.uid === uidOf(c)).forEach((v) => queue.add(VOLUME + nameOf(v))),
      }),
      source(context, queue, PERSISTENT_VOLUMES, (v) => {
        const ref = v.spec.claimRef;
        return [VOLUME + nameOf(v), ...(ref ? [`${CLAIM}${ref.namespace}/${ref.name}`] : v.status?.phase === 'Available' ? unboundOf(classOfVolume(v)) : [])];
      }),
      source(context, queue, STORAGE_CLASSES, () => unboundOf(undefined)),
      sourceWith(context, PODS, {}),
    ],
    async reconcile(key, signal) {
      const claim = key.startsWith(CLAIM) ? claims.getByKey(key.slice(CLAIM.length)) : undefined;
      const volume = key.startsWith(VOLUME) ? volumes.get('', key.slice(VOLUME.length)) : undefined;
      return await untilCaughtUp(async () => {
        if (claim) await (isUnbound(claim) ? syncUnbound(claim, signal) : syncBound(claim, signal));
        if (volume) await syncVolume(volume, (k) => controller.queue.add(k), signal);
        return undefined;
      });
    },
  });
  return controller;
}
