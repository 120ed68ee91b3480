import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { DaemonSet } from '#api/gen/apps-v1.ts';
import { nameOf, uidOf } from '#api/object.ts';
import { CONTROLLER_REVISIONS, DAEMON_SETS, NODES, RESOURCE_QUOTAS } from '#client/kinds.ts';
import type { InProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually } from './eventually.ts';
import { newNamespace, podsOf, someEventsOf, startWithNamespace, template, withImage } from './workloads.ts';

describe('DaemonSets', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startWithNamespace('ds', { nodes: ['node-1', 'node-2', 'node-3'] });
  });
  after(() => cluster.stop());
  const create = (name: string, spec: Partial<DaemonSet['spec']> = {}) =>
    cluster.client.of(DAEMON_SETS).create({ metadata: { name, namespace: 'ds' }, spec: { selector: { matchLabels: { app: name } }, template: template(name), ...spec } });
  const until = (name: string, what: string, check: (ds: DaemonSet) => boolean) => eventually(what, async () => {
    const found = await cluster.client.of(DAEMON_SETS).get('ds', name);
    return check(found) && found;
  });
  const isOut = (count: number) => ({ metadata, status }: DaemonSet): boolean =>
    status?.observedGeneration === metadata.generation && status?.desiredNumberScheduled === count && status.updatedNumberScheduled === count && status.numberAvailable === count;
  const pods = (name: string) => podsOf(cluster.client, 'ds', name);
  const nodeNames = async (name: string) => (await pods(name)).filter((p) => p.metadata.deletionTimestamp === undefined).map((p) => p.spec.nodeName).toSorted();
  const setTemplate = (name: string, image: string) => cluster.client.of(DAEMON_SETS).patch('ds', name, 'application/merge-patch+json', { spec: { template: withImage(template(name), image) } });

  test('put one Pod on each node, bound by affinity, with the daemons’ tolerations', async () => {
    const ds = await create('agent');
    const done = await until('agent', 'it is out', isOut(3));
    assert.deepEqual(await nodeNames('agent'), ['node-1', 'node-2', 'node-3']);
    const { items: [revision] } = await cluster.client.of(CONTROLLER_REVISIONS).list({ namespace: 'ds', labelSelector: 'app=agent' });
    const hash = revision!.metadata.labels!['controller-revision-hash']!;
    assert.deepEqual([nameOf(revision!), revision!.revision], [`agent-${hash}`, 1]);
    for (const pod of await pods('agent')) {
      assert.deepEqual(pod.metadata.labels, { app: 'agent', 'controller-revision-hash': hash, 'pod-template-generation': '1' });
      assert.deepEqual(pod.spec.affinity, { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: [pod.spec.nodeName] }] }] } } });
      assert.deepEqual(pod.spec.tolerations?.map((t) => `${t.key}:${t.effect}`), [
        'node.kubernetes.io/not-ready:NoExecute', 'node.kubernetes.io/unreachable:NoExecute', 'node.kubernetes.io/disk-pressure:NoSchedule',
        'node.kubernetes.io/memory-pressure:NoSchedule', 'node.kubernetes.io/pid-pressure:NoSchedule', 'node.kubernetes.io/unschedulable:NoSchedule',
      ]);
    }
    assert.deepEqual(done.status, {
      currentNumberScheduled: 3, numberMisscheduled: 0, desiredNumberScheduled: 3, numberReady: 3, observedGeneration: 1, updatedNumberScheduled: 3, numberAvailable: 3,
    });
    const told = (await pods('agent')).map((p) => `SuccessfulCreate: Created pod: ${nameOf(p)}`);
    assert.deepEqual((await someEventsOf(cluster.client, ds, 3)).toSorted(), told.toSorted());
  });
  test('roll over one node at a time, keep history, and roll back', async () => {
    await create('roll');
    await until('roll', 'it is out', isOut(3));
    const first = new Set((await pods('roll')).map(uidOf));
    await setTemplate('roll', 'b:1');
    await until('roll', 'the new template is out', isOut(3));
    assert.ok((await pods('roll')).every((p) => !first.has(uidOf(p)) || p.metadata.deletionTimestamp !== undefined));
    await setTemplate('roll', 'nginx:1.14.2');
    await until('roll', 'the first template is back', isOut(3));
    const { items } = await cluster.client.of(CONTROLLER_REVISIONS).list({ namespace: 'ds', labelSelector: 'app=roll' });
    assert.deepEqual(items.map((r) => r.revision).toSorted(), [2, 3]);
  });
  test('surge: a node keeps its old Pod until the new one is available', async () => {
    await create('surge', { updateStrategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } });
    await until('surge', 'it is out', isOut(3));
    await setTemplate('surge', 'b:1');
    let fewest = 3;
    await eventually('the new template is out', async () => {
      const ready = (await pods('surge')).filter((p) => p.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'));
      fewest = Math.min(fewest, new Set(ready.map((p) => p.spec.nodeName)).size);
      return isOut(3)(await cluster.client.of(DAEMON_SETS).get('ds', 'surge'));
    });
    assert.equal(fewest, 3, 'every node has a ready Pod at any time');
  });
  test('OnDelete: only Pods that somebody deletes are replaced', async () => {
    await create('manual', { updateStrategy: { type: 'OnDelete' } });
    await until('manual', 'it is out', isOut(3));
    await setTemplate('manual', 'b:1');
    const seen = await until('manual', 'the change is seen', (ds) => ds.status?.observedGeneration === ds.metadata.generation);
    assert.equal(seen.status?.updatedNumberScheduled ?? 0, 0);
    assert.equal(seen.status?.numberAvailable, 3);
  });
  test('follow labels and taints of nodes', async () => {
    await create('ssd', { template: template('ssd', { nodeSelector: { disk: 'ssd' } }) });
    const none = await until('ssd', 'no node fits', (ds) => ds.status?.observedGeneration === 1);
    assert.equal(none.status?.desiredNumberScheduled, 0);
    const label = (disk: string | null) => cluster.client.of(NODES).patch('', 'node-2', 'application/merge-patch+json', { metadata: { labels: { disk } } });
    await label('ssd');
    await until('ssd', 'one node fits', isOut(1));
    assert.deepEqual(await nodeNames('ssd'), ['node-2']);
    const taint = (effect: string | null) => cluster.client.of(NODES).patch('', 'node-2', 'application/merge-patch+json', { spec: { taints: effect === null ? null : [{ key: 'k', value: 'v', effect }] } });
    await taint('NoSchedule');
    const kept = await until('ssd', 'the Pod stays, misplaced', (ds) => ds.status?.numberMisscheduled === 1);
    assert.equal(kept.status?.desiredNumberScheduled, 0);
    await taint(null);
    await until('ssd', 'it is in its place again', isOut(1));
    await label(null);
    await eventually('the Pod goes', async () => (await pods('ssd')).length === 0);
  });
  test('tell that they were looked at also where their Pods are refused', async () => {
    await newNamespace(cluster.client, 'refused');
    await cluster.client.of(RESOURCE_QUOTAS).create({ metadata: { name: 'none', namespace: 'refused' }, spec: { hard: { pods: '0' } } });
    await eventually('the quota counts', async () => (await cluster.client.of(RESOURCE_QUOTAS).get('refused', 'none')).status?.used?.['pods'] === '0');
    await cluster.client.of(DAEMON_SETS).create({ metadata: { name: 'barred', namespace: 'refused' }, spec: { selector: { matchLabels: { app: 'barred' } }, template: template('barred') } });
    const { status } = await eventually('it is told', async () => {
      const found = await cluster.client.of(DAEMON_SETS).get('refused', 'barred');
      return found.status?.observedGeneration === 1 && found;
    });
    assert.equal(status?.currentNumberScheduled, 0);
  });
  test('a node that comes is served, one that goes counts no more', async () => {
    await create('grow');
    await until('grow', 'it is out', isOut(3));
    await cluster.client.of(NODES).create({ metadata: { name: 'node-4' }, spec: {} });
    await until('grow', 'the fourth node counts', (ds) => ds.status?.desiredNumberScheduled === 4 && ds.status.currentNumberScheduled === 4);
    await cluster.client.of(NODES).delete('', 'node-4');
    await until('grow', 'it does not any more', (ds) => ds.status?.desiredNumberScheduled === 3);
  });
});
