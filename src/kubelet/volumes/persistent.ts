/** PersistentVolumes on this node: hostPath, local and NFS; CSI's are `csi/`. Source: API reference PersistentVolumeSpec; concepts/storage/persistent-volumes. */
import { mkdir, stat } from 'node:fs/promises';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import type { Client } from '#client/client.ts';
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from '#client/kinds.ts';
import { LOCAL_PATH_PROVISIONER } from '#machinery/volume-names.ts';
import { prepareHostPath } from './host-path.ts';
import type { Mounter } from './mounter.ts';

/** A claim and the volume behind it. */
export interface BoundClaim {
  readonly claim: PersistentVolumeClaim;
  readonly volume: PersistentVolume;
  /** A device rather than a directory: `volumeMode: Block`. */
  readonly block: boolean;
}
export interface PersistentContext {
  readonly mounter: Mounter;
  /** Where a volume that must be mounted for the Pod goes. */
  mountDir(plugin: string, volumeName: string): string;
}

/** The volume behind a claim. Rejects in upstream's words while the claim is not bound. */
export async function boundClaim(client: Client, pod: Pod, claimName: string, ephemeral: boolean, signal: AbortSignal): Promise<BoundClaim> {
  const namespace = pod.metadata.namespace!;
  const failed = `error processing PVC ${namespace}/${claimName}`;
  const claim = await client.of(PERSISTENT_VOLUME_CLAIMS).get(namespace, claimName, signal).catch((err: unknown) => {
    if (signal.aborted) throw err;
    throw new Error(`${failed}: failed to fetch PVC from API server: ${(err as Error).message}`, { cause: err });
  });
  if (ephemeral) checkOwner(pod, claim);
  if (claim.metadata.deletionTimestamp) throw new Error(`${failed}: PVC is being deleted`);
  if (claim.status?.phase !== 'Bound' || !claim.spec.volumeName) throw new Error(`${failed}: PVC is not bound`);
  const volume = await client.of(PERSISTENT_VOLUMES).get('', claim.spec.volumeName, signal);
  if (volume.spec.claimRef?.uid !== undefined && volume.spec.claimRef.uid !== claim.metadata.uid) throw new Error(`PVC ${namespace}/${claimName} has wrong claimRef: the volume belongs to another claim`);
  return { claim, volume, block: volume.spec.volumeMode === 'Block' };
}
export function isReadOnlyVolume({ spec }: PersistentVolume): boolean {
  return Boolean(spec.accessModes?.length && spec.accessModes.every((m) => m === 'ReadOnlyMany'));
}
/** An ephemeral volume's claim must be the one that was made for this Pod. */
function checkOwner(pod: Pod, pvc: PersistentVolumeClaim): void {
  const owned = pvc.metadata.ownerReferences?.some((o) => o.uid === pod.metadata.uid && o.controller);
  if (!owned) throw new Error(`PVC ${pvc.metadata.namespace}/${pvc.metadata.name} was not created for pod ${pod.metadata.namespace}/${pod.metadata.name} (pod is not owner)`);
}

/** Where a volume other than CSI's is on the host, mounted where it must be. */
export async function pathOf(ctx: PersistentContext, pv: PersistentVolume, block: boolean): Promise<string> {
  const { hostPath, local, nfs } = pv.spec;
  // Pods run as any user, and hostPath volumes know no fsGroup.
  if (hostPath) return await prepareHostPath(hostPath, pv.metadata.annotations?.['pv.kubernetes.io/provisioned-by'] === LOCAL_PATH_PROVISIONER ? 0o777 : undefined);
  if (local) {
    const info = await stat(local.path).catch((err: NodeJS.ErrnoException) => {
      if (err.code === 'ENOENT') throw new Error(`path "${local.path}" does not exist`, { cause: err });
      throw err;
    });
    if (block && !info.isBlockDevice()) throw new Error(`local volume "${local.path}" has volumeMode Block, but it is not a block device`);
    return local.path;
  }
  if (nfs) {
    const dir = ctx.mountDir('kubernetes.io~nfs', pv.metadata.name!);
    await mkdir(dir, { recursive: true, mode: 0o750 });
    if (!(await ctx.mounter.isMountPoint(dir))) await ctx.mounter.nfs(`${nfs.server}:${nfs.path}`, dir, [...(pv.spec.mountOptions ?? []), ...(nfs.readOnly ? ['ro'] : [])]);
    return dir;
  }
  const type = Object.keys(pv.spec).find((k) => ['iscsi', 'fc', 'awsElasticBlockStore', 'gcePersistentDisk', 'azureDisk', 'azureFile', 'cephfs', 'rbd', 'cinder', 'flexVolume', 'portworxVolume', 'vsphereVolume'].includes(k)) ?? 'unknown';
  throw new Error(`no volume plugin matched: volumes of type "${type}" are not supported by this node`);
}
