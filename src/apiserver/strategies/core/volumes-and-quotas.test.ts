import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { rowOf, tryCreate, tryUpdate } from '../trial.ts';
import { limitranges } from './limitranges.ts';
import { persistentvolumeclaims } from './persistentvolumeclaims.ts';
import { persistentvolumes } from './persistentvolumes.ts';
import { resourcequotas } from './resourcequotas.ts';

const volume = (spec: object = {}) => ({ metadata: { name: 'pv' }, spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/data' }, ...spec } });
const claim = (spec: object = {}) => ({ metadata: { name: 'data', namespace: 'a' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...spec } });

test('persistentvolumes is defaulted and pending', () => {
  const { object, errors } = tryCreate(persistentvolumes, volume());
  assert.deepEqual(errors, []);
  assert.deepEqual(object['status'], { phase: 'Pending', lastPhaseTransitionTime: '2026-01-02T03:04:05Z' });
  assert.deepEqual(object['spec'], { ...volume().spec, hostPath: { path: '/data', type: '' }, persistentVolumeReclaimPolicy: 'Retain', volumeMode: 'Filesystem' });
});
test('persistentvolumes needs a capacity, modes and one kind of storage', () => {
  assert.deepEqual(tryCreate(persistentvolumes, { metadata: { name: 'pv' }, spec: {} }).errors, [
    'spec.accessModes: Required value', 'spec.capacity: Required value', 'spec.capacity: Unsupported value: null: supported values: "storage"', 'spec: Required value: must specify a volume type',
  ]);
  assert.deepEqual(tryCreate(persistentvolumes, volume({ nfs: { server: 'a', path: '/' } })).errors, ['spec.nfs: Forbidden: may not specify more than 1 volume type']);
  assert.deepEqual(tryCreate(persistentvolumes, volume({ hostPath: undefined, local: { path: '/mnt' } })).errors, ['spec.nodeAffinity: Required value: Local volume requires node affinity']);
  assert.deepEqual(tryCreate(persistentvolumes, volume({ hostPath: { path: '/' }, persistentVolumeReclaimPolicy: 'Recycle' })).errors, [
    "spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'",
  ]);
});
test('persistentvolumes keeps its storage', () => {
  const { errors } = tryUpdate(persistentvolumes, volume(), (pv) => ((pv['spec'] as { hostPath: object }).hostPath = { path: '/other', type: '' }));
  assert.equal(errors.length, 1);
  assert.match(errors[0]!, /^spec\.persistentvolumesource: Forbidden: spec\.persistentvolumesource is immutable after creation\n@@ .*\n(.*\n)*[-+] {2}"Path": "\/other"/);
});
test('persistentvolumes row', () => {
  const row = rowOf(persistentvolumes, { ...volume({ claimRef: { namespace: 'a', name: 'b' }, storageClassName: 'fast', persistentVolumeReclaimPolicy: 'Delete' }), status: { phase: 'Bound' } });
  assert.deepEqual(row, {
    Name: 'pv', Capacity: '1Gi', 'Access Modes': 'RWO', 'Reclaim Policy': 'Delete', Status: 'Bound', Claim: 'a/b', StorageClass: 'fast', VolumeAttributesClass: '<unset>', Reason: '',
    Age: '<unknown>', VolumeMode: '<unset>',
  });
});
test('persistentvolumeclaims fills one data source from the other', () => {
  const source = { apiGroup: 'snapshot.storage.k8s.io', kind: 'VolumeSnapshot', name: 's' };
  const { object, errors } = tryCreate(persistentvolumeclaims, claim({ dataSource: source }));
  assert.deepEqual([errors, (object['spec'] as { dataSourceRef: object }).dataSourceRef, object['status']], [[], source, { phase: 'Pending' }]);
});
test('persistentvolumeclaims checks its spec', () => {
  assert.deepEqual(tryCreate(persistentvolumeclaims, { metadata: { name: 'a' }, spec: {} }).errors, [
    'spec.accessModes: Required value: at least 1 access mode is required', 'spec.resources[storage]: Required value',
  ]);
});
test('persistentvolumeclaims may grow when bound, and be given a volume', () => {
  const grow = (size: string) => (pvc: Record<string, unknown>) => ((pvc['spec'] as { resources: object }).resources = { requests: { storage: size } });
  const bound = (change: (pvc: Record<string, unknown>) => unknown) =>
    tryUpdate(persistentvolumeclaims, claim(), (pvc) => {
      pvc['status'] = { phase: 'Bound' };
      change(pvc);
    });
  assert.deepEqual(bound(grow('2Gi')).errors, []);
  assert.match(tryUpdate(persistentvolumeclaims, claim(), grow('2Gi')).errors[0]!, /^spec: Forbidden: spec is immutable after creation except resources\.requests and volumeAttributesClassName for bound claims\n@@/);
  assert.deepEqual(tryUpdate(persistentvolumeclaims, claim(), (pvc) => ((pvc['spec'] as { volumeName: string }).volumeName = 'pv')).errors, []);
  const status = { phase: 'Bound', capacity: { storage: '1Gi' } };
  const shrunk = persistentvolumeclaims.validateUpdate!({ ...claim({ resources: { requests: { storage: '512Mi' } } }), status } as KubeObject, { ...claim(), status } as KubeObject, {} as never);
  assert.deepEqual(shrunk.map((error) => `${error.field}: ${error.body}`), ['spec.resources.requests.storage: Forbidden: field can not be less than status.capacity']);
});
test('persistentvolumeclaims row', () => {
  assert.deepEqual(rowOf(persistentvolumeclaims, { ...claim({ volumeName: 'pv' }), status: { phase: 'Bound', capacity: { storage: '1Gi' }, accessModes: ['ReadWriteMany'] } }), {
    Name: 'data', Status: 'Bound', Volume: 'pv', Capacity: '1Gi', 'Access Modes': 'RWX', StorageClass: '', VolumeAttributesClass: '<unset>', Age: '<unknown>', VolumeMode: '<unset>',
  });
});
test('limitranges defaults from its bounds', () => {
  const { object, errors } = tryCreate(limitranges, { metadata: { name: 'a' }, spec: { limits: [{ type: 'Container', max: { cpu: '2' }, min: { memory: '1Mi' } }] } });
  assert.deepEqual(errors, []);
  assert.deepEqual((object['spec'] as { limits: object[] }).limits[0], { type: 'Container', max: { cpu: '2' }, min: { memory: '1Mi' }, default: { cpu: '2' }, defaultRequest: { cpu: '2', memory: '1Mi' } });
});
test('limitranges compares its bounds', () => {
  const limits = (item: object) => tryCreate(limitranges, { metadata: { name: 'a' }, spec: { limits: [item] } }).errors;
  assert.deepEqual(limits({ type: 'Pod', min: { cpu: '2' }, max: { cpu: '1' } }), ['spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1']);
  assert.deepEqual(limits({ type: 'Pod', default: { cpu: '1' } }), ["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"]);
  assert.deepEqual(limits({ type: 'Nonsense' }), ['spec.limits[0].type: Invalid value: "Nonsense": must be a standard limit type or fully qualified']);
  assert.deepEqual(limits({ type: 'Container', max: { cpu: '4' }, min: { cpu: '2' }, maxLimitRequestRatio: { cpu: '3' } }), [
    'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "3": ratio 3 is greater than max/min = 2.000000',
  ]);
});
test('resourcequotas checks names and scopes', () => {
  const quota = (spec: object) => tryCreate(resourcequotas, { metadata: { name: 'a' }, spec }).errors;
  assert.deepEqual(quota({ hard: { cpu: '1', 'count/jobs.batch': '3', 'requests.nvidia.com/gpu': '2' } }), []);
  assert.deepEqual(quota({ hard: { apples: '1' } }), [
    'spec.hard[apples]: Invalid value: "apples": must be a standard resource type or fully qualified', 'spec.hard[apples]: Invalid value: "apples": must be a standard resource for quota',
  ]);
  assert.deepEqual(quota({ hard: { services: '1' }, scopes: ['BestEffort'] }), ['spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource']);
  assert.deepEqual(quota({ hard: { pods: '1' }, scopes: ['BestEffort', 'NotBestEffort'] }), ['spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes']);
  assert.deepEqual(quota({ hard: { pods: '1.5' } }), ['spec.hard[pods]: Invalid value: "1.5": must be an integer']);
});
test('resourcequotas prints what is used', () => {
  const status = { hard: { pods: '5', 'limits.cpu': '2', cpu: '1' }, used: { pods: '1', cpu: '500m' } };
  assert.deepEqual(rowOf(resourcequotas, { metadata: { name: 'a' }, status }), { Name: 'a', Request: 'cpu: 500m/1, pods: 1/5', Limit: 'limits.cpu: 0/2', Age: '<unknown>' });
});
