/** What each kind's storage holds and has heard: upstream's `apiserver_storage_…` metrics, read when somebody scrapes. */
import type { ResourceInfo } from '#api/resources.ts';
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
