/** The informers of the scheduler. */
import type { CSIStorageCapacity } from '#api/gen/storage-v1.ts';
import { namespaceOf, type KubeObject } from '#api/object.ts';
import type { Informer, InformerFactory } from '#client/informer.ts';
import {
  CSI_DRIVERS, CSI_NODES, kind, NAMESPACES, NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, REPLICATION_CONTROLLERS,
  SERVICES, STATEFUL_SETS, STORAGE_CLASSES, VOLUME_ATTACHMENTS,
} from '#client/kinds.ts';
import type { Lister, Listers } from './framework/handle.ts';

const CSI_STORAGE_CAPACITIES = kind<CSIStorageCapacity>('storage.k8s.io', 'v1', 'csistoragecapacities');

type InformerOf<L> = L extends { list(namespace?: string): (infer T extends KubeObject)[] } ? Informer<T> : never;
export type SchedulerInformers = { readonly [K in keyof Listers]: InformerOf<Listers[K]> };

/** Informers of everything that plugins look at, started. */
export function newInformers(factory: InformerFactory): SchedulerInformers {
  return {
    pods: factory.informer(PODS),
    nodes: factory.informer(NODES),
    namespaces: factory.informer(NAMESPACES),
    services: factory.informer(SERVICES),
    replicationControllers: factory.informer(REPLICATION_CONTROLLERS),
    replicaSets: factory.informer(REPLICA_SETS),
    statefulSets: factory.informer(STATEFUL_SETS),
    podDisruptionBudgets: factory.informer(POD_DISRUPTION_BUDGETS),
    persistentVolumes: factory.informer(PERSISTENT_VOLUMES),
    persistentVolumeClaims: factory.informer(PERSISTENT_VOLUME_CLAIMS),
    storageClasses: factory.informer(STORAGE_CLASSES),
    csiNodes: factory.informer(CSI_NODES),
    csiDrivers: factory.informer(CSI_DRIVERS),
    csiStorageCapacities: factory.informer(CSI_STORAGE_CAPACITIES),
    volumeAttachments: factory.informer(VOLUME_ATTACHMENTS),
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
