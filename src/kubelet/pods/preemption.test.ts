import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { makePod } from '../testing/make-pod.ts';
import { runKubelet } from '../testing/running-kubelet.ts';
import { podsToPreempt, type Shortage } from './preemption.ts';

const CRITICAL = 2_000_000_000;
const pod = (name: string, requests?: Record<string, string>, limits?: Record<string, string>, priority?: number): Pod => makePod(name).spec(priority === undefined ? {} : { priority }).container('c', { resources: { ...(requests ? { requests } : {}), ...(limits ? { limits } : {}) } }).build();
const guaranteed = (name: string, cpu: string, memory: string) => pod(name, { cpu, memory }, { cpu, memory });
const critical = pod('critical', { cpu: '1' }, undefined, CRITICAL);
const cpu = (amount: number): Shortage => ({ resource: 'cpu', amount });

describe('podsToPreempt', () => {
  const best = pod('best');
  const small = pod('small', { cpu: '100m' });
  const large = pod('large', { cpu: '500m', memory: '1Gi' });
  const big = guaranteed('big', '1', '1Gi');
  const modest = guaranteed('modest', '500m', '1Gi');
  const table: readonly (readonly [what: string, others: readonly Pod[], shortages: readonly Shortage[], victims: readonly string[] | string])[] = [
    ['nothing is lacking', [best, small, big], [], []],
    ['a place among the Pods: one of no class', [big, small, best], [{ resource: 'pods', amount: 1 }], ['best']],
    ['a little CPU: the Burstable Pod that has about as much', [best, large, small, big], [cpu(100)], ['small']],
    ['as much as one has: that one alone', [small, large, big], [cpu(500)], ['large']],
    ['more than Burstable Pods have: a Guaranteed one besides, the smaller of those that fill the rest', [small, large, big, modest], [cpu(1100)], ['large', 'small', 'modest']],
    ['two resources: who has both', [pod('cpu', { cpu: '1' }), pod('memory', { memory: '1Gi' }), pod('both', { cpu: '1', memory: '1Gi' })], [cpu(1000), { resource: 'memory', amount: 2 ** 30 }], ['both']],
    ['equals: the one with less memory', [pod('more', { cpu: '1', memory: '2Gi' }), pod('less', { cpu: '1', memory: '1Gi' })], [cpu(1000)], ['less']],
    ['nobody has enough', [best, small], [cpu(200)], 'no set of running pods found to reclaim resources: [(res: cpu, q: 100), ]'],
    ['critical Pods of no lower priority stay', [pod('other', { cpu: '1' }, undefined, CRITICAL), pod('higher', { cpu: '1' }, undefined, CRITICAL + 1)], [cpu(100)], 'no set of running pods found to reclaim resources: [(res: cpu, q: 100), ]'],
  ];
  for (const [what, others, shortages, victims] of table) {
    test(what, () => {
      if (typeof victims === 'string') assert.throws(() => podsToPreempt(critical, others, shortages), { message: victims });
      else assert.deepEqual(podsToPreempt(critical, others, shortages).map((p) => p.metadata.name), victims);
    });
  }
});
describe('a node that is full', () => {
  const small = { config: { maxPods: 2 } } as const;
  test('a critical Pod is let in, and waits for the Pod that goes for it', async () => {
    await using k = await runKubelet(small);
    for (const name of ['a', 'b']) k.create(makePod(name).spec({ terminationGracePeriodSeconds: 1 }).container('c').build());
    await k.until('both to run', () => ['a', 'b'].every((name) => k.pod(name)?.status?.phase === 'Running'));
    k.create(makePod('critical').spec({ priority: CRITICAL }).container('c').build());
    await k.until('the critical Pod to run', () => k.pod('critical')?.status?.phase === 'Running', 10_000);
    const [victim, survivor] = k.pod('a')?.status?.phase === 'Failed' ? ['a', 'b'] : ['b', 'a'];
    const status = k.pod(victim!)!.status!;
    assert.deepEqual([status.phase, status.reason, status.message], ['Failed', 'Preempting', 'Preempted in order to admit critical pod']);
    const { reason, message } = status.conditions!.find((c) => c.type === 'DisruptionTarget')!;
    assert.deepEqual([reason, message], ['TerminationByKubelet', 'Pod was preempted by Kubelet to accommodate a critical pod.']);
    assert.ok(k.events(victim!).includes('Preempting: Preempted in order to admit critical pod'));
    assert.equal(k.pod(survivor!)?.status?.phase, 'Running');
    assert.match(await k.kubelet.host().metrics('kubelet', new AbortController().signal), /^kubelet_preemptions\{preemption_signal="pods"\} 1$/m);
  });
  test('another Pod is refused as ever, and a critical one for which nobody can go', async () => {
    await using k = await runKubelet(small);
    for (const name of ['a', 'b']) k.create(makePod(name).spec({ priority: CRITICAL }).container('c').build());
    await k.until('both to run', () => ['a', 'b'].every((name) => k.pod(name)?.status?.phase === 'Running'));
    k.create(makePod('plain').container('c').build());
    k.create(makePod('critical').spec({ priority: CRITICAL }).container('c').build());
    await k.until('both to be refused', () => ['plain', 'critical'].every((name) => k.pod(name)?.status?.phase === 'Failed'));
    assert.equal(k.pod('plain')!.status!.reason, 'OutOfpods');
    assert.deepEqual([k.pod('critical')!.status!.reason, k.pod('critical')!.status!.message], [
      'UnexpectedAdmissionError', 'Pod was rejected: Unexpected error while attempting to recover from admission failure: preemption: error finding a set of pods to preempt: no set of running pods found to reclaim resources: [(res: pods, q: 1), ]',
    ]);
  });
  test('a critical Pod that the node refuses for another reason takes nobody\'s place', async () => {
    await using k = await runKubelet(small);
    for (const name of ['a', 'b']) k.create(makePod(name).container('c').build());
    await k.until('both to run', () => ['a', 'b'].every((name) => k.pod(name)?.status?.phase === 'Running'));
    k.create(makePod('critical').spec({ priority: CRITICAL, nodeSelector: { no: 'such' } }).container('c').build());
    await k.until('the refusal', () => k.pod('critical')?.status?.phase === 'Failed');
    assert.equal(k.pod('critical')!.status!.reason, 'NodeAffinity');
    assert.ok(['a', 'b'].every((name) => k.pod(name)?.status?.phase === 'Running'));
  });
});
