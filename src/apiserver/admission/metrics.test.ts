import assert from 'node:assert/strict';
import { it } from 'node:test';
import { FakeClock } from '#base/fake-clock.ts';
import { forbidden } from '#machinery/status-error.ts';
import type { AdmissionPlugin } from '../interfaces.ts';
import { AdmissionMetrics, policyErrorOf } from './metrics.ts';
import { ReinvokingPlugins } from './reinvocation.ts';
import { oneOf } from './refusal.ts';
import { attributes } from './testing/attributes.ts';

const signal = new AbortController().signal;
const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'default' } };
const linesOf = (metrics: AdmissionMetrics, pattern: RegExp): string[] => metrics.text().split('\n').filter((line) => pattern.test(line));

it('ReinvokingPlugins times every plugin and both phases, at once or later', async () => {
  const clock = new FakeClock();
  const metrics = new AdmissionMetrics();
  const takes = (ms: number, then: () => void = () => {}) => async (): Promise<void> => {
    await clock.advance(ms);
    then();
  };
  const plugins: AdmissionPlugin[] = [
    { name: 'Quick', handles: oneOf('CREATE'), admit: () => undefined, validate: () => undefined },
    { name: 'Slow', handles: oneOf('CREATE'), admit: takes(30) },
    { name: 'Picky', handles: oneOf('CREATE'), validate: takes(3, () => { throw forbidden({ group: '', resource: 'pods' }, 'p', 'no'); }) },
    { name: 'Never', handles: oneOf('DELETE'), admit: () => undefined },
  ];
  const chain = new ReinvokingPlugins(plugins, { clock, metrics });
  const a = attributes(pod);
  await chain.admit(a, signal);
  await assert.rejects(async () => chain.validate(a, signal), /forbidden: no/);
  assert.deepEqual(linesOf(metrics, /^apiserver_admission_controller_admission_duration_seconds_(sum|count)/), [
    'apiserver_admission_controller_admission_duration_seconds_sum{name="Quick",operation="CREATE",rejected="false",type="admit"} 0', 'apiserver_admission_controller_admission_duration_seconds_count{name="Quick",operation="CREATE",rejected="false",type="admit"} 1',
    'apiserver_admission_controller_admission_duration_seconds_sum{name="Quick",operation="CREATE",rejected="false",type="validate"} 0', 'apiserver_admission_controller_admission_duration_seconds_count{name="Quick",operation="CREATE",rejected="false",type="validate"} 1',
    'apiserver_admission_controller_admission_duration_seconds_sum{name="Slow",operation="CREATE",rejected="false",type="admit"} 0.03', 'apiserver_admission_controller_admission_duration_seconds_count{name="Slow",operation="CREATE",rejected="false",type="admit"} 1',
    'apiserver_admission_controller_admission_duration_seconds_sum{name="Picky",operation="CREATE",rejected="true",type="validate"} 0.003', 'apiserver_admission_controller_admission_duration_seconds_count{name="Picky",operation="CREATE",rejected="true",type="validate"} 1',
  ]);
  assert.deepEqual(linesOf(metrics, /^apiserver_admission_step_admission_duration_seconds_sum/), [
    'apiserver_admission_step_admission_duration_seconds_sum{operation="CREATE",rejected="false",type="admit"} 0.03', 'apiserver_admission_step_admission_duration_seconds_sum{operation="CREATE",rejected="true",type="validate"} 0.003',
  ]);
  assert.deepEqual(linesOf(metrics, /step_admission_duration_seconds_bucket.*admit/).map((line) => line.split(' ')[1]), ['0', '0', '1', '1', '1', '1', '1']);
});

it('codes that a webhook makes up are bounded', () => {
  const metrics = new AdmissionMetrics();
  for (const code of [403, 601, 9_999]) metrics.webhookRejection('w', 'admit', 'CREATE', 'no_error', code);
  assert.deepEqual(linesOf(metrics, /^apiserver_admission_webhook_rejection_count/), [
    'apiserver_admission_webhook_rejection_count{error_type="no_error",name="w",operation="CREATE",rejection_code="403",type="admit"} 1',
    'apiserver_admission_webhook_rejection_count{error_type="no_error",name="w",operation="CREATE",rejection_code="600",type="admit"} 2',
  ]);
});

it('policyErrorOf tells errors apart by their beginning', () => {
  assert.deepEqual(['compilation failed: x', 'validation failed due to running out of cost budget, no further', 'failed expression: x'].map(policyErrorOf), ['compile_error', 'out_of_budget', 'invalid_error']);
});
