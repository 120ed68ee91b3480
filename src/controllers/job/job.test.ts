import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Job, JobSpec, JobStatus } from '#api/gen/batch-v1.ts';
import type { Pod, PodStatus } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { backoffAfter, failureAnnotations, NO_FAILURES, remainingMs } from './backoff.ts';
import { countCommon, countIndexes, firstMissing, formatIndexes, parseIndexes, withIndexes } from './indexes.ts';
import { planPods } from './plan.ts';
import { judgeFailure } from './policies.ts';
import { COMPLETION_INDEX, TRACKING_FINALIZER } from './pods.ts';
import { observe } from './state.ts';
import { indexNamePrefix } from './template.ts';
import { countReleased, track } from './tracking.ts';

const NOW = Date.parse('2026-01-02T03:04:05Z');
const at = (ms: number) => new Date(NOW + ms).toISOString();
function jobOf(spec: Partial<JobSpec>, status: JobStatus = {}): Job {
  return { metadata: { name: 'j', namespace: 'ns', uid: 'u' }, spec: { parallelism: 1, backoffLimit: 6, template: { spec: { containers: [] } }, ...spec }, status };
}
function podOf(name: string, status: PodStatus, meta: Partial<Pod['metadata']> & { index?: number } = {}): Pod {
  const { index, ...rest } = meta;
  const annotations = { ...rest.annotations, ...(index === undefined ? {} : { [COMPLETION_INDEX]: String(index) }) };
  return { metadata: { name, namespace: 'ns', uid: name, finalizers: [TRACKING_FINALIZER], creationTimestamp: at(-60_000), ...rest, annotations }, spec: { containers: [], nodeName: 'n' }, status };
}
const exited = (code: number, finishedMs = -1000): PodStatus => ({
  phase: code === 0 ? 'Succeeded' : 'Failed',
  containerStatuses: [{ name: 'c', image: '', imageID: '', ready: false, restartCount: 0, state: { terminated: { exitCode: code, finishedAt: at(finishedMs) } } }],
});
const stateOf = (job: Job, pods: Pod[]) => observe({ job, pods, released: new Set(), backoff: NO_FAILURES, now: NOW });

describe('completion indexes', () => {
  for (const [text, total, back] of [['', 0, ''], ['1,3-5,7', 5, '1,3-5,7'], ['0-1', 2, '0,1'], ['2-9', 4, '2-5'], ['x,1,1,4', 2, '1,4']] as const) {
    test(`parseIndexes reads "${text}" below 6`, () => {
      const indexes = parseIndexes(text, text === '1,3-5,7' ? 8 : 6);
      assert.equal(countIndexes(indexes), total);
      assert.equal(formatIndexes(indexes), back);
    });
  }
  test('withIndexes joins neighbours; firstMissing fills the gaps in order; countCommon counts what is shared', () => {
    const indexes = withIndexes(parseIndexes('1,5', 10), [2, 3, 3, 8]);
    assert.equal(formatIndexes(indexes), '1-3,5,8');
    assert.deepEqual(firstMissing(indexes, 4, 10), [0, 4, 6, 7]);
    assert.deepEqual(firstMissing(indexes, 9, 10), [0, 4, 6, 7, 9]);
    assert.equal(countCommon(indexes, parseIndexes('2-5', 10)), 3);
  });
});

describe('judgeFailure', () => {
  const policy = (action: 'FailJob' | 'FailIndex' | 'Ignore' | 'Count') => ({ rules: [{ action, onExitCodes: { operator: 'In' as const, values: [42] } }, { action, onPodConditions: [{ type: 'DisruptionTarget' }] }] });
  test('the first rule that matches decides', () => {
    assert.deepEqual(judgeFailure(policy('Ignore'), podOf('p', exited(42))), { action: 'Ignore', counts: false });
    assert.deepEqual(judgeFailure(policy('Ignore'), podOf('p', exited(1))), { counts: true });
    assert.equal(judgeFailure(policy('FailJob'), podOf('p', { phase: 'Failed', conditions: [{ type: 'DisruptionTarget', status: 'True' }] })).jobFailure, 'Pod ns/p has condition DisruptionTarget matching FailJob rule at index 1');
  });
  test('exit code 0 matches nothing, not even NotIn', () => {
    assert.deepEqual(judgeFailure({ rules: [{ action: 'FailJob', onExitCodes: { operator: 'NotIn', values: [1] } }] }, podOf('p', exited(0))), { counts: true });
  });
});

describe('back-off', () => {
  test('doubles with each failure in a row, up to ten minutes, and starts anew after a success', () => {
    const twice = backoffAfter(NO_FAILURES, [], [podOf('a', exited(1, -8000)), podOf('b', exited(1, -3000))]);
    assert.equal(remainingMs(twice, NOW), 17_000);
    assert.equal(remainingMs({ failures: 30, lastFailure: NOW }, NOW), 600_000);
    assert.deepEqual(backoffAfter(twice, [podOf('s', exited(0, -500))], []), NO_FAILURES);
    assert.equal(backoffAfter(twice, [podOf('s', exited(0, -5000))], [podOf('c', exited(1, -1000))]).failures, 1);
  });
  test('failureAnnotations count on from the Pod that is replaced', () => {
    const failed = podOf('p', exited(42), { annotations: { 'batch.kubernetes.io/job-index-failure-count': '2' } });
    assert.deepEqual(failureAnnotations(jobOf({}), failed), { 'batch.kubernetes.io/job-index-failure-count': '3' });
    const ignoring = jobOf({ podFailurePolicy: { rules: [{ action: 'Ignore', onExitCodes: { operator: 'In', values: [42] } }] } });
    assert.deepEqual(failureAnnotations(ignoring, failed), { 'batch.kubernetes.io/job-index-failure-count': '2', 'batch.kubernetes.io/job-index-ignored-failure-count': '1' });
  });
});

describe('planPods', () => {
  const running = (name: string, index?: number) => podOf(name, { phase: 'Running' }, index === undefined ? {} : { index });
  const plan = (spec: Partial<JobSpec>, pods: Pod[], status: JobStatus = {}) => {
    const p = planPods(stateOf(jobOf(spec, status), pods), NOW);
    return p.kind === 'delete' ? `delete ${p.pods.map(nameOf).join()}` : p.kind === 'create' ? `create ${p.indexes.map((i) => i ?? '-').join()}` : p.kind === 'wait' ? `wait ${p.ms}` : 'none';
  };
  const table: readonly (readonly [what: string, expected: string, actual: () => string])[] = [
    ['parallelism when completions are open', 'create -,-', () => plan({ parallelism: 2 }, [])],
    ['nothing more after a success without completions', 'none', () => plan({ parallelism: 2 }, [podOf('s', exited(0))])],
    ['no more than completions that remain', 'create -', () => plan({ parallelism: 5, completions: 3 }, [running('a')], { succeeded: 1 })],
    ['fewer when parallelism shrinks', 'delete a', () => plan({ parallelism: 1, completions: 5 }, [running('a'), podOf('b', { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] })])],
    ['none when suspended', 'delete a', () => plan({ suspend: true }, [running('a')])],
    ['a wait after a failure', 'wait 9000', () => plan({ completions: 1 }, [podOf('f', exited(1))])],
    ['the missing indexes', 'create 1,3', () => plan({ completions: 4, parallelism: 4, completionMode: 'Indexed' }, [running('a', 0), running('c', 2)])],
    ['one Pod for each index', 'delete b', () => plan({ completions: 2, parallelism: 2, completionMode: 'Indexed' }, [podOf('a', { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] }, { index: 0 }), running('b', 0)])],
    ['no replacement while the old one ends', 'none', () => plan({ completions: 1, podReplacementPolicy: 'Failed' }, [podOf('a', { phase: 'Running' }, { deletionTimestamp: at(0) })])],
    ['other indexes though one backs off', 'create 1', () => plan({ completions: 2, parallelism: 2, completionMode: 'Indexed', backoffLimitPerIndex: 3 }, [podOf('a', exited(1), { index: 0 })])],
  ];
  for (const [what, expected, actual] of table) test(`plans ${what}`, () => assert.equal(actual(), expected));
});

describe('tracking', () => {
  test('UIDs come first, numbers when the finalizers are gone', () => {
    const state = stateOf(jobOf({ completions: 3, parallelism: 3 }), [podOf('s', exited(0)), podOf('f', exited(1)), podOf('r', { phase: 'Running' })]);
    const status: Parameters<typeof track>[1] = {};
    assert.deepEqual(track(state, status).release.map(nameOf), ['s', 'f']);
    assert.deepEqual(status.uncountedTerminatedPods, { succeeded: ['s'], failed: ['f'] });
    assert.equal(countReleased(status, new Set(['f'])), true);
    assert.deepEqual(status, { succeeded: 1, uncountedTerminatedPods: { failed: ['f'] } });
    assert.equal(countReleased(status, new Set(['f'])), false);
  });
  test('an ignored failure is let go uncounted', () => {
    const job = jobOf({ podFailurePolicy: { rules: [{ action: 'Ignore', onExitCodes: { operator: 'In', values: [42] } }] } });
    const status: Parameters<typeof track>[1] = {};
    assert.deepEqual(track(stateOf(job, [podOf('f', exited(42))]), status).release.map(nameOf), ['f']);
    assert.deepEqual(status.uncountedTerminatedPods, {});
  });
});

test('indexNamePrefix leaves room for what the server adds', () => {
  const job: Job = { ...jobOf({}), metadata: { name: 'x'.repeat(60) } };
  assert.equal(indexNamePrefix(job, 12), `${'x'.repeat(54)}-12-`);
});
