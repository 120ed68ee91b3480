import assert from 'node:assert/strict';
import { test } from 'node:test';
import { storageMetricsText } from './storage-metrics.ts';

test('storageMetricsText counts a storage once, whatever it is served as', () => {
  const events = { size: 2, received: 3 };
  const text = storageMetricsText([
    { info: { group: '', plural: 'events' }, storage: events }, { info: { group: 'events.k8s.io', plural: 'events' }, storage: events },
    { info: { group: 'apps', plural: 'deployments' }, storage: { size: 0, received: 0 } }, { info: { group: '', plural: 'bindings' }, storage: undefined },
  ]);
  assert.deepEqual(text.split('\n').filter((line) => line.startsWith('apiserver')), ['apiserver_storage_objects{resource="events"} 2', 'apiserver_storage_objects{resource="deployments.apps"} 0', 'apiserver_storage_events_received_total{group="",resource="events"} 3']);
});
