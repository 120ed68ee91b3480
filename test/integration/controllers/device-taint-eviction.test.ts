import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DeviceTaint, DeviceToleration } from '#api/gen/resource-v1.ts';
import { EVENTS, NODES, PODS, RESOURCE_CLAIMS, RESOURCE_SLICES } from '#client/kinds.ts';
import { startInProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually, isGone } from './eventually.ts';

test('Pods go for the taints of their devices, but for those whose claims tolerate them', async () => {
  await using cluster = await startInProcessCluster({ nodes: [] });
  const { client } = cluster;
  await client.of(NODES).create({ metadata: { name: 'n' }, spec: {} });
  const names = ['plain', 'forever', 'long', 'other'];
  const tolerations: Record<string, DeviceToleration[]> = { forever: [{ key: 'sick', operator: 'Exists', effect: 'NoExecute' }], long: [{ key: 'sick', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 3600 }] };
  const devices = (taints?: DeviceTaint[]) => names.map((name) => ({ name, ...(taints && name !== 'other' ? { taints } : {}) }));
  const spec = { driver: 'gpu.example.com', nodeName: 'n', pool: { name: 'n', generation: 1, resourceSliceCount: 1 }, devices: devices() };
  const slice = await client.of(RESOURCE_SLICES).create({ metadata: { name: 's' }, spec });
  for (const name of names) {
    const pod = await client.of(PODS).create({ metadata: { name, namespace: 'default', finalizers: ['example.com/hold'] }, spec: { nodeName: 'n', resourceClaims: [{ name: 'd', resourceClaimName: name }], containers: [{ name: 'c', image: 'x' }] } });
    const claim = await client.of(RESOURCE_CLAIMS).create({ metadata: { name, namespace: 'default' }, spec: { devices: { requests: [{ name: 'r', exactly: { deviceClassName: 'gpu' } }] } } });
    const results = [{ request: 'r', driver: 'gpu.example.com', pool: 'n', device: name, ...(tolerations[name] ? { tolerations: tolerations[name] } : {}) }];
    await client.of(RESOURCE_CLAIMS).updateStatus({ ...claim, status: { allocation: { devices: { results } }, reservedFor: [{ resource: 'pods', name, uid: pod.metadata.uid! }] } });
  }
  const tainted = await client.of(RESOURCE_SLICES).update({ ...slice, spec: { ...spec, devices: devices([{ key: 'sick', effect: 'NoExecute' }]) } });
  assert.match(tainted.spec.devices![0]!.taints![0]!.timeAdded!, /^\d{4}-/);
  const pod = await eventually('the Pod is deleted', async () => {
    const now = await client.of(PODS).get('default', 'plain');
    return now.metadata.deletionTimestamp ? now : undefined;
  });
  const { type, status, reason, message } = pod.status!.conditions!.find((c) => c.type === 'DisruptionTarget')!;
  assert.deepEqual({ type, status, reason, message }, { type: 'DisruptionTarget', status: 'True', reason: 'DeletionByDeviceTaintManager', message: 'Device Taint manager: deleting due to NoExecute taint' });
  const eventsOf = async (name: string) => (await client.of(EVENTS).list({ namespace: 'default' })).items.filter((e) => e.involvedObject.name === name && e.reason === 'DeviceTaintManagerEviction').map((e) => e.message);
  await eventually('the event', async () => (await eventsOf('plain')).includes('Marking for deletion'));
  await eventually('it is counted', async () => (await cluster.server.metrics.text()).includes('\ndevice_taint_eviction_controller_pod_deletions_total 1\n'));
  assert.match(await cluster.server.metrics.text(), /^device_taint_eviction_controller_pod_deletion_duration_seconds_count 1$/m);
  await client.of(RESOURCE_SLICES).update({ ...tainted, spec });
  await eventually('the one that had time is told that it may stay', async () => (await eventsOf('long')).includes('Cancelling deletion'));
  assert.deepEqual([await eventsOf('forever'), await eventsOf('other')], [[], []]);
  for (const name of ['forever', 'long', 'other']) assert.equal((await client.of(PODS).get('default', name)).metadata.deletionTimestamp, undefined);
  await client.of(PODS).patch('default', 'plain', 'application/merge-patch+json', { metadata: { finalizers: null } });
  await client.of(PODS).delete('default', 'plain', { gracePeriodSeconds: 0 });
  await eventually('it is gone', () => isGone(client.of(PODS).get('default', 'plain')));
});
