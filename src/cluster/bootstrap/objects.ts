/** Namespaces, priority classes and the storage class that every cluster has. */
import type { KubeObject } from '#api/object.ts';
import type * as schedulingV1 from '#api/gen/scheduling-v1.ts';
import type * as storageV1 from '#api/gen/storage-v1.ts';
import { LOCAL_PATH } from '#controllers/persistentvolume-binder/local-path.ts';

export const NAMESPACES: readonly KubeObject[] = ['default', 'kube-system', 'kube-public', 'kube-node-lease'].map((name) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }));

export const PRIORITY_CLASSES: readonly schedulingV1.PriorityClass[] = [
  {
    apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name: 'system-node-critical' }, value: 2_000_001_000,
    description: 'Used for system critical pods that must not be moved from their current node.',
  },
  {
    apiVersion: 'scheduling.k8s.io/v1', kind: 'PriorityClass', metadata: { name: 'system-cluster-critical' }, value: 2_000_000_000,
    description: 'Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.',
  },
];

/** The default: directories on the node that the Pod goes to. */
export const STORAGE_CLASSES: readonly storageV1.StorageClass[] = [
  {
    apiVersion: 'storage.k8s.io/v1', kind: 'StorageClass', metadata: { name: 'local-path', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
    provisioner: LOCAL_PATH, reclaimPolicy: 'Delete', volumeBindingMode: 'WaitForFirstConsumer', allowVolumeExpansion: true,
  },
];
