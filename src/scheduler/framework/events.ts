/** What happens in the cluster, as far as it may make a Pod schedulable. Upstream's counterpart: the queueing hints of KEP-4247. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { KubeObject } from '#api/object.ts';

export type EventResource =
  | 'AssignedPod'
  /** The waiting Pod itself. */
  | 'TargetPod'
  | 'Node' | 'PersistentVolume' | 'PersistentVolumeClaim' | 'StorageClass' | 'CSINode' | 'CSIDriver' | 'CSIStorageCapacity' | 'VolumeAttachment' | 'Namespace'
  | 'ResourceClaim' | 'ResourceSlice' | 'DeviceClass';
export type EventAction =
  | 'Add' | 'Delete' | 'Update'
  | 'UpdateLabel' | 'UpdateAllocatable' | 'UpdateTaint' | 'UpdateCondition' | 'UpdateAnnotation' | 'UpdateDeclaredFeature'
  | 'UpdateScaleDown' | 'UpdateToleration' | 'UpdateGatesEliminated' | 'UpdateGeneratedResourceClaim';

export interface ClusterEvent {
  readonly resource: EventResource;
  /** What of the object changed, at least one. */
  readonly actions: readonly EventAction[];
}
export type QueueingHint = 'Queue' | 'Skip';

/** An event that may help a Pod which the plugin has refused. */
export interface EventInterest {
  readonly resource: EventResource;
  readonly actions: readonly EventAction[];
  /** Absent: always queue. `old` is absent for additions, `obj` for deletions. */
  hint?(pod: Pod, old: KubeObject | undefined, obj: KubeObject | undefined): QueueingHint;
}
