/** The informers of the scheduler. */
import type { CSIStorageCapacity } from '#api/gen/storage-v1.ts';
import { namespaceOf, type KubeObject } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import type { Client } from '#client/client.ts';
import { Informer } from '#client/informer.ts';
import {
  CSI_DRIVERS, CSI_NODES, DEVICE_CLASSES, kind, NAMESPACES, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS,
  RESOURCE_CLAIMS, RESOURCE_SLICES, SERVICES, STATEFUL_SETS, STORAGE_CLASSES, VOLUME_ATTACHMENTS, type KindRef,
} from '#client/kinds.ts';
import type { Lister, Listers } from './framework/handle.ts';

const CSI_STORAGE_CAPACITIES = kind<CSIStorageCapacity>('storage.k8s.io', 'v1', 'csistoragecapacities');

type InformerOf<L> = L extends { list(namespace?: string): (infer T extends KubeObject)[] } ? Informer<T> : never;
export type SchedulerInformers = { readonly [K in keyof Listers]: InformerOf<Listers[K]> };

/** Informers of everything that plugins look at, not started yet. */
export function newInformers(client: Client, clock: Clock): SchedulerInformers {
  const of = <T extends KubeObject>(ref: KindRef<T>) => new Informer<T>(client, ref, clock);
  return {
    pods: of(PODS),
    nodes: of(NODES),
    namespaces: of(NAMESPACES),
    services: of(SERVICES),
    replicationControllers: of(REPLICATION_CONTROLLERS),
    replicaSets: of(REPLICA_SETS),
    statefulSets: of(STATEFUL_SETS),
    podDisruptionBudgets: of(POD_DISRUPTION_BUDGETS),
    persistentVolumes: of(PERSISTENT_VOLUMES),
    persistentVolumeClaims: of(PERSISTENT_VOLUME_CLAIMS),
    storageClasses: of(STORAGE_CLASSES),
    csiNodes: of(CSI_NODES),
    csiDrivers: of(CSI_DRIVERS),
    csiStorageCapacities: of(CSI_STORAGE_CAPACITIES),
    volumeAttachments: of(VOLUME_ATTACHMENTS),
    resourceClaims: of(RESOURCE_CLAIMS),
    resourceSlices: of(RESOURCE_SLICES),
    deviceClasses: of(DEVICE_CLASSES),
  };
}

/** What plugins read; listing a namespace of these does not go through all the others. */
export function listersOf(informers: SchedulerInformers): Listers {
  return { ...informers, services: byNamespace(informers.services), podDisruptionBudgets: byNamespace(informers.podDisruptionBudgets) };
}
function byNamespace<T extends KubeObject>(informer: Informer<T>): Lister<T> {
  const index = 'namespace';
  informer.addIndex(index, (obj) => [namespaceOf(obj)]);
  return {
    get: (namespace, name) => informer.get(namespace, name),
    list: (namespace) => (namespace === undefined ? informer.list() : informer.byIndex(index, namespace)),
    addHandler: (handler) => informer.addHandler(handler),
  };
}
