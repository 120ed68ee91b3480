/** Volumes, claims and classes for tests. */
import type { PersistentVolume, PersistentVolumeClaim } from '#api/gen/core-v1.ts';
import type { StorageClass } from '#api/gen/storage-v1.ts';

interface VolumeOptions {
  readonly storage?: string;
  readonly storageClass?: string;
  /** The only node that has it. */
  readonly node?: string;
  readonly zone?: string;
  readonly claim?: string;
  readonly csi?: readonly [driver: string, handle: string];
}
export function makeVolume(name: string, { storage = '1Gi', storageClass = 'late', node, zone, claim, csi }: VolumeOptions = {}): PersistentVolume {
  const nodeAffinity = node === undefined ? undefined : { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In' as const, values: [node] }] }] } };
  return {
    apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name, uid: name, ...(zone ? { labels: { 'topology.kubernetes.io/zone': zone } } : {}) },
    spec: {
      capacity: { storage }, accessModes: ['ReadWriteOnce'], storageClassName: storageClass, ...(nodeAffinity ? { nodeAffinity } : {}),
      ...(claim ? { claimRef: { namespace: 'default', name: claim, uid: claim } } : {}), ...(csi ? { csi: { driver: csi[0], volumeHandle: csi[1] } } : {}),
    },
    status: { phase: claim ? 'Bound' : 'Available' },
  };
}

interface ClaimOptions {
  readonly storage?: string;
  readonly storageClass?: string;
  /** The volume it is bound to. */
  readonly volume?: string;
  readonly selectedNode?: string;
  readonly mode?: 'ReadWriteOnce' | 'ReadWriteOncePod';
  readonly phase?: 'Lost';
  readonly deleting?: boolean;
}
export function makeClaim(name: string, { storage = '1Gi', storageClass = 'late', volume, selectedNode, mode = 'ReadWriteOnce', phase, deleting }: ClaimOptions = {}): PersistentVolumeClaim {
  const annotations = { ...(volume ? { 'pv.kubernetes.io/bind-completed': 'yes' } : {}), ...(selectedNode ? { 'volume.kubernetes.io/selected-node': selectedNode } : {}) };
  return {
    apiVersion: 'v1', kind: 'PersistentVolumeClaim',
    metadata: { name, namespace: 'default', uid: name, annotations, ...(deleting ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}) },
    spec: { accessModes: [mode], storageClassName: storageClass, resources: { requests: { storage } }, ...(volume ? { volumeName: volume } : {}) },
    status: { phase: phase ?? (volume ? 'Bound' : 'Pending') },
  };
}
export function makeStorageClass(name: string, more: Partial<StorageClass> = {}): StorageClass {
  return { apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name }, provisioner: 'example.com/disk', volumeBindingMode: 'WaitForFirstConsumer', ...more };
}
