import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podtemplates } from '../core/podtemplates.ts';
import { replicationcontrollers } from '../core/replicationcontrollers.ts';
import { rowOf, tryCreate, tryUpdate } from '../trial.ts';
import { controllerrevisions } from './controllerrevisions.ts';
import { daemonsets } from './daemonsets.ts';
import { deployments } from './deployments.ts';
import { replicasets } from './replicasets.ts';
import { statefulsets } from './statefulsets.ts';

const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image: 'nginx' }] } };
const selector = { matchLabels: { app: 'web' } };
const workload = (spec: object = {}) => ({ metadata: { name: 'web', namespace: 'default' }, spec: { selector, template, ...spec } });

test('deployments is defaulted as upstream does', () => {
  const { object, errors } = tryCreate(deployments, workload());
  const { template: defaulted, selector: _, ...rest } = object['spec'] as Record<string, unknown>;
  assert.deepEqual(errors, []);
  assert.deepEqual(rest, { replicas: 1, strategy: { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: '25%', maxSurge: '25%' } }, revisionHistoryLimit: 10, progressDeadlineSeconds: 600 });
  assert.equal((defaulted as { spec: { dnsPolicy: string } }).spec.dnsPolicy, 'ClusterFirst');
  assert.deepEqual([object.metadata.generation, object['status']], [1, {}]);
});
test('deployments asks for a selector that its template has', () => {
  assert.deepEqual(tryCreate(deployments, workload({ selector: { matchLabels: { app: 'db' } } })).errors, [
    'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
  ]);
  assert.deepEqual(tryCreate(deployments, workload({ selector: {} })).errors, ['spec.selector: Invalid value: {}: empty selector is invalid for deployment']);
  assert.deepEqual(tryCreate(deployments, workload({ replicas: -1, template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } })).errors, [
    'spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
  ]);
});
test('deployments must be able to roll', () => {
  const rolling = (rollingUpdate: object) => tryCreate(deployments, workload({ strategy: { type: 'RollingUpdate', rollingUpdate } })).errors;
  assert.deepEqual(rolling({ maxSurge: 0, maxUnavailable: '0%' }), ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0']);
  assert.deepEqual(rolling({ maxUnavailable: '101%' }), ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%']);
  assert.deepEqual(tryCreate(deployments, workload({ strategy: { type: 'Recreate', rollingUpdate: {} } })).errors, [
    "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
  ]);
});
test('deployments keeps its selector and counts annotations as changes', () => {
  const { errors } = tryUpdate(deployments, workload(), (d) => {
    const spec = d['spec'] as Record<string, unknown>;
    spec['selector'] = { matchLabels: { app: 'web', tier: 'a' } };
    spec['template'] = { ...template, metadata: { labels: { app: 'web', tier: 'a' } } };
  });
  assert.equal(errors.length, 1);
  assert.match(errors[0]!, /^spec\.selector: Invalid value: .*: field is immutable$/);
  const { object } = tryUpdate(deployments, workload(), (d) => (d.metadata.annotations = { a: 'b' }));
  assert.equal(object.metadata.generation, 2);
});
test('deployments row', () => {
  const row = rowOf(deployments, { ...workload({ replicas: 3 }), status: { readyReplicas: 2, updatedReplicas: 3, availableReplicas: 1 } });
  assert.deepEqual(row, { Name: 'web', Ready: '2/3', 'Up-to-date': 3, Available: 1, Age: '<unknown>', Containers: 'web', Images: 'nginx', Selector: 'app=web' });
});
test('replicasets counts its replicas', () => {
  assert.deepEqual(tryCreate(replicasets, workload({ replicas: 0 })).errors, []);
  assert.deepEqual(rowOf(replicasets, { ...workload({ replicas: 2 }), status: { replicas: 2 } })['Ready'], 0);
  const wrong = tryUpdate(replicasets, workload(), (rs) => (rs['status'] = { replicas: 1, readyReplicas: 2 }), 'status');
  assert.deepEqual(wrong.errors, ['status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas']);
});
test('statefulsets may change only a few fields', () => {
  const sts = workload({ serviceName: 'web' });
  assert.deepEqual(tryCreate(statefulsets, sts).errors, []);
  const { errors } = tryUpdate(statefulsets, sts, (s) => ((s['spec'] as { serviceName: string }).serviceName = 'other'));
  assert.deepEqual(errors, [
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
  ]);
});
test('statefulsets accepts mounts of its claim templates', () => {
  const claim = { metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } };
  const mounting = { ...template, spec: { containers: [{ name: 'web', image: 'nginx', volumeMounts: [{ name: 'data', mountPath: '/data' }] }] } };
  assert.deepEqual(tryCreate(statefulsets, workload({ serviceName: 'web', template: mounting, volumeClaimTemplates: [claim] })).errors, []);
  assert.deepEqual(tryCreate(statefulsets, workload({ serviceName: 'web', template: mounting })).errors, ['spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data"']);
});
test('daemonsets prints its node selector', () => {
  const { object, errors } = tryCreate(daemonsets, workload());
  assert.deepEqual(errors, []);
  assert.deepEqual((object['spec'] as Record<string, unknown>)['updateStrategy'], { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } });
  assert.equal(rowOf(daemonsets, workload({ template: { ...template, spec: { ...template.spec, nodeSelector: { disk: 'ssd' } } } }))['Node Selector'], 'disk=ssd');
});
test('daemonsets checks selector, update and template', () => {
  const errorsOf = (spec: object) => tryCreate(daemonsets, workload(spec)).errors;
  assert.deepEqual(errorsOf({ selector: {} }), ['spec.selector: Invalid value: {}: empty selector is invalid for daemonset']);
  assert.deepEqual(errorsOf({ updateStrategy: { rollingUpdate: { maxUnavailable: 1, maxSurge: '200%' } }, minReadySeconds: -1 }), [
    'spec.minReadySeconds: Invalid value: -1: must be greater than or equal to 0', 'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "200%": must not be greater than 100%',
    'spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "200%": may not be set when maxUnavailable is non-zero',
  ]);
  assert.deepEqual(errorsOf({ updateStrategy: { rollingUpdate: { maxUnavailable: 0 } } }), ['spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0']);
  assert.deepEqual(errorsOf({ template: { ...template, spec: { ...template.spec, restartPolicy: 'Never' } } }), ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"']);
  const other = tryUpdate(daemonsets, workload(), (d) => Object.assign(d['spec'] as object, { selector: { matchLabels: { app: 'web', tier: 'a' } }, template: { ...template, metadata: { labels: { app: 'web', tier: 'a' } } } }));
  assert.match(other.errors.join(), /^spec\.selector: Invalid value: .*: field is immutable$/);
});
test('controllerrevisions keeps its data', () => {
  const revision = { metadata: { name: 'web-1' }, data: { a: 1 }, revision: 1 };
  assert.deepEqual(tryCreate(controllerrevisions, revision).errors, []);
  assert.deepEqual(tryUpdate(controllerrevisions, revision, (r) => (r['data'] = { a: 2 })).errors.length, 1);
  assert.deepEqual(tryCreate(controllerrevisions, { ...revision, revision: -1 }).errors, ['revision: Invalid value: -1: must be greater than or equal to 0']);
});
test('replicationcontrollers takes its selector from the template', () => {
  const { object, errors } = tryCreate(replicationcontrollers, { metadata: { name: 'web' }, spec: { template } });
  assert.deepEqual(errors, []);
  assert.deepEqual([object['spec'], object.metadata.labels].map((o) => (o as { selector?: object }).selector ?? o), [{ app: 'web' }, { app: 'web' }]);
});
test('replicationcontrollers needs a selector that its template has', () => {
  const errorsOf = (spec: object) => tryCreate(replicationcontrollers, { metadata: { name: 'web' }, spec }).errors;
  assert.deepEqual(errorsOf({ replicas: -1 }), ['spec.selector: Required value', 'spec.replicas: Invalid value: -1: must be greater than or equal to 0', 'spec.template: Required value']);
  assert.deepEqual(errorsOf({ selector: { app: 'db' }, template }), ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`']);
});
test('podtemplates checks its template', () => {
  const { errors } = tryCreate(podtemplates, { metadata: { name: 'web' }, template: { spec: { containers: [{ image: 'nginx' }] } } });
  assert.deepEqual(errors, ['template.spec.containers[0].name: Required value']);
});
