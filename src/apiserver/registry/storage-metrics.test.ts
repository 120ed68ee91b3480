import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storageMetricsText, storageSizeGauge } from './storage-metrics.ts';

test('storageMetricsText counts a storage once, whatever it is served as', () => {
  const events = { size: 2, received: 3, bytes: 512, revision: 7, ring: { capacity: 100 } };
  const text = storageMetricsText([
    { info: { group: '', plural: 'events' }, storage: events }, { info: { group: 'events.k8s.io', plural: 'events' }, storage: events },
    { info: { group: 'apps', plural: 'deployments' }, storage: { size: 0, received: 0, bytes: 0, revision: 10 ** 15 + 8, ring: { capacity: 50 } } }, { info: { group: '', plural: 'bindings' }, storage: undefined },
  ]);
  assert.deepEqual(text.split('\n').filter((line) => line.startsWith('apiserver_')), [
    'apiserver_storage_objects{resource="events"} 2', 'apiserver_storage_objects{resource="deployments.apps"} 0',
    'apiserver_resource_objects{group="",resource="events"} 2', 'apiserver_resource_objects{group="apps",resource="deployments"} 0',
    'apiserver_resource_size_estimate_bytes{group="",resource="events"} 512', 'apiserver_resource_size_estimate_bytes{group="apps",resource="deployments"} 0',
    'apiserver_storage_events_received_total{group="",resource="events"} 3', 'apiserver_watch_cache_events_received_total{group="",resource="events"} 3',
    'apiserver_watch_cache_resource_version{group="",resource="events"} 7', 'apiserver_watch_cache_resource_version{group="apps",resource="deployments"} 8',
  ]);
});

test('storageMetricsText tells how many events each cache keeps', () => {
  const storage = { size: 0, received: 0, bytes: 0, revision: 1, ring: { capacity: 50 } };
  assert.match(storageMetricsText([{ info: { group: 'apps', plural: 'deployments' }, storage }]), /^watch_cache_capacity\{group="apps",resource="deployments"\} 50$/m);
});

test('storageSizeGauge tells the size of the file while there is an answer', async () => {
  let answer: Promise<number | undefined> = Promise.resolve(4096);
  const gauge = storageSizeGauge({ sizeBytes: () => answer });
  assert.deepEqual((await gauge.get()).values.map(({ labels, value }) => [labels, value]), [[{ storage_cluster_id: 'etcd-0' }, 4096]]);
  answer = Promise.reject(new Error('gone'));
  assert.deepEqual((await gauge.get()).values, []);
  assert.deepEqual((await storageSizeGauge({}).get()).values, []);
});
