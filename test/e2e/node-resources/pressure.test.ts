/** A node whose Pods run out of memory says so, evicts the one that takes more than it asked for, and is well again. */
import assert from 'node:assert/strict';
import { totalmem } from 'node:os';
import { PODS } from '#client/kinds.ts';
import { waitForEvent, waitForNode, waitForPod, waitForReady } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
const MIB = 1024 ** 2;
/** All Pods together may have so much, and are short of it when the threshold's part is all that is left. */
const PODS_MIB = 600;
const configuration = {
  apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration', systemReserved: { memory: `${Math.floor(totalmem() / MIB) - PODS_MIB}Mi` }, evictionHard: { 'memory.available': '100Mi' }, evictionPressureTransitionPeriod: '5s',
};
const { test } = onCluster({ images: [BUSYBOX], dataFiles: { 'kubelet.yaml': JSON.stringify(configuration) } });

/** Fills a volume in memory. */
const filling = (name: string, mebibytes: number, request: string) => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name },
  spec: {
    terminationGracePeriodSeconds: 30, volumes: [{ name: 'memory', emptyDir: { medium: 'Memory' } }],
    containers: [{
      name: 'c', image: BUSYBOX, command: ['sh', '-c', `dd if=/dev/zero of=/memory/full bs=1M count=${mebibytes}; touch /full; sleep 3600`], resources: { requests: { memory: request } },
      volumeMounts: [{ name: 'memory', mountPath: '/memory' }], readinessProbe: { exec: { command: ['test', '-e', '/full'] }, periodSeconds: 1 },
    }],
  },
});

test('Pods that run out of memory: the one above its request is evicted and told why, the other stays, the node is well again', { timeout: 300_000 }, async (c) => {
  await c.apply(filling('modest', 60, '100Mi'));
  await waitForReady(c, 'modest');
  const condition = (wanted: string) => waitForNode(c, c.nodeName, `MemoryPressure ${wanted}`, (n) => n.status?.conditions?.some((x) => x.type === 'MemoryPressure' && x.status === wanted) ?? false, { timeoutMs: 120_000 });
  const short = condition('True');
  await c.apply(filling('greedy', 460, '50Mi'));
  await short;
  const { status } = await waitForPod(c, 'greedy', 'evicted', (p) => p.status?.phase === 'Failed', { timeoutMs: 120_000 });
  assert.equal(status!.reason, 'Evicted');
  assert.match(status!.message!, /^The node was low on resource: memory\. Threshold quantity: 100Mi, available: \d+Ki\. Container c was using \d+Ki, request is 50Mi, has larger consumption of memory\. $/);
  assert.deepEqual(status!.conditions!.find((x) => x.type === 'DisruptionTarget')?.reason, 'TerminationByKubelet');
  await waitForEvent(c, 'greedy', 'Evicted');
  const client = await c.client();
  assert.equal((await client.of(PODS).get('default', 'modest')).status!.phase, 'Running');
  await condition('False');
  await c.apply(filling('next', 1, '1Mi'));
  await waitForReady(c, 'next');
});
