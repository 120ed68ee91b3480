import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { HorizontalPodAutoscalerBehavior } from '#api/gen/autoscaling-v2.ts';
import type { Pod, PodStatus } from '#api/gen/core-v1.ts';
import { limit, type Timed } from './limits.ts';
import { byAverage, byUtilization, type Calculation, type PodMetric } from './replica-calculator.ts';

const NOW = Date.parse('2026-01-02T12:00:00Z');
const LONG_AGO = '2026-01-02T00:00:00Z';
const READY: PodStatus = { phase: 'Running', startTime: LONG_AGO, conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: LONG_AGO }] };
const pod = (name: string, status: PodStatus = READY, cpu: string | undefined = '1'): Pod => ({ metadata: { name }, spec: { containers: [{ name: 'c', image: '', resources: cpu === '' ? {} : { requests: { cpu } } }] }, status });
/** Pods `p0`, `p1`, … each with its use in thousandths; undefined: not measured. */
function calculation(used: readonly (number | undefined)[], more: { status?: PodStatus[]; resource?: string } = {}): Calculation {
  const metrics = new Map<string, PodMetric>(used.flatMap((value, i) => (value === undefined ? [] : [[`p${i}`, { value, at: NOW, windowMs: 15_000 }]])));
  return { pods: used.map((_, i) => pod(`p${i}`, more.status?.[i])), metrics, currentReplicas: used.length, resource: more.resource ?? 'cpu', tolerance: { up: 0.1, down: 0.1 }, now: NOW };
}
const PENDING: PodStatus = { phase: 'Pending' };
const STARTING: PodStatus = { phase: 'Running', startTime: '2026-01-02T11:59:30Z', conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: '2026-01-02T11:59:30Z' }] };

describe('byUtilization', () => {
  const table: readonly (readonly [what: string, c: Calculation, target: number, replicas: number, utilization: number])[] = [
    ['grows in proportion', calculation([300, 500, 700]), 30, 5, 50],
    ['shrinks in proportion', calculation([100, 300, 500, 250, 250]), 50, 3, 28],
    ['stays within the tolerance', calculation([1010, 1030, 1020]), 100, 3, 102],
    ['takes Pods that do not run yet for idle when it grows', calculation([100, 500, 700], { status: [STARTING, READY, READY] }), 30, 4, 60],
    ['does not grow for them', calculation([400, 500, 700], { status: [PENDING, STARTING, READY] }), 30, 3, 70],
    ['takes unmeasured Pods for idle when it grows', calculation([undefined, 500, 700]), 30, 4, 60],
    ['takes unmeasured Pods for busy when it shrinks', calculation([undefined, 100, 100, 100]), 50, 3, 10],
    ['leaves failed Pods out', calculation([100, 500, 700], { status: [{ phase: 'Failed' }, READY, READY] }), 60, 3, 60],
  ];
  for (const [what, c, target, replicas, utilization] of table) test(what, () => assert.deepEqual({ ...byUtilization(c, target), average: 0 }, { replicas, utilization, average: 0 }));
  test('says what is missing', () => {
    assert.throws(() => byUtilization(calculation([]), 50), /^Error: did not receive metrics for targeted pods \(pods might be unready\)$/);
    assert.throws(() => byUtilization({ ...calculation([1]), pods: [pod('p0', READY, '')] }, 50), /^Error: missing request for cpu in container c of Pod p0$/);
  });
});
test('byAverage compares with an amount', () => {
  assert.deepEqual(byAverage(calculation([20_000, 10_000, 30_000], { resource: 'memory' }), 15_000), { replicas: 4, average: 20_000 });
  assert.deepEqual(byAverage(calculation([undefined, 1000, 1000], { resource: 'memory' }), 10_000), { replicas: 2, average: 1000 });
});

describe('limit', () => {
  const ago = (seconds: number, replicas: number): Timed => ({ at: NOW - seconds * 1000, replicas });
  const run = (current: number, desired: number, o: { behavior?: HorizontalPodAutoscalerBehavior; recommendations?: Timed[]; ups?: Timed[]; downs?: Timed[]; max?: number } = {}) => {
    const { replicas, able, limited } = limit({ current, desired, min: 2, max: o.max ?? 100, behavior: o.behavior, history: { recommendations: o.recommendations ?? [], ups: o.ups ?? [], downs: o.downs ?? [] }, now: NOW });
    return [replicas, able.reason, limited.reason];
  };
  test('without a behaviour: at most twice the size, shrinks to the highest recommendation of five minutes', () => {
    assert.deepEqual(run(3, 20), [6, 'ReadyForNewScale', 'ScaleUpLimit']);
    assert.deepEqual(run(1, 20), [4, 'ReadyForNewScale', 'ScaleUpLimit']);
    assert.deepEqual(run(8, 20, { max: 10 }), [10, 'ReadyForNewScale', 'TooManyReplicas']);
    assert.deepEqual(run(5, 1), [2, 'ReadyForNewScale', 'TooFewReplicas']);
    assert.deepEqual(run(5, 2, { recommendations: [ago(299, 4), ago(301, 9)] }), [4, 'ScaleDownStabilized', 'DesiredWithinRange']);
  });
  test('policies bound the rate; Min takes the smallest step, Disabled none', () => {
    const up = (selectPolicy: string): HorizontalPodAutoscalerBehavior => ({ scaleUp: { selectPolicy, policies: [{ type: 'Pods', value: 2, periodSeconds: 60 }, { type: 'Percent', value: 100, periodSeconds: 60 }] }, scaleDown: { selectPolicy, stabilizationWindowSeconds: 0, policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }, { type: 'Percent', value: 50, periodSeconds: 60 }] } });
    assert.deepEqual(run(10, 50, { behavior: up('Max') }), [20, 'ReadyForNewScale', 'ScaleUpLimit']);
    assert.deepEqual(run(10, 50, { behavior: up('Min') }), [12, 'ReadyForNewScale', 'ScaleUpLimit']);
    assert.deepEqual(run(10, 50, { behavior: up('Disabled') }), [10, 'ReadyForNewScale', 'ScaleUpLimit']);
    assert.deepEqual(run(10, 2, { behavior: up('Max') }), [5, 'ReadyForNewScale', 'ScaleDownLimit']);
    assert.deepEqual(run(10, 2, { behavior: up('Min') }), [9, 'ReadyForNewScale', 'ScaleDownLimit']);
    assert.deepEqual(run(12, 50, { behavior: up('Min'), ups: [ago(30, 2)] }), [12, 'ReadyForNewScale', 'ScaleUpLimit']);
  });
  test('windows hold back in both directions', () => {
    const behavior = { scaleUp: { stabilizationWindowSeconds: 60, policies: [{ type: 'Percent', value: 900, periodSeconds: 60 }] }, scaleDown: { stabilizationWindowSeconds: 60, policies: [{ type: 'Percent', value: 100, periodSeconds: 60 }] } };
    assert.deepEqual(run(4, 9, { behavior, recommendations: [ago(30, 6)] }), [6, 'ScaleUpStabilized', 'DesiredWithinRange']);
    assert.deepEqual(run(9, 3, { behavior, recommendations: [ago(30, 7), ago(90, 9)] }), [7, 'ScaleDownStabilized', 'DesiredWithinRange']);
  });
});
