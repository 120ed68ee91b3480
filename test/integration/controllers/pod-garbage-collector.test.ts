import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NODES, PODS } from '#client/kinds.ts';
import { startInProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually, isGone } from './eventually.ts';

test('a terminating Pod goes with a node that is out of service, and is told of no disruption', async () => {
  await using cluster = await startInProcessCluster({ nodes: [] });
  const { client } = cluster;
  await client.of(NODES).create({ metadata: { name: 'lost' }, spec: {} });
  await client.of(PODS).create({ metadata: { name: 'stuck', namespace: 'default', finalizers: ['example.com/hold'] }, spec: { nodeName: 'lost', containers: [{ name: 'c', image: 'x' }] } });
  await client.of(PODS).delete('default', 'stuck', {});
  assert.equal((await client.of(PODS).get('default', 'stuck')).status?.phase, 'Pending');
  await client.of(NODES).patch('', 'lost', 'application/merge-patch+json', { spec: { taints: [{ key: 'node.kubernetes.io/out-of-service', value: 'nodeshutdown', effect: 'NoSchedule' }] } });
  const pod = await eventually('it has failed', async () => {
    const now = await client.of(PODS).get('default', 'stuck');
    return now.status?.phase === 'Failed' && now;
  });
  assert.deepEqual([pod.status?.observedGeneration, pod.status?.conditions?.find((c) => c.type === 'DisruptionTarget')], [pod.metadata.generation, undefined]);
  await client.of(PODS).patch('default', 'stuck', 'application/merge-patch+json', { metadata: { finalizers: null } });
  await eventually('it goes', () => isGone(client.of(PODS).get('default', 'stuck')));
});
