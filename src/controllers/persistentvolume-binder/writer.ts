/** The writes of the binder: each does nothing where all is as it should be, and resolves with the object as it is then. */
import type { PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf } from '#api/object.ts';
import { rfc3339, type Clock } from '#base/clock.ts';
import { draftOf } from '#base/draft.ts';
import type { Client } from '#client/client.ts';
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from '#client/kinds.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { BIND_COMPLETED, BOUND_BY_CONTROLLER, isBoundTo, OLD_PROVISIONER, PROVISIONER } from './matching.ts';

export class VolumeWriter {
  readonly #client: Client;
  readonly #clock: Clock;

  constructor(client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }
  async volumePhase(volume: PersistentVolume, phase: 'Available' | 'Bound' | 'Released' | 'Failed', message: string, signal: AbortSignal): Promise<PersistentVolume> {
    if (volume.status?.phase === phase && (volume.status.message ?? '') === message) return volume;
    const moved = volume.status?.phase === phase ? {} : { lastPhaseTransitionTime: rfc3339(this.#clock.now()) };
    return await this.#client.of(PERSISTENT_VOLUMES).updateStatus({ ...volume, status: { ...volume.status, ...moved, phase, message: message || undefined } }, { signal });
  }
  async claimStatus(claim: PersistentVolumeClaim, phase: 'Pending' | 'Bound' | 'Lost', volume: PersistentVolume | undefined, signal: AbortSignal): Promise<PersistentVolumeClaim> {
    const { accessModes: _, capacity: before, currentVolumeAttributesClassName: known, ...rest } = claim.status ?? {};
    // A bound claim keeps its size: growing it is another's work.
    const capacity = claim.status?.phase === 'Bound' && before ? before : volume?.spec.capacity;
    // From then on the resizer keeps it.
    const attributesClass = claim.status?.phase === 'Pending' && phase === 'Bound' ? volume?.spec.volumeAttributesClassName : known;
    const status: PersistentVolumeClaimStatus = {
      ...rest, phase, ...(volume ? { accessModes: volume.spec.accessModes, capacity, ...(attributesClass === undefined ? {} : { currentVolumeAttributesClassName: attributesClass }) } : {}),
    };
    if (semanticEqual(claim.status, status)) return claim;
    return await this.#client.of(PERSISTENT_VOLUME_CLAIMS).updateStatus({ ...claim, status }, { signal });
  }
  /** Both sides, volume first: a claim never points to a volume that may go to another. */
  async bind(volume: PersistentVolume, claim: PersistentVolumeClaim, signal: AbortSignal): Promise<void> {
    const bound = await this.volumePhase(await this.#bindVolume(volume, claim, signal), 'Bound', '', signal);
    await this.claimStatus(await this.#bindClaim(claim, bound, signal), 'Bound', bound, signal);
  }
  async #bindVolume(volume: PersistentVolume, claim: PersistentVolumeClaim, signal: AbortSignal): Promise<PersistentVolume> {
    const { name, namespace, uid, resourceVersion } = claim.metadata;
    const ref = volume.spec.claimRef;
    if (ref && ref.uid === uid && isBoundTo(volume, claim)) return volume;
    const next = draftOf(volume);
    if (!ref) next.metadata.annotations = { ...next.metadata.annotations, [BOUND_BY_CONTROLLER]: 'yes' };
    next.spec.claimRef = { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace, uid, resourceVersion };
    return await this.#client.of(PERSISTENT_VOLUMES).update(next, { signal });
  }
  async #bindClaim(claim: PersistentVolumeClaim, volume: PersistentVolume, signal: AbortSignal): Promise<PersistentVolumeClaim> {
    const named = claim.spec.volumeName === nameOf(volume);
    if (named && claim.metadata.annotations?.[BIND_COMPLETED] !== undefined) return claim;
    const annotations = { ...claim.metadata.annotations, ...(named ? {} : { [BOUND_BY_CONTROLLER]: 'yes' }), [BIND_COMPLETED]: 'yes' };
    return await this.#client.of(PERSISTENT_VOLUME_CLAIMS).update({ ...claim, metadata: { ...claim.metadata, annotations }, spec: { ...claim.spec, volumeName: nameOf(volume) } }, { signal });
  }
  /** Frees a volume whose claim went elsewhere: one that an administrator set aside stays so. */
  async unbind(volume: PersistentVolume, signal: AbortSignal): Promise<void> {
    const next = draftOf(volume);
    if (next.metadata.annotations?.[BOUND_BY_CONTROLLER] === undefined) next.spec.claimRef!.uid = '';
    else {
      delete next.metadata.annotations[BOUND_BY_CONTROLLER];
      delete next.spec.claimRef;
    }
    await this.volumePhase(await this.#client.of(PERSISTENT_VOLUMES).update(next, { signal }), 'Available', '', signal);
  }
  async setClass(claim: PersistentVolumeClaim, storageClassName: string, signal: AbortSignal): Promise<void> {
    await this.#client.of(PERSISTENT_VOLUME_CLAIMS).update({ ...claim, spec: { ...claim.spec, storageClassName } }, { signal });
  }
  /** Tells a provisioner that the claim is for it. */
  async setProvisioner(claim: PersistentVolumeClaim, provisioner: string, signal: AbortSignal): Promise<void> {
    const names = { [PROVISIONER]: provisioner, [OLD_PROVISIONER]: provisioner };
    if (claim.metadata.annotations?.[PROVISIONER] === provisioner && claim.metadata.annotations[OLD_PROVISIONER] === provisioner) return;
    await this.#client.of(PERSISTENT_VOLUME_CLAIMS).update({ ...claim, metadata: { ...claim.metadata, annotations: { ...claim.metadata.annotations, ...names } } }, { signal });
  }
}
export function claimKey(claim: PersistentVolumeClaim): string {
  return `claim:${namespaceOf(claim)}/${nameOf(claim)}`;
}
