import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Deployment, DeploymentCondition, ReplicaSet } from '#api/gen/apps-v1.ts';
import { newSetAnnotations } from './annotations.ts';
import { newCondition, withCondition } from './conditions.ts';
import { equalIgnoringHash, findActiveOrLatest, findNewSet, isSaturated } from './replicasets.ts';
import { maxSurge, maxUnavailable, newSetReplicas, proportionalSizes } from './sizes.ts';
import { isComplete, rolloutStatus, untilDeadline } from './status.ts';

const NOW = Date.parse('2026-01-01T00:10:00Z');

function deployment(replicas: number, options: { surge?: number | string; unavailable?: number | string; annotations?: Record<string, string>; status?: Deployment['status']; deadline?: number; recreate?: boolean } = {}): Deployment {
  const { surge = '25%', unavailable = '25%', annotations, status, deadline = 600, recreate } = options;
  return {
    metadata: { name: 'web', generation: 1, ...(annotations ? { annotations } : {}) },
    spec: {
      replicas, selector: {}, template: { spec: { containers: [] } }, progressDeadlineSeconds: deadline,
      strategy: recreate ? { type: 'Recreate' } : { type: 'RollingUpdate', rollingUpdate: { maxSurge: surge, maxUnavailable: unavailable } },
    },
    ...(status ? { status } : {}),
  };
}
function set(name: string, replicas: number, options: { created?: string; max?: number; desired?: number; status?: Partial<NonNullable<ReplicaSet['status']>>; app?: string } = {}): ReplicaSet {
  const { created = '2026-01-01T00:00:00Z', max, desired, status, app } = options;
  const annotations = { ...(max === undefined ? {} : { 'deployment.kubernetes.io/max-replicas': String(max) }), ...(desired === undefined ? {} : { 'deployment.kubernetes.io/desired-replicas': String(desired) }) };
  return {
    metadata: { name, creationTimestamp: created, annotations },
    spec: { replicas, selector: {}, template: { metadata: { labels: { 'pod-template-hash': name, ...(app ? { app } : {}) } }, spec: { containers: [] } } },
    status: { replicas, ...status },
  };
}

describe('sizes', () => {
  test('maxSurge rounds up, maxUnavailable down, and both are never nothing at once', () => {
    for (const [replicas, surge, unavailable, wantSurge, wantUnavailable] of [
      [10, '25%', '25%', 3, 2], [1, '25%', '25%', 1, 0], [3, 0, '25%', 0, 1], [10, '0%', '0%', 0, 1], [2, 0, 5, 0, 2], [0, 1, 1, 1, 0],
    ] as const) {
      const d = deployment(replicas, { surge, unavailable });
      assert.deepEqual([maxSurge(d), maxUnavailable(d)], [wantSurge, wantUnavailable], JSON.stringify([replicas, surge, unavailable]));
    }
    assert.deepEqual([maxSurge(deployment(5, { recreate: true })), maxUnavailable(deployment(5, { recreate: true }))], [0, 0]);
  });
  test('newSetReplicas grows within the surge and not beyond the Deployment', () => {
    const d = deployment(10, { surge: 2 });
    assert.equal(newSetReplicas(d, [set('old', 10)], 0), 2);
    assert.equal(newSetReplicas(d, [set('old', 10), set('new', 2)], 2), 2);
    assert.equal(newSetReplicas(d, [set('new', 9)], 9), 10);
    assert.equal(newSetReplicas(deployment(4, { recreate: true }), [set('old', 4)], 0), 4);
  });
  const sized = (d: Deployment, ...sets: ReplicaSet[]) => Object.fromEntries([...proportionalSizes(d, sets)].map(([rs, n]) => [rs.metadata.name, n]));
  test('proportionalSizes shares an increase out, the rest to the largest', () => {
    assert.deepEqual(sized(deployment(15, { surge: 3 }), set('a', 8, { max: 13 }), set('b', 5, { max: 13 })), { a: 11, b: 7 });
    assert.deepEqual(sized(deployment(10, { surge: 0 }), set('a', 5, { max: 5 })), { a: 10 });
  });
  test('proportionalSizes shares a decrease out, and takes everything for a size of 0', () => {
    assert.deepEqual(sized(deployment(5, { surge: 0 }), set('a', 7, { max: 10 }), set('b', 3, { max: 10 })), { a: 3, b: 2 });
    assert.deepEqual(sized(deployment(0), set('a', 7, { max: 10 }), set('b', 3, { max: 10 })), { a: 0, b: 0 });
  });
});

describe('ReplicaSets of a Deployment', () => {
  test('findNewSet compares templates without the hash and takes the oldest', () => {
    const d = deployment(1);
    assert.equal(findNewSet(d, [set('b', 1, { app: 'x' }), set('c', 1, { created: '2026-01-01T00:00:02Z' })]), undefined, 'labels differ');
    const plain = { ...d, spec: { ...d.spec, template: { metadata: { labels: {} }, spec: { containers: [] } } } };
    assert.equal(findNewSet(plain, [set('c', 1, { created: '2026-01-01T00:00:02Z' }), set('a', 1)])?.metadata.name, 'a');
    assert.ok(equalIgnoringHash(set('a', 1).spec.template, set('b', 2).spec.template));
  });
  test('findActiveOrLatest gives the one with Pods, the newest when none has, nothing when several have', () => {
    assert.equal(findActiveOrLatest(set('n', 0), [set('o', 1)])?.metadata.name, 'o');
    assert.equal(findActiveOrLatest(set('n', 0), [set('o', 0)])?.metadata.name, 'n');
    assert.equal(findActiveOrLatest(undefined, [set('o', 0), set('p', 0, { created: '2026-01-01T00:00:09Z' })])?.metadata.name, 'p');
    assert.equal(findActiveOrLatest(set('n', 1), [set('o', 1)]), undefined);
  });
  test('isSaturated asks for size, annotation and availability', () => {
    assert.ok(isSaturated(deployment(2), set('n', 2, { desired: 2, status: { availableReplicas: 2 } })));
    assert.ok(!isSaturated(deployment(2), set('n', 2, { desired: 2, status: { availableReplicas: 1 } })));
    assert.ok(!isSaturated(deployment(2), set('n', 2, { desired: 1, status: { availableReplicas: 2 } })));
  });
});

describe('annotations of the newest set', () => {
  const REVISION = 'deployment.kubernetes.io/revision';
  const HISTORY = 'deployment.kubernetes.io/revision-history';
  test('newSetAnnotations copies the Deployment’s but not those with a meaning of their own', () => {
    const d = deployment(1, { annotations: { note: 'x', [REVISION]: '7', 'kubectl.kubernetes.io/last-applied-configuration': '{}' } });
    assert.deepEqual(newSetAnnotations(d, {}, 1n), { note: 'x', [REVISION]: '1' });
  });
  test('newSetAnnotations keeps a revision that is high enough, and records the former one of a set taken up again', () => {
    const d = deployment(1);
    assert.deepEqual(newSetAnnotations(d, { [REVISION]: '3' }, 2n), { [REVISION]: '3' });
    assert.deepEqual(newSetAnnotations(d, { [REVISION]: '1' }, 3n), { [REVISION]: '3', [HISTORY]: '1' });
    assert.deepEqual(newSetAnnotations(d, { [REVISION]: '3', [HISTORY]: '1' }, 5n), { [REVISION]: '5', [HISTORY]: '1,3' });
    assert.deepEqual(newSetAnnotations(d, { [REVISION]: 'odd' }, 5n), { [REVISION]: 'odd' });
  });
  test('newSetAnnotations drops the oldest of a long history', () => {
    const history = Array.from({ length: 500 }, (_, i) => String(1000 + i)).join(',');
    const next = newSetAnnotations(deployment(1), { [REVISION]: '1500', [HISTORY]: history }, 1501n)[HISTORY]!;
    assert.ok(next.length <= 2000 && next.endsWith(',1499,1500') && !next.startsWith('1000,'));
  });
});

describe('status', () => {
  const up = (n: number) => ({ readyReplicas: n, availableReplicas: n, terminatingReplicas: 0 });
  const progressing = (reason: string, status = 'True', at = '2026-01-01T00:00:00Z'): DeploymentCondition => ({ type: 'Progressing', status, reason, message: '', lastUpdateTime: at, lastTransitionTime: at });
  const reasonOf = (d: Deployment, ...sets: ReplicaSet[]) => rolloutStatus(d, sets.at(-1), sets, NOW).conditions?.find((c) => c.type === 'Progressing')?.reason;

  test('rolloutStatus counts over all sets', () => {
    const { conditions, ...counts } = rolloutStatus(deployment(3), set('n', 2, { status: up(1) }), [set('o', 2, { status: up(2) }), set('n', 2, { status: up(1) })], NOW);
    assert.deepEqual(counts, { observedGeneration: 1, replicas: 4, updatedReplicas: 2, readyReplicas: 3, availableReplicas: 3, unavailableReplicas: 1, terminatingReplicas: 0 });
    assert.deepEqual(conditions!.map((c) => [c.type, c.status, c.reason]), [['Available', 'True', 'MinimumReplicasAvailable'], ['Progressing', 'True', 'ReplicaSetUpdated']]);
  });
  test('rolloutStatus leaves terminatingReplicas out while a set does not count them', () => {
    assert.equal(rolloutStatus(deployment(1), undefined, [set('n', 1)], NOW).terminatingReplicas, undefined);
  });
  test('rolloutStatus tells completion, progress and a missed deadline apart', () => {
    const before = (reason: string, at?: string) => ({ replicas: 2, updatedReplicas: 2, readyReplicas: 1, availableReplicas: 1, conditions: [progressing(reason, 'True', at)] });
    assert.equal(reasonOf(deployment(2, { status: before('ReplicaSetUpdated') }), set('n', 2, { status: up(2) })), 'NewReplicaSetAvailable');
    assert.equal(reasonOf(deployment(3, { status: before('ReplicaSetUpdated') }), set('n', 3, { status: up(2) })), 'ReplicaSetUpdated');
    assert.equal(reasonOf(deployment(2, { status: before('ReplicaSetUpdated'), deadline: 599 }), set('n', 2, { status: up(1) })), 'ProgressDeadlineExceeded');
    assert.equal(reasonOf(deployment(2, { status: before('ReplicaSetUpdated'), deadline: 601 }), set('n', 2, { status: up(1) })), 'ReplicaSetUpdated');
    assert.equal(reasonOf(deployment(2, { status: before('NewReplicaSetAvailable'), deadline: 1 }), set('n', 2, { status: up(1) })), 'NewReplicaSetAvailable');
    assert.equal(reasonOf(deployment(2, { status: before('ReplicaSetUpdated'), deadline: 2_147_483_647 }), set('n', 2, { status: up(1) })), undefined);
  });
  test('rolloutStatus renews the time of each step but not that of the transition', () => {
    const d = deployment(3, { status: { readyReplicas: 1, conditions: [progressing('ReplicaSetUpdated')] } });
    const condition = rolloutStatus(d, undefined, [set('n', 3, { status: up(2) })], NOW).conditions!.find((c) => c.type === 'Progressing')!;
    assert.deepEqual([condition.lastUpdateTime, condition.lastTransitionTime, condition.message], ['2026-01-01T00:10:00Z', '2026-01-01T00:00:00Z', 'Deployment "web" is progressing.']);
  });
  test('isComplete asks that the latest generation was seen', () => {
    const status = { replicas: 1, updatedReplicas: 1, availableReplicas: 1, observedGeneration: 0 };
    assert.ok(!isComplete(deployment(1), status));
    assert.ok(isComplete(deployment(1), { ...status, observedGeneration: 1 }));
  });
  test('untilDeadline counts from the last step', () => {
    assert.equal(untilDeadline(deployment(1, { deadline: 660 }), { conditions: [progressing('ReplicaSetUpdated')] }, NOW), 60_000);
    assert.equal(untilDeadline(deployment(1), { conditions: [progressing('NewReplicaSetAvailable')] }, NOW), undefined);
  });
  test('withCondition keeps what says the same, and the transition time of what has the same status', () => {
    const old = progressing('A');
    assert.deepEqual(withCondition([old], newCondition('Progressing', 'True', 'A', 'other words', NOW)), [old]);
    assert.equal(withCondition([old], newCondition('Progressing', 'True', 'B', '', NOW))[0]!.lastTransitionTime, old.lastTransitionTime);
    assert.equal(withCondition([old], newCondition('Progressing', 'False', 'B', '', NOW))[0]!.lastTransitionTime, '2026-01-01T00:10:00Z');
  });
});
