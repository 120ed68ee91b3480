import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DaemonSet } from '#api/gen/apps-v1.ts';
import type { Node, Pod, PodSpec, Taint } from '#api/gen/core-v1.ts';
import { FailedPodsBackoff } from './failed-pods-backoff.ts';
import { affinityTo, daemonTolerations, nodeFit, targetNodeOf } from './node-fit.ts';
import { groupByNode, placement, rollingUpdate, type Observed } from './plan.ts';
import { daemonSetStatus } from './status.ts';

const NOW = Date.parse('2026-01-01T01:00:00Z');
const node = (name: string, labels: Record<string, string> = {}, taints: readonly Taint[] = []): Node => ({ metadata: { name, labels }, spec: { taints } });
const daemonSet = (spec: Partial<PodSpec> = {}, update: DaemonSet['spec']['updateStrategy'] = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } }): DaemonSet =>
  ({ metadata: { name: 'ds', uid: 'u' }, spec: { selector: {}, template: { spec: { containers: [], ...spec } }, updateStrategy: update } });
const SURGE = { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } } as const;

interface PodOptions {
  readonly hash?: string;
  readonly ready?: boolean;
  readonly phase?: 'Running' | 'Failed' | 'Succeeded';
  readonly created?: string;
  readonly deleted?: boolean;
}
function pod(name: string, on: string, { hash = 'new', ready = true, phase = 'Running', created = '2026-01-01T00:00:00Z', deleted = false }: PodOptions = {}): Pod {
  return {
    metadata: { name, creationTimestamp: created, labels: { 'controller-revision-hash': hash }, ...(deleted ? { deletionTimestamp: created } : {}) },
    spec: { containers: [], nodeName: on },
    status: { phase, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: created }] },
  };
}
function observed(ds: DaemonSet, nodes: readonly Node[], pods: readonly Pod[]): Observed {
  return { ds, nodes, podsByNode: groupByNode(pods), hash: 'new', now: NOW };
}
const names = (plan: { create: readonly string[]; delete: readonly Pod[] }) => [plan.create, plan.delete.map((p) => p.metadata.name)];
const place = (o: Observed) => names(placement(o, () => 'delete'));

describe('nodeFit', () => {
  const fits = (spec: Partial<PodSpec>, n: Node) => nodeFit(daemonSet(spec), n);
  const YES = { shouldRun: true, shouldContinue: true };
  const NO = { shouldRun: false, shouldContinue: false };
  const requires = (key: string, operator: 'In' | 'Exists' | 'Gt', values: string[]): Partial<PodSpec> => ({ affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key, operator, values }] }] } } } });
  test('asks for name, selector and required affinity', () => {
    assert.deepEqual(fits({}, node('a')), YES);
    assert.deepEqual(fits({ nodeName: 'b' }, node('a')), NO);
    assert.deepEqual(fits({ nodeSelector: { disk: 'ssd' } }, node('a')), NO);
    assert.deepEqual(fits({ nodeSelector: { disk: 'ssd' } }, node('a', { disk: 'ssd' })), YES);
    assert.deepEqual(fits(requires('zone', 'In', ['x']), node('a', { zone: 'x' })), YES);
    assert.deepEqual(fits(requires('zone', 'In', ['x']), node('a')), NO);
    assert.deepEqual(fits(requires('cores', 'Gt', ['4']), node('a', { cores: '8' })), YES);
    assert.deepEqual(fits({ affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{}] } } } }, node('a')), NO);
    assert.deepEqual(fits({ affinity: affinityTo('a', undefined) }, node('a')), YES);
    assert.deepEqual(fits({ affinity: affinityTo('a', undefined) }, node('b')), NO);
  });
  test('taints keep new Pods away; only NoExecute sends running ones away', () => {
    const tainted = (effect: Taint['effect'], key = 'k') => node('a', {}, [{ key, effect }]);
    assert.deepEqual(fits({}, tainted('NoSchedule')), { shouldRun: false, shouldContinue: true });
    assert.deepEqual(fits({}, tainted('NoExecute')), NO);
    assert.deepEqual(fits({}, tainted('PreferNoSchedule')), YES);
    assert.deepEqual(fits({ tolerations: [{ operator: 'Exists' }] }, tainted('NoExecute')), YES);
    assert.deepEqual(fits({}, tainted('NoExecute', 'node.kubernetes.io/unreachable')), YES);
    assert.deepEqual(fits({}, tainted('NoSchedule', 'node.kubernetes.io/network-unavailable')), { shouldRun: false, shouldContinue: true });
    assert.deepEqual(fits({ hostNetwork: true }, tainted('NoSchedule', 'node.kubernetes.io/network-unavailable')), YES);
  });
  test('daemonTolerations does not repeat what the template has', () => {
    const own = { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' } as const;
    assert.equal(daemonTolerations({ containers: [], tolerations: [own] }).length, 6);
  });
  test('targetNodeOf reads the affinity of a Pod that is not scheduled yet', () => {
    assert.equal(targetNodeOf({ metadata: {}, spec: { containers: [], affinity: affinityTo('a', undefined) } }), 'a');
    assert.equal(targetNodeOf({ metadata: {}, spec: { containers: [] } }), undefined);
  });
});

describe('placement', () => {
  const nodes = [node('a'), node('b', {}, [{ key: 'k', effect: 'NoExecute' }])];
  test('makes what is missing and deletes what is out of place', () => {
    assert.deepEqual(place(observed(daemonSet(), nodes, [pod('b1', 'b')])), [['a'], ['b1']]);
  });
  test('keeps the oldest of several', () => {
    const pods = [pod('y', 'a', { created: '2026-01-01T00:00:02Z' }), pod('x', 'a', { created: '2026-01-01T00:00:01Z' })];
    assert.deepEqual(place(observed(daemonSet(), nodes, pods)), [[], ['y']]);
  });
  test('asks about Pods that have ended', () => {
    const o = observed(daemonSet(), nodes, [pod('f', 'a', { phase: 'Failed' })]);
    assert.deepEqual(place(o), [[], ['f']]);
    assert.deepEqual(names(placement(o, () => 'keep')), [[], []]);
  });
  test('makes no second Pod while the first is still going, unless it surges', () => {
    const going = [pod('g', 'a', { deleted: true })];
    assert.deepEqual(place(observed(daemonSet(), nodes, going)), [[], []]);
    assert.deepEqual(place(observed(daemonSet({}, SURGE), nodes, going)), [['a'], []]);
  });
  test('deletes Pods that wait for a node that is gone', () => {
    const waiting: Pod = { metadata: { name: 'w' }, spec: { containers: [], affinity: affinityTo('gone', undefined) } };
    assert.deepEqual(place(observed(daemonSet(), [node('a')], [pod('x', 'a'), waiting])), [[], ['w']]);
  });
  test('while surging keeps an old Pod that is ready until the new one is available', () => {
    const run = (old: PodOptions, fresh: PodOptions) => place(observed(daemonSet({}, SURGE), nodes, [pod('o', 'a', { hash: 'old', ...old }), pod('n', 'a', fresh)]))[1];
    assert.deepEqual(run({}, { ready: false }), []);
    assert.deepEqual(run({}, {}), ['o']);
    assert.deepEqual(run({ ready: false }, { ready: false }), ['o']);
  });
});

describe('rollingUpdate', () => {
  const nodes = [node('a'), node('b'), node('c')];
  const step = (ds: DaemonSet, ...pods: Pod[]) => names(rollingUpdate(observed(ds, nodes, pods)));
  test('replaces as many as may be unavailable', () => {
    const old = ['a', 'b', 'c'].map((n) => pod(n, n, { hash: 'old' }));
    assert.deepEqual(step(daemonSet(), ...old), [[], ['a']]);
    assert.deepEqual(step(daemonSet({}, { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '50%' } }), ...old), [[], ['a', 'b']]);
    assert.deepEqual(step(daemonSet(), pod('n', 'a', { ready: false }), ...old.slice(1)), [[], []]);
  });
  test('replaces at once what is not available anyway', () => {
    assert.deepEqual(step(daemonSet(), pod('n', 'a', { ready: false }), pod('x', 'b', { hash: 'old', ready: false }), pod('y', 'c', { hash: 'old' })), [[], ['x']]);
  });
  test('surges beside old Pods and deletes them when the new ones are available', () => {
    const ds = daemonSet({}, SURGE);
    assert.deepEqual(step(ds, pod('a', 'a', { hash: 'old' }), pod('b', 'b', { hash: 'old' })), [['a'], []]);
    assert.deepEqual(step(ds, pod('a', 'a', { hash: 'old' }), pod('n', 'a', { ready: false }), pod('b', 'b', { hash: 'old' })), [[], []]);
    assert.deepEqual(step(ds, pod('a', 'a', { hash: 'old' }), pod('n', 'a'), pod('b', 'b', { hash: 'old' })), [['b'], ['a']]);
  });
});

test('daemonSetStatus counts nodes', () => {
  const nodes = [node('a'), node('b'), node('c', {}, [{ key: 'k', effect: 'NoSchedule' }]), node('d')];
  const pods = [pod('a', 'a'), pod('b', 'b', { hash: 'old', ready: false }), pod('c', 'c')];
  assert.deepEqual(daemonSetStatus(observed(daemonSet(), nodes, pods), 4), {
    desiredNumberScheduled: 3, currentNumberScheduled: 2, numberMisscheduled: 1, numberReady: 1, observedGeneration: 4, updatedNumberScheduled: 1, numberAvailable: 1, numberUnavailable: 2,
  });
});
test('FailedPodsBackoff doubles from one second to fifteen minutes, and forgets', () => {
  const backoff = new FailedPodsBackoff();
  assert.equal(backoff.remaining('k', 0), 0);
  backoff.next('k', 0);
  assert.equal(backoff.remaining('k', 400), 600);
  backoff.next('k', 1000);
  assert.equal(backoff.remaining('k', 1000), 2000);
  for (let i = 0; i < 20; i++) backoff.next('k', 2000);
  assert.equal(backoff.remaining('k', 2000), 900_000);
  backoff.next('k', 2000 + 1_800_000);
  assert.equal(backoff.remaining('k', 2000 + 1_800_000), 1000);
});
