/** What each kind's storage holds and has heard: upstream's `apiserver_storage_…` metrics, read when somebody scrapes. */
import type { ResourceInfo } from '#api/resources.ts';
import { Gauge } from '#base/metrics.ts';
import type { Store } from '#store/contract.ts';
import { labelText, metricBlock } from '../http/request-metrics.ts';
import type { ObjectStorage } from './object-cache.ts';

export interface StoredResource {
  readonly info: Pick<ResourceInfo, 'group' | 'plural'>;
  /** Absent: nothing of the kind is stored. */
  readonly storage: Pick<ObjectStorage, 'size' | 'received'> | undefined;
}

/** `resources`: those that are served; versions and groups that share a storage count once, under the first. */
export function storageMetricsText(resources: readonly StoredResource[]): string {
  const first = new Map<StoredResource['storage'], StoredResource['info']>();
  for (const { info, storage } of resources) if (storage && !first.has(storage)) first.set(storage, info);
  const lines = (name: string, labels: (info: StoredResource['info']) => Readonly<Record<string, string>>, value: 'size' | 'received') =>
    [...first].flatMap(([storage, info]) => (value === 'received' && storage!.received === 0 ? [] : [`${name}{${labelText(labels(info))}} ${storage![value]}`]));
  return [
    metricBlock('apiserver_storage_objects', 'Number of stored objects by kind.', 'gauge', lines('apiserver_storage_objects', ({ group, plural }) => ({ resource: group === '' ? plural : `${plural}.${group}` }), 'size')),
    metricBlock('apiserver_storage_events_received_total', 'Number of events received from the store by kind.', 'counter', lines('apiserver_storage_events_received_total', ({ group, plural }) => ({ group, resource: plural }), 'received')),
  ].join('\n');
}

/** The size of the store's file, asked for when somebody scrapes; without a line where there is no file, or nobody answers. */
export function storageSizeGauge(store: Pick<Store, 'sizeBytes'>): Gauge {
  return new Gauge({
    name: 'apiserver_storage_size_bytes', help: 'Size of the file that the store has allocated, in bytes.', labelNames: ['storage_cluster_id'], registers: [],
    async collect() {
      const bytes = await store.sizeBytes?.().catch(() => undefined);
      if (bytes === undefined) this.reset();
      else this.set({ storage_cluster_id: 'etcd-0' }, bytes);
    },
  });
}
