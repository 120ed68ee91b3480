/** A node that stops reporting, and comes back. */
import assert from 'node:assert/strict';
import type { Lease } from '#api/gen/coordination-v1.ts';
import type { Node, Pod } from '#api/gen/core-v1.ts';
import { rfc3339, rfc3339Micro } from '#base/clock.ts';
import { LEASES, NODES, PODS } from '#client/kinds.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitForEvent, waitForNode, waitForPod } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster();

const NAME = 'node02';
const READY = { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' };

/** A second node whose kubelet is this test: it registers, and reports when it is told to. */
async function register(c: TestCluster): Promise<void> {
  const client = await c.client();
  await client.of(NODES).create({ apiVersion: 'v1', kind: 'Node', metadata: { name: NAME, labels: { 'kubernetes.io/hostname': NAME } }, spec: {} } as Node);
}
async function report(c: TestCluster): Promise<void> {
  const client = await c.client();
  const now = rfc3339(Date.now());
  const status = { conditions: [{ ...READY, lastHeartbeatTime: now, lastTransitionTime: now }], capacity: { cpu: '2', memory: '4Gi', pods: '110' }, allocatable: { cpu: '2', memory: '4Gi', pods: '110' } };
  await client.of(NODES).patch('', NAME, 'application/strategic-merge-patch+json', { status }, { subresource: 'status' });
  const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name: NAME, namespace: 'kube-node-lease' }, spec: { holderIdentity: NAME, leaseDurationSeconds: 40, renewTime: rfc3339Micro(Date.now()) } } as Lease;
  await client.of(LEASES).create(lease).catch(() => client.of(LEASES).patch('kube-node-lease', NAME, 'application/merge-patch+json', { spec: { renewTime: rfc3339Micro(Date.now()) } }));
}
const readyOf = (node: Node): string | undefined => node.status?.conditions?.find((x) => x.type === 'Ready')?.status;
const taintsOf = (node: Node): string[] => (node.spec.taints ?? []).map((t) => `${t.key}:${t.effect}`).toSorted();

test('a node that stops reporting is NotReady and tainted, its Pods are evicted in their time; it comes back', async (c) => {
  await register(c);
  await report(c);
  await waitForNode(c, NAME, 'Ready without taints', (n) => readyOf(n) === 'True' && taintsOf(n).length === 0);
  const pods = (await c.client()).of(PODS);
  const bound = (name: string, tolerationSeconds: number): Pod => ({
    apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default' },
    spec: { nodeName: NAME, containers: [{ name: 'c', image: 'x' }], tolerations: ['not-ready', 'unreachable'].map((what) => ({ key: `node.kubernetes.io/${what}`, operator: 'Exists', effect: 'NoExecute', tolerationSeconds })) },
  }) as Pod;
  for (const [name, seconds] of [['hasty', 1], ['patient', 3600]] as const) {
    await pods.create(bound(name, seconds));
    await pods.patch('default', name, 'application/strategic-merge-patch+json', { status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }, { type: 'ContainersReady', status: 'True' }], containerStatuses: [{ name: 'c', image: 'x', imageID: '', ready: true, restartCount: 0, started: true, state: { running: { startedAt: rfc3339(Date.now()) } } }] } }, { subresource: 'status' });
  }
  assert.match((await c.shell('kubectl get pods')).stdout, /^patient +1\/1 +Running +0 /m);

  // The kubelet falls silent: after its grace period of 50 s the control plane says so.
  const lost = await waitForNode(c, NAME, 'unknown and unreachable', (n) => readyOf(n) === 'Unknown' && taintsOf(n).includes('node.kubernetes.io/unreachable:NoExecute'), { timeoutMs: 100_000 });
  const condition = lost.status!.conditions!.find((x) => x.type === 'Ready')!;
  assert.deepEqual([condition.reason, condition.message], ['NodeStatusUnknown', 'Kubelet stopped posting node status.']);
  assert.deepEqual(taintsOf(lost), ['node.kubernetes.io/unreachable:NoExecute', 'node.kubernetes.io/unreachable:NoSchedule']);
  assert.match((await c.shell(`kubectl get node ${NAME}`)).stdout, new RegExp(`^${NAME} +NotReady +<none> +`, 'm'));
  await waitForEvent(c, NAME, 'NodeNotReady', /^Node node02 status is now: NodeNotReady$/, { namespace: '' });
  await waitForPod(c, 'hasty', 'evicted', (p) => p.metadata.deletionTimestamp !== undefined);
  await waitForEvent(c, 'hasty', 'TaintManagerEviction', /^Marking for deletion Pod default\/hasty$/);
  const left = await waitForPod(c, 'patient', 'not ready', (p) => p.status?.conditions?.find((x) => x.type === 'Ready')?.status === 'False');
  assert.equal(left.metadata.deletionTimestamp, undefined);
  assert.match((await c.shell('kubectl get pods')).stdout, /^hasty +1\/1 +Terminating +0 +\S+$/m);
  assert.match((await c.shell('kubectl get node node01')).stdout, /^node01 +Ready /m, 'the other node is well');

  await report(c);
  await waitForNode(c, NAME, 'Ready again, its taints gone', (n) => readyOf(n) === 'True' && taintsOf(n).length === 0);
  assert.match((await c.shell(`kubectl get node ${NAME}`)).stdout, new RegExp(`^${NAME} +Ready +<none> +`, 'm'));
  assert.match((await c.shell('kubectl get pod patient')).stdout, /^patient +1\/1 +Running +0 /m);
  await c.shell(`kubectl delete pod hasty patient --force --grace-period=0; kubectl delete node ${NAME}`);
});
