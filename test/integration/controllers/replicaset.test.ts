import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { ReplicaSet } from '#api/gen/apps-v1.ts';
import { nameOf, uidOf } from '#api/object.ts';
import { PODS, REPLICA_SETS, REPLICATION_CONTROLLERS, SERVICE_ACCOUNTS } from '#client/kinds.ts';
import type { InProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually } from './eventually.ts';
import { eventsOf, podsOf, setReady, someEventsOf, startWithNamespace, template } from './workloads.ts';

describe('ReplicaSets', () => {
  let cluster: InProcessCluster;
  before(async () => {
    // Without nodes nothing happens to Pods but what the tests do.
    cluster = await startWithNamespace('sets', { nodes: [] });
  });
  after(() => cluster.stop());
  const create = (name: string, spec: Partial<ReplicaSet['spec']> = {}) =>
    cluster.client.of(REPLICA_SETS).create({ metadata: { name, namespace: 'sets' }, spec: { replicas: 3, selector: { matchLabels: { app: name } }, template: template(name), ...spec } });
  const pods = (name: string) => podsOf(cluster.client, 'sets', name);
  const settled = (name: string, what: string, check: (rs: ReplicaSet) => boolean) => eventually(what, async () => {
    const rs = await cluster.client.of(REPLICA_SETS).get('sets', name);
    return check(rs) && rs;
  });

  test('make Pods that they own, and tell of each', async () => {
    const rs = await create('web');
    const seen = await settled('web', 'three Pods are counted', (r) => r.status?.replicas === 3);
    const made = await pods('web');
    assert.equal(made.length, 3);
    for (const pod of made) {
      assert.match(nameOf(pod), /^web-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
      assert.equal(pod.metadata.generateName, 'web-');
      assert.deepEqual(pod.metadata.ownerReferences, [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: uidOf(rs), controller: true, blockOwnerDeletion: true }]);
    }
    assert.deepEqual(seen.status, { replicas: 3, fullyLabeledReplicas: 3, terminatingReplicas: 0, observedGeneration: 1 });
    const events = await someEventsOf(cluster.client, rs, 3);
    assert.deepEqual(events.toSorted(), made.map((p) => `SuccessfulCreate: Created pod: ${nameOf(p)}`).toSorted());
  });
  test('replace what is deleted or has ended', async () => {
    await create('heal', { replicas: 2 });
    const [first, second] = await eventually('two Pods are there', async () => ((await pods('heal')).length === 2 ? pods('heal') : undefined));
    await cluster.client.of(PODS).delete('sets', nameOf(first!));
    await cluster.client.of(PODS).patch('sets', nameOf(second!), 'application/merge-patch+json', { status: { phase: 'Failed' } }, { subresource: 'status' });
    await eventually('two others are there', async () => (await pods('heal')).filter((p) => p.status?.phase === 'Pending' && p !== first).length === 2);
    assert.equal((await cluster.client.of(REPLICA_SETS).get('sets', 'heal')).status?.replicas, 2);
  });
  test('count ready and available Pods; minReadySeconds delays availability', async () => {
    await create('slow', { replicas: 1, minReadySeconds: 1 });
    const [pod] = await eventually('the Pod is there', async () => ((await pods('slow')).length === 1 ? pods('slow') : undefined));
    await setReady(cluster.client, pod!);
    const ready = await settled('slow', 'it is ready', (r) => r.status?.readyReplicas === 1);
    assert.equal(ready.status?.availableReplicas ?? 0, 0);
    await settled('slow', 'it is available without another event', (r) => r.status?.availableReplicas === 1);
  });
  test('scale down: the cheapest first', async () => {
    const rs = await create('down', { replicas: 3 });
    const made = await eventually('three Pods are there', async () => ((await pods('down')).length === 3 ? pods('down') : undefined));
    for (const [i, pod] of made.entries()) {
      await cluster.client.of(PODS).patch('sets', nameOf(pod), 'application/merge-patch+json', { metadata: { annotations: { 'controller.kubernetes.io/pod-deletion-cost': String(i) } } });
      await setReady(cluster.client, pod);
    }
    await settled('down', 'all are ready', (r) => r.status?.readyReplicas === 3);
    await cluster.client.of(REPLICA_SETS).patch('sets', 'down', 'application/merge-patch+json', { spec: { replicas: 1 } });
    await settled('down', 'one is left', (r) => r.status?.replicas === 1);
    const left = (await pods('down')).filter((p) => p.metadata.deletionTimestamp === undefined);
    assert.deepEqual(left.map(nameOf), [nameOf(made[2]!)]);
    const told = await eventually('deletions are told', async () => {
      const events = (await eventsOf(cluster.client, rs)).filter((e) => e.startsWith('SuccessfulDelete'));
      return events.length === 2 && events;
    });
    assert.deepEqual(told.toSorted(), made.slice(0, 2).map((p) => `SuccessfulDelete: Deleted pod: ${nameOf(p)}`).toSorted());
  });
  test('adopt orphans that match and release what no longer does', async () => {
    const orphan = await cluster.client.of(PODS).create({ metadata: { name: 'orphan', namespace: 'sets', labels: { app: 'adopt' } }, spec: template('adopt').spec! });
    const rs = await create('adopt', { replicas: 1 });
    await settled('adopt', 'the orphan counts', (r) => r.status?.replicas === 1);
    const adopted = await cluster.client.of(PODS).get('sets', 'orphan');
    assert.equal(adopted.metadata.ownerReferences?.[0]?.uid, uidOf(rs));
    assert.equal((await pods('adopt')).length, 1);
    await cluster.client.of(PODS).patch('sets', 'orphan', 'application/merge-patch+json', { metadata: { labels: { app: 'elsewhere' } } });
    await eventually('another takes its place', async () => (await pods('adopt')).length === 1);
    const released = await eventually('it is released', async () => {
      const pod = await cluster.client.of(PODS).get('sets', 'orphan');
      return pod.metadata.ownerReferences === undefined && pod;
    });
    assert.equal(uidOf(released), uidOf(orphan));
  });
  test('tell why Pods cannot be made, and take it back when they can', async () => {
    const rs = await create('big', { template: template('big', { serviceAccountName: 'ghost' }) });
    const failed = await eventually('the failure is told', async () => {
      const found = await cluster.client.of(REPLICA_SETS).get('sets', 'big');
      return found.status?.conditions !== undefined && found;
    });
    const [condition] = failed.status!.conditions!;
    assert.deepEqual([condition!.type, condition!.status, condition!.reason], ['ReplicaFailure', 'True', 'FailedCreate']);
    assert.match(condition!.message!, /^pods "big-(\w{5})?" is forbidden: error looking up service account sets\/ghost: serviceaccount "ghost" not found$/);
    await eventually('an event tells it', async () => (await eventsOf(cluster.client, rs)).some((e) => e.startsWith('FailedCreate: Error creating: pods "big-')));
    await cluster.client.of(SERVICE_ACCOUNTS).create({ metadata: { name: 'ghost', namespace: 'sets' } });
    await eventually('all is well again', async () => {
      const { status } = await cluster.client.of(REPLICA_SETS).get('sets', 'big');
      return status?.replicas === 3 && status.conditions === undefined;
    });
  });
  test('ReplicationControllers do the same with plain selectors', async () => {
    const rc = await cluster.client.of(REPLICATION_CONTROLLERS).create({ metadata: { name: 'old', namespace: 'sets' }, spec: { replicas: 2, selector: { app: 'old' }, template: template('old') } });
    await eventually('two Pods are counted', async () => (await cluster.client.of(REPLICATION_CONTROLLERS).get('sets', 'old')).status?.replicas === 2);
    const [pod] = await pods('old');
    assert.deepEqual(pod!.metadata.ownerReferences, [{ apiVersion: 'v1', kind: 'ReplicationController', name: 'old', uid: uidOf(rc), controller: true, blockOwnerDeletion: true }]);
  });
});
