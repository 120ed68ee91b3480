/** What each kind's storage holds and has heard: upstream's `apiserver_storage_…` metrics, read when somebody scrapes. */
import type { ResourceInfo } from '#api/resources.ts';
import { Gauge } from '#base/metrics.ts';
import type { Store } from '#store/contract.ts';
import { labelText, metricBlock } from '../http/request-metrics.ts';
import type { ObjectStorage } from './object-cache.ts';

type Counted = Pick<ObjectStorage, 'size' | 'received' | 'bytes' | 'revision'> & { readonly ring: Pick<ObjectStorage['ring'], 'capacity'> };
export interface StoredResource {
  readonly info: Pick<ResourceInfo, 'group' | 'plural'>;
  /** Absent: nothing of the kind is stored. */
  readonly storage: Counted | undefined;
}

type Labels = Readonly<Record<string, string>>;
const byGroup = ({ group, plural }: StoredResource['info']): Labels => ({ group, resource: plural });
const byName = ({ group, plural }: StoredResource['info']): Labels => ({ resource: group === '' ? plural : `${plural}.${group}` });
/** Upstream shows 15 digits of it. */
const REVISIONS = 10 ** 15;
/** Undefined: no line yet. */
type Family = readonly [name: string, help: string, type: 'counter' | 'gauge', labels: (info: StoredResource['info']) => Labels, value: (storage: Counted) => number | undefined];
const FAMILIES: readonly Family[] = [
  ['apiserver_storage_objects', 'Number of stored objects by kind.', 'gauge', byName, (s) => s.size],
  ['apiserver_resource_objects', 'Number of stored objects by kind.', 'gauge', byGroup, (s) => s.size],
  ['apiserver_resource_size_estimate_bytes', 'Size of stored objects by kind, before encryption.', 'gauge', byGroup, (s) => s.bytes],
  ['apiserver_storage_events_received_total', 'Number of events received from the store by kind.', 'counter', byGroup, (s) => s.received || undefined],
  ['apiserver_watch_cache_events_received_total', 'Number of events received in watch cache by kind.', 'counter', byGroup, (s) => s.received || undefined],
  ['apiserver_watch_cache_resource_version', 'Resource version of watch cache by kind, its 15 least significant digits.', 'gauge', byGroup, (s) => s.revision % REVISIONS],
  ['watch_cache_capacity', 'Number of events that watch cache keeps by kind.', 'gauge', byGroup, (s) => s.ring.capacity],
];

/** `resources`: those that are served; versions and groups that share a storage count once, under the first. */
export function storageMetricsText(resources: readonly StoredResource[]): string {
  const first = new Map<Counted, StoredResource['info']>();
  for (const { info, storage } of resources) if (storage && !first.has(storage)) first.set(storage, info);
  return FAMILIES.map(([name, help, type, labels, value]) => metricBlock(name, help, type, Array.from(first, ([storage, info]) => {
    const shown = value(storage);
    return shown === undefined ? [] : [`${name}{${labelText(labels(info))}} ${shown}`];
  }).flat())).join('');
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
