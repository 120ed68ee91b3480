/**
 * The built-in provisioner: a volume is a directory on the node that the Pod goes to. It does what external provisioners do: makes
 * volumes for claims that name it, and deletes those that are released.
 */
import type { Node, PersistentVolume, PersistentVolumeClaim } from '#api/gen/core-v1.ts';
import type { StorageClass } from '#api/gen/storage-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, STORAGE_CLASSES } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { LOCAL_PATH_PROVISIONER } from '#machinery/volume-names.ts';
import { newController, recorderOf, source, type ControllerContext } from '../controller.ts';
import { classOfClaim, PROVISIONED_BY, PROVISIONER, SELECTED_NODE } from './matching.ts';

export const LOCAL_PATH = LOCAL_PATH_PROVISIONER;
const HOSTNAME = 'kubernetes.io/hostname';
const MODES: ReadonlySet<string> = new Set(['ReadWriteOnce', 'ReadWriteOncePod']);
/** The longest name that file systems take. The first part of ours tells them apart. */
const MAX_NAME = 255;
const CLAIM = 'claim:';
const VOLUME = 'volume:';

/** Directories for volumes on the nodes. */
export interface NodeStorage {
  /** Makes a directory that everybody may write to; resolves with its path on the node. Idempotent. */
  create(node: Node, directory: string, signal: AbortSignal): Promise<string>;
  /** Removes a directory of its own and all in it. Rejects for any other path. Idempotent. */
  remove(node: Node, path: string, signal: AbortSignal): Promise<void>;
}

/** Why a claim cannot be served. */
function refusal({ spec }: PersistentVolumeClaim): string | undefined {
  if (spec.selector) return 'claim.Spec.Selector is not supported';
  if (spec.volumeMode === 'Block') return `${LOCAL_PATH} does not support block volume provisioning`;
  return spec.accessModes?.every((m) => MODES.has(m)) ? undefined : `${LOCAL_PATH} only supports ReadWriteOnce and ReadWriteOncePod access modes`;
}
export function newVolume(claim: PersistentVolumeClaim, storageClass: StorageClass, hostname: string, path: string): PersistentVolume {
  return {
    metadata: { name: `pvc-${uidOf(claim)}`, annotations: { [PROVISIONED_BY]: LOCAL_PATH } },
    spec: {
      accessModes: claim.spec.accessModes, capacity: { storage: claim.spec.resources?.requests?.['storage'] ?? '0' }, volumeMode: 'Filesystem', storageClassName: nameOf(storageClass),
      claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace: namespaceOf(claim), name: nameOf(claim), uid: uidOf(claim), resourceVersion: claim.metadata.resourceVersion },
      persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? 'Delete', ...(storageClass.mountOptions ? { mountOptions: storageClass.mountOptions } : {}),
      hostPath: { path, type: 'DirectoryOrCreate' },
      nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: HOSTNAME, operator: 'In', values: [hostname] }] }] } },
    },
  };
}

/** How volumes name a node. */
const hostnameOf = (node: Node): string => node.metadata.labels?.[HOSTNAME] ?? nameOf(node);

export function newLocalPathProvisioner(context: ControllerContext, storage: NodeStorage): Component {
  const { client, informers } = context;
  const claims = informers.informer(PERSISTENT_VOLUME_CLAIMS);
  const volumes = informers.informer(PERSISTENT_VOLUMES);
  const classes = informers.informer(STORAGE_CLASSES);
  const nodes = informers.informer(NODES);
  const recorder = recorderOf(context, LOCAL_PATH);

  const isOurs = (claim: PersistentVolumeClaim): boolean => !claim.spec.volumeName && claim.metadata.deletionTimestamp === undefined && claim.metadata.annotations?.[PROVISIONER] === LOCAL_PATH;
  function fail(claim: PersistentVolumeClaim, why: string): void {
    recorder.event(claim, 'Warning', 'ProvisioningFailed', `failed to provision volume with StorageClass ${JSON.stringify(classOfClaim(claim))}: ${why}`);
  }
  /** Lets the scheduler choose anew. */
  async function reschedule(claim: PersistentVolumeClaim, signal: AbortSignal): Promise<void> {
    const { [SELECTED_NODE]: _, ...annotations } = claim.metadata.annotations ?? {};
    await client.of(PERSISTENT_VOLUME_CLAIMS).update({ ...claim, metadata: { ...claim.metadata, annotations } }, { signal });
  }
  async function provision(claim: PersistentVolumeClaim, signal: AbortSignal): Promise<undefined> {
    const storageClass = classes.get('', classOfClaim(claim));
    const nodeName = claim.metadata.annotations?.[SELECTED_NODE];
    if (!storageClass || storageClass.provisioner !== LOCAL_PATH) return;
    if (nodeName === undefined) {
      if (storageClass.volumeBindingMode !== 'WaitForFirstConsumer') fail(claim, 'a node must be selected first: the class needs volumeBindingMode WaitForFirstConsumer');
      return;
    }
    recorder.event(claim, 'Normal', 'Provisioning', `External provisioner is provisioning volume for claim ${JSON.stringify(keyOf(claim))}`);
    const why = refusal(claim);
    if (why !== undefined) return void fail(claim, why);
    const node = nodes.get('', nodeName);
    if (!node) {
      fail(claim, `failed to get target node: node ${JSON.stringify(nodeName)} not found`);
      return void (await reschedule(claim, signal));
    }
    try {
      const path = await storage.create(node, `pvc-${uidOf(claim)}_${namespaceOf(claim)}_${nameOf(claim)}`.slice(0, MAX_NAME), signal);
      const volume = await client.of(PERSISTENT_VOLUMES).create(newVolume(claim, storageClass, hostnameOf(node), path), { signal });
      recorder.event(claim, 'Normal', 'ProvisioningSucceeded', `Successfully provisioned volume ${nameOf(volume)}`);
    } catch (err) {
      if (isReason(err, 'AlreadyExists')) return;
      fail(claim, err instanceof Error ? err.message : String(err));
      throw err;
    }
    return;
  }
  async function remove(volume: PersistentVolume, signal: AbortSignal): Promise<undefined> {
    const { spec, status, metadata } = volume;
    if (metadata.annotations?.[PROVISIONED_BY] !== LOCAL_PATH || spec.persistentVolumeReclaimPolicy !== 'Delete' || (status?.phase !== 'Released' && status?.phase !== 'Failed')) return;
    try {
      const path = spec.hostPath?.path ?? '';
      await storage.remove(nodeOf(volume, path), path, signal);
      await client.of(PERSISTENT_VOLUMES).delete('', nameOf(volume), { preconditions: { uid: uidOf(volume) } }, signal);
    } catch (err) {
      if (isReason(err, 'NotFound') || isReason(err, 'Conflict')) return;
      recorder.event(volume, 'Warning', 'VolumeFailedDelete', err instanceof Error ? err.message : String(err));
      throw err;
    }
  }
  /** The node that the volume is on. Throws where the cluster has it no more. */
  function nodeOf(volume: PersistentVolume, path: string): Node {
    const hostname = volume.spec.nodeAffinity?.required?.nodeSelectorTerms[0]?.matchExpressions?.find((e) => e.key === HOSTNAME)?.values?.[0] ?? '';
    const node = nodes.list().find((n) => hostnameOf(n) === hostname);
    if (!node) throw new Error(`directory "${path}" is on node "${hostname}", which is not in the cluster: remove it there, then delete the volume`);
    return node;
  }

  return newController({
    name: 'local-path-provisioner',
    context,
    baseDelayMs: 1000,
    maxDelayMs: 300_000,
    sources: (queue) => [
      source(context, queue, PERSISTENT_VOLUME_CLAIMS, (c) => (isOurs(c) ? [CLAIM + keyOf(c)] : [])),
      source(context, queue, PERSISTENT_VOLUMES, (v) => [VOLUME + nameOf(v)]),
      source(context, queue, STORAGE_CLASSES, () => claims.list().filter(isOurs).map((c) => CLAIM + keyOf(c))),
      source(context, queue, NODES, () => []),
    ],
    async reconcile(key, signal) {
      const claim = key.startsWith(CLAIM) ? claims.getByKey(key.slice(CLAIM.length)) : undefined;
      const volume = key.startsWith(VOLUME) ? volumes.get('', key.slice(VOLUME.length)) : undefined;
      if (claim && isOurs(claim)) await provision(claim, signal);
      if (volume) await remove(volume, signal);
      return undefined;
    },
  });
}
