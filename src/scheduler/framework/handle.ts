/** What plugins may use of the scheduler. */
import type { Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController, Service } from '#api/gen/core-v1.ts';
import type { ReplicaSet, StatefulSet } from '#api/gen/apps-v1.ts';
import type { PodDisruptionBudget } from '#api/gen/policy-v1.ts';
import type { DeviceClass, ResourceClaim, ResourceSlice } from '#api/gen/resource-v1.ts';
import type { CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment } from '#api/gen/storage-v1.ts';
import type { KubeObject } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import type { Client } from '#client/client.ts';
import type { Informer } from '#client/informer.ts';
import type { SeriesRecorder } from '#client/series-events.ts';
import type { Snapshot } from '../cache/snapshot.ts';
import type { DraManager } from '../dra/dra-manager.ts';
import type { SchedulerMetrics } from '../metrics.ts';
import type { Nominator } from '../queue/nominator.ts';
import type { PodStatusChange } from '../pod-status.ts';
import type { CycleState } from './cycle-state.ts';
import type { NodeInfo } from './node-info.ts';
import type { PodInfo } from './pod-info.ts';
import type { Status } from './status.ts';

/** The reading side of an informer. Cluster-scoped objects have the namespace ''. */
export type Lister<T extends KubeObject> = Pick<Informer<T>, 'get' | 'list' | 'addHandler'>;

export interface Listers {
  readonly pods: Lister<Pod>;
  readonly nodes: Lister<Node>;
  readonly namespaces: Lister<Namespace>;
  readonly services: Lister<Service>;
  readonly replicationControllers: Lister<ReplicationController>;
  readonly replicaSets: Lister<ReplicaSet>;
  readonly statefulSets: Lister<StatefulSet>;
  readonly podDisruptionBudgets: Lister<PodDisruptionBudget>;
  readonly persistentVolumes: Lister<PersistentVolume>;
  readonly persistentVolumeClaims: Lister<PersistentVolumeClaim>;
  readonly storageClasses: Lister<StorageClass>;
  readonly csiNodes: Lister<CSINode>;
  readonly csiDrivers: Lister<CSIDriver>;
  readonly csiStorageCapacities: Lister<CSIStorageCapacity>;
  readonly volumeAttachments: Lister<VolumeAttachment>;
  readonly resourceClaims: Lister<ResourceClaim>;
  readonly resourceSlices: Lister<ResourceSlice>;
  readonly deviceClasses: Lister<DeviceClass>;
}

export interface FrameworkHandle {
  readonly client: Client;
  readonly clock: Clock;
  readonly recorder: Pick<SeriesRecorder, 'event'>;
  readonly listers: Listers;
  readonly dra: DraManager;
  readonly metrics: SchedulerMetrics;
  readonly nominator: Nominator;
  /** At least 0, less than 1. */
  random(): number;
  snapshot(): Snapshot;
  /** Runs the filters on a node, counting the Pods of at least this priority that are nominated for it. */
  filter(state: CycleState, info: PodInfo, node: NodeInfo): Status | undefined;
  /** Adds or removes a Pod on a cloned node, and in what `preFilter` has computed. */
  addPod(state: CycleState, info: PodInfo, added: PodInfo, node: NodeInfo): void;
  removePod(state: CycleState, info: PodInfo, removed: PodInfo, node: NodeInfo): void;
  /** Lets a Pod that a plugin keeps out of the active queue try again; with `force`, one that waits for an event too. */
  reconsider(uid: string, force?: boolean): void;
  /** Writes what differs from `pod` to its status. */
  patchStatus(pod: Pod, change: PodStatusChange, signal: AbortSignal): Promise<void>;
  /** Work that goes on after the cycle; its signal aborts when the scheduler stops. */
  background(work: (signal: AbortSignal) => Promise<void>): void;
}
