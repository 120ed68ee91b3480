import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Node } from '#api/gen/core-v1.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { Registry } from '#base/metrics.ts';
import { Client } from '#client/client.ts';
import { EventSender } from '#client/event-sender.ts';
import { InformerFactory } from '#client/informer.ts';
import { EVENTS, LEASES, NODES, PODS } from '#client/kinds.ts';
import { componentUser, inProcessTransport } from '#cluster/in-process-transport.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { newNodeLifecycleController } from '#controllers/node-lifecycle/node-lifecycle.ts';
import { newTaintEvictionController } from '#controllers/taint-eviction/taint-eviction.ts';
import type { Component } from '#base/component.ts';
import { eventually, isGone } from './eventually.ts';

/** A second set of the controllers, on a clock that the test moves, over the same API server; the node is an object nobody reports for. */
describe('a node that stops reporting', () => {
  const clock = new FakeClock(Date.now());
  let cluster: InProcessCluster;
  let informers: InformerFactory;
  let controllers: Component[];
  before(async () => {
    cluster = await startInProcessCluster({ nodes: [] });
    const client = new Client(inProcessTransport(cluster.server, componentUser('test', 'system:masters'), 'test'), 'test');
    informers = new InformerFactory(client, clock);
    const context = { client, informers, clock, events: new EventSender({ clock }), resources: { list: () => [], onChange: () => () => {} }, metrics: new Registry() };
    controllers = [newNodeLifecycleController(context), newTaintEvictionController(context)];
    const time = new Date().toISOString();
    const node: Node = {
      metadata: { name: 'silent' }, spec: {},
      status: { conditions: ['Ready', 'MemoryPressure', 'DiskPressure', 'PIDPressure'].map((type) => ({ type, status: type === 'Ready' ? 'True' : 'False', lastHeartbeatTime: time, lastTransitionTime: time })) },
    };
    const made = await cluster.client.of(NODES).create(node);
    await cluster.client.of(NODES).updateStatus({ ...made, status: node.status! });
    await cluster.client.of(LEASES).create({ metadata: { name: 'silent', namespace: 'kube-node-lease' }, spec: { holderIdentity: 'silent', leaseDurationSeconds: 40, renewTime: '2026-01-02T03:04:05.000000Z' } });
    await cluster.client.of(PODS).create({ metadata: { name: 'p', namespace: 'default' }, spec: { nodeName: 'silent', containers: [{ name: 'c', image: 'x' }], tolerations: [] } });
    const pod = await cluster.client.of(PODS).get('default', 'p');
    await cluster.client.of(PODS).updateStatus({ ...pod, status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] } });
    for (const c of controllers) await c.start(new AbortController().signal);
  });
  after(async () => {
    for (const c of controllers) await c.stop();
    await informers.stop();
    await cluster.stop();
  });
  const node = () => cluster.client.of(NODES).get('', 'silent');
  const ready = async () => (await node()).status?.conditions?.find((c) => c.type === 'Ready');
  /** Moves the clock in small steps, so that what each step sets off is done before the next. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 1000) {
      await clock.advance(1000);
      await flushMicrotasks();
    }
  };

  test('is not silent for the hours that the clock is set forward by', async () => {
    clock.jump(86_400_000);
    await pass(10_000);
    assert.equal((await ready())?.status, 'True');
    assert.deepEqual((await node()).spec.taints ?? [], []);
    clock.jump(-86_400_000);
  });
  test('is Unknown after the grace period, tainted, and its Pods are not ready', async () => {
    await pass(30_000);
    assert.equal((await ready())?.status, 'True');
    await pass(12_000);
    const condition = await eventually('the node is Unknown', async () => {
      const c = await ready();
      return c?.status === 'Unknown' && c;
    });
    assert.equal(condition.reason, 'NodeStatusUnknown');
    assert.equal(condition.message, 'Kubelet stopped posting node status.');
    const taints = await eventually('the node is tainted', async () => {
      const list = (await node()).spec.taints ?? [];
      return list.length >= 2 && list;
    });
    assert.deepEqual(taints.map((t) => `${t.key}:${t.effect}`).toSorted(), ['node.kubernetes.io/unreachable:NoExecute', 'node.kubernetes.io/unreachable:NoSchedule']);
    await eventually('the Pod is unready', async () => (await cluster.client.of(PODS).get('default', 'p')).status?.conditions?.find((c) => c.type === 'Ready')?.status === 'False');
  });
  test('loses its Pods when they tolerate it no longer', async () => {
    assert.equal((await cluster.client.of(PODS).get('default', 'p')).metadata.deletionTimestamp, undefined);
    await pass(301_000);
    await eventually('the Pod is deleted', async () => (await isGone(cluster.client.of(PODS).get('default', 'p'))) || (await cluster.client.of(PODS).get('default', 'p')).metadata.deletionTimestamp !== undefined);
  });
  test('loses its taints when it reports again', async () => {
    const current = await node();
    const time = new Date(clock.now()).toISOString();
    await cluster.client.of(NODES).updateStatus({ ...current, status: { ...current.status, conditions: (current.status?.conditions ?? []).map((c) => ({ ...c, status: c.type === 'Ready' ? 'True' : 'False', lastHeartbeatTime: time })) } });
    await eventually('the taints are gone', async () => ((await node()).spec.taints ?? []).length === 0);
  });
  test('has the old labels of its platform, and is told of when it goes', async () => {
    await cluster.client.of(NODES).patch('', 'silent', 'application/merge-patch+json', { metadata: { labels: { 'kubernetes.io/os': 'linux', 'kubernetes.io/arch': 'riscv64' } } });
    await eventually('the old ones follow', async () => {
      const labels = (await node()).metadata.labels ?? {};
      return labels['beta.kubernetes.io/os'] === 'linux' && labels['beta.kubernetes.io/arch'] === 'riscv64';
    });
    await cluster.client.of(NODES).delete('', 'silent');
    const told = await eventually('it is told', async () => (await cluster.client.of(EVENTS).list({ namespace: 'default' })).items.find((e) => e.reason === 'RemovingNode'));
    assert.deepEqual([told.message, told.involvedObject.apiVersion], ['Node silent event: Removing Node silent from Controller', 'v1']);
  });
});
