/** PersistentVolumes on this node: hostPath, local and NFS. Source: API reference PersistentVolumeSpec; concepts/storage/persistent-volumes. */
import { mkdir, stat } from 'node:fs/promises';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import type { Client } from '#client/client.ts';
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from '#client/kinds.ts';
import { prepareHostPath } from './host-path.ts';
import type { Mounter } from './mounter.ts';

export interface BoundVolume {
  readonly hostPath: string;
  readonly readOnly: boolean;
  /** A device rather than a directory: `volumeMode: Block`. */
  readonly block: boolean;
}
export interface PersistentContext {
  readonly client: Client;
  readonly mounter: Mounter;
  /** Where a volume that must be mounted for the Pod goes. */
  mountDir(plugin: string, volumeName: string): string;
}

/** The volume behind a claim, ready on this node. Rejects in upstream's words while the claim is not bound. */
export async function bindClaim(ctx: PersistentContext, pod: Pod, claimName: string, readOnly: boolean, ephemeral: boolean, signal: AbortSignal): Promise<BoundVolume> {
  const namespace = pod.metadata.namespace!;
  const pvc = await ctx.client.of(PERSISTENT_VOLUME_CLAIMS).get(namespace, claimName, signal);
  if (ephemeral) checkOwner(pod, pvc);
  if (pvc.metadata.deletionTimestamp) throw new Error(`error processing PVC ${namespace}/${claimName}: PVC is being deleted`);
  if (pvc.status?.phase !== 'Bound' || !pvc.spec.volumeName) throw new Error(`error processing PVC ${namespace}/${claimName}: PVC is not bound`);
  const pv = await ctx.client.of(PERSISTENT_VOLUMES).get('', pvc.spec.volumeName, signal);
  if (pv.spec.claimRef?.uid !== undefined && pv.spec.claimRef.uid !== pvc.metadata.uid) throw new Error(`PVC ${namespace}/${claimName} has wrong claimRef: the volume belongs to another claim`);
  const block = pv.spec.volumeMode === 'Block';
  return { hostPath: await pathOf(ctx, pv, block), readOnly: readOnly || Boolean(pv.spec.accessModes?.length && pv.spec.accessModes.every((m) => m === 'ReadOnlyMany')), block };
}
/** An ephemeral volume's claim must be the one that was made for this Pod. */
function checkOwner(pod: Pod, pvc: PersistentVolumeClaim): void {
  const owned = pvc.metadata.ownerReferences?.some((o) => o.uid === pod.metadata.uid && o.controller);
  if (!owned) throw new Error(`PVC ${pvc.metadata.namespace}/${pvc.metadata.name} was not created for pod ${pod.metadata.namespace}/${pod.metadata.name} (pod is not owner)`);
}

async function pathOf(ctx: PersistentContext, pv: PersistentVolume, block: boolean): Promise<string> {
  const { hostPath, local, nfs } = pv.spec;
  if (hostPath) return await prepareHostPath(hostPath);
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
  const type = Object.keys(pv.spec).find((k) => ['csi', 'iscsi', 'fc', 'awsElasticBlockStore', 'gcePersistentDisk', 'azureDisk', 'azureFile', 'cephfs', 'rbd', 'cinder', 'flexVolume', 'portworxVolume', 'vsphereVolume'].includes(k)) ?? 'unknown';
  throw new Error(`no volume plugin matched: volumes of type "${type}" are not supported by this node`);
}
