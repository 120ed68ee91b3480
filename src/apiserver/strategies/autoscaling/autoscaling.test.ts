import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowOf, tryCreate } from '../trial.ts';
import { horizontalpodautoscalers, horizontalpodautoscalersV1 } from './horizontalpodautoscalers.ts';

const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' };
const hpa = (spec: object = {}) => ({ metadata: { name: 'web' }, spec: { scaleTargetRef, maxReplicas: 5, ...spec } });
const cpu = { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } };

test('horizontalpodautoscalers aims at 80% of CPU by default', () => {
  const { object, errors } = tryCreate(horizontalpodautoscalers, hpa({ behavior: { scaleDown: { policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }] } } }));
  const spec = object['spec'] as { metrics: unknown; minReplicas: number; behavior: unknown };
  assert.deepEqual([errors, spec.minReplicas, spec.metrics], [[], 1, [cpu]]);
  assert.deepEqual(spec.behavior, {
    scaleUp: { stabilizationWindowSeconds: 0, selectPolicy: 'Max', policies: [{ type: 'Pods', value: 4, periodSeconds: 15 }, { type: 'Percent', value: 100, periodSeconds: 15 }] },
    scaleDown: { selectPolicy: 'Max', policies: [{ type: 'Pods', value: 1, periodSeconds: 60 }] },
  });
});
test('horizontalpodautoscalers checks bounds and metrics', () => {
  assert.deepEqual(tryCreate(horizontalpodautoscalers, hpa({ minReplicas: 7 })).errors, ['spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`']);
  assert.deepEqual(tryCreate(horizontalpodautoscalers, hpa({ metrics: [{ type: 'Pods', resource: cpu.resource }] })).errors, [
    'spec.metrics[0].pods: Required value: must populate information for the given metric source',
  ]);
  assert.deepEqual(tryCreate(horizontalpodautoscalers, hpa({ metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization' } } }] })).errors, [
    'spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization',
  ]);
  assert.deepEqual(tryCreate(horizontalpodautoscalers, hpa({ behavior: { scaleUp: { stabilizationWindowSeconds: 3601, selectPolicy: 'Most' } } })).errors, [
    'spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600',
    'spec.behavior.scaleUp.selectPolicy: Unsupported value: "Most": supported values: "Disabled", "Max", "Min"',
  ]);
});
test('horizontalpodautoscalers prints targets', () => {
  const pods = { type: 'Pods', pods: { metric: { name: 'qps' }, target: { type: 'AverageValue', averageValue: '1k' } } };
  const currentMetrics = [{ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 10 } } }];
  const row = rowOf(horizontalpodautoscalers, { ...hpa({ metrics: [cpu, pods, pods] }), status: { currentMetrics, currentReplicas: 2 } });
  assert.deepEqual(row, { Name: 'web', Reference: 'Deployment/web', Targets: 'cpu: 10%/80%, <unknown>/1k + 1 more...', MinPods: '<unset>', MaxPods: 5, Replicas: 2, Age: '<unknown>' });
});
test('horizontalpodautoscalers of the first version is checked and printed as the second', () => {
  const { object, errors } = tryCreate(horizontalpodautoscalersV1, hpa());
  assert.deepEqual([errors, rowOf(horizontalpodautoscalersV1, object)['Targets']], [[], 'cpu: <unknown>/80%']);
  assert.deepEqual(tryCreate(horizontalpodautoscalersV1, hpa({ maxReplicas: 0 })).errors[0], 'spec.maxReplicas: Required value: must be set and greater than 0');
});
