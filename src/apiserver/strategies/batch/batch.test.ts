import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowOf, tryCreate, tryUpdate } from '../trial.ts';
import { cronjobs } from './cronjobs.ts';
import { jobs } from './jobs.ts';

const template = { spec: { restartPolicy: 'Never', containers: [{ name: 'main', image: 'busybox' }] } };
const job = (spec: object = {}) => ({ metadata: { name: 'pi', namespace: 'default', uid: '0000-1' }, spec: { template, ...spec } });
const cron = (spec: object = {}) => ({ metadata: { name: 'nightly' }, spec: { schedule: '0 3 * * *', jobTemplate: { spec: { template } }, ...spec } });

test('jobs gets the selector of its own uid', () => {
  const { object, errors } = tryCreate(jobs, job());
  const spec = object['spec'] as Record<string, unknown> & { template: { metadata: { labels: object } } };
  assert.deepEqual(errors, []);
  assert.deepEqual([spec['completions'], spec['parallelism'], spec['backoffLimit'], spec['completionMode'], spec['suspend']], [1, 1, 6, 'NonIndexed', false]);
  assert.deepEqual(spec['selector'], { matchLabels: { 'batch.kubernetes.io/controller-uid': '0000-1' } });
  assert.deepEqual(spec.template.metadata.labels, {
    'batch.kubernetes.io/controller-uid': '0000-1', 'batch.kubernetes.io/job-name': 'pi', 'controller-uid': '0000-1', 'job-name': 'pi',
  });
});
test('jobs without labels of its own takes those of its template, the generated ones too', () => {
  const generated = { 'batch.kubernetes.io/controller-uid': '0000-1', 'batch.kubernetes.io/job-name': 'pi', 'controller-uid': '0000-1', 'job-name': 'pi' };
  const labelled = { metadata: { labels: { app: 'pi' } }, spec: template.spec };
  const labels = (obj: object) => (tryCreate(jobs, obj).object['metadata'] as { labels?: object }).labels;
  assert.deepEqual(labels(job()), generated);
  assert.deepEqual(labels(job({ template: labelled })), { app: 'pi', ...generated });
  const own = job({ template: labelled });
  assert.deepEqual(labels({ ...own, metadata: { ...own.metadata, labels: { app: 'pi' } } }), { app: 'pi' });
});
test('jobs needs a restart policy that ends', () => {
  assert.deepEqual(tryCreate(jobs, job({ template: { spec: { containers: template.spec.containers } } })).errors, [
    'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
  ]);
});
test('jobs checks indexed completion', () => {
  assert.deepEqual(tryCreate(jobs, job({ completionMode: 'Indexed' })).errors, []);
  assert.deepEqual(tryCreate(jobs, job({ completionMode: 'Indexed', parallelism: 2 })).errors, ['spec.completions: Required value: when completion mode is Indexed']);
  assert.deepEqual(tryCreate(jobs, job({ backoffLimitPerIndex: 1 })).errors, ['spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode']);
});
test('jobs keeps its template', () => {
  const { errors } = tryUpdate(jobs, job(), (j) => ((j['spec'] as { completions: number }).completions = 5));
  assert.deepEqual(errors, ['spec.completions: Invalid value: 5: field is immutable']);
});
test('jobs takes other resources and scheduling of Pods while it is suspended and has none (KEP-5440)', () => {
  type Draft = { spec: { template: { metadata: { labels: Record<string, string> }; spec: { nodeSelector: object; containers: { image: string; resources: object }[] } } } };
  const update = (status: object, change: (spec: Draft['spec']['template']['spec']) => void, suspend = true) =>
    tryUpdate(jobs, { ...job({ suspend }), status }, (j) => change((j as unknown as Draft).spec.template.spec)).errors.map((e) => e.replace(/: Invalid value.*: /s, ': '));
  const more = (spec: Draft['spec']['template']['spec']) => (spec.containers[0]!.resources = { requests: { cpu: '2' } });
  const moved = (spec: Draft['spec']['template']['spec']) => (spec.nodeSelector = { zone: 'a' });
  const started = { startTime: '2026-01-02T03:03:05Z' };
  const suspended = { ...started, conditions: [{ type: 'Suspended', status: 'True' }] };
  for (const change of [more, moved]) {
    assert.deepEqual(update({}, change), []);
    assert.deepEqual(update(suspended, change), []);
    assert.deepEqual(update({ ...suspended, active: 1 }, change), ['spec.template: field is immutable']);
    assert.deepEqual(update(started, change), ['spec.template: field is immutable']);
    assert.deepEqual(update({}, change, false), ['spec.template: field is immutable']);
  }
  assert.deepEqual(update({}, (spec) => (spec.containers[0]!.image = 'other')), ['spec.template.spec: field is immutable']);
});
test('jobs prints completions and its status', () => {
  const running = { ...job({ completions: 3 }), status: { active: 1, succeeded: 1, startTime: '2026-01-02T03:03:05Z' } };
  const row = rowOf(jobs, running);
  assert.deepEqual([row['Status'], row['Completions'], row['Duration']], ['Running', '1/3', '60s']);
  const done = rowOf(jobs, { ...running, status: { conditions: [{ type: 'Complete', status: 'True' }], succeeded: 3, startTime: '2026-01-02T03:03:05Z', completionTime: '2026-01-02T03:03:15Z' } });
  assert.deepEqual([done['Status'], done['Completions'], done['Duration']], ['Complete', '3/3', '10s']);
});
test('cronjobs reads schedules and time zones', () => {
  assert.deepEqual(tryCreate(cronjobs, cron({ timeZone: 'Europe/Berlin' })).errors, []);
  assert.deepEqual(tryCreate(cronjobs, cron({ schedule: '@hourly' })).errors, []);
  assert.deepEqual(tryCreate(cronjobs, cron({ schedule: '* * *' })).errors, ['spec.schedule: Invalid value: "* * *": expected exactly 5 fields, found 3: [* * *]']);
  assert.deepEqual(tryCreate(cronjobs, cron({ schedule: '61 * * * *' })).errors, ['spec.schedule: Invalid value: "61 * * * *": end of range (61) above maximum (59): 61']);
  assert.deepEqual(tryCreate(cronjobs, cron({ timeZone: 'Mars/Base' })).errors, ['spec.timeZone: Invalid value: "Mars/Base": unknown time zone Mars/Base']);
  assert.deepEqual(tryCreate(cronjobs, cron({ schedule: 'TZ=UTC 0 3 * * *' })).errors, [
    'spec.schedule: Invalid value: "TZ=UTC 0 3 * * *": cannot use TZ or CRON_TZ in schedule, use timeZone field instead',
  ]);
});
test('cronjobs prints when it last ran', () => {
  const row = rowOf(cronjobs, { ...cron({ suspend: true }), status: { lastScheduleTime: '2026-01-02T03:00:00Z', active: [{}] } });
  assert.deepEqual([row['Suspend'], row['Active'], row['Last Schedule'], row['Timezone']], ['True', 1, '4m5s', '<none>']);
});
