import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { structByKind } from '#api/schema.ts';
import { deepFreeze } from '#base/draft.ts';
import { excludeFields, includeFields } from './field-filter.ts';
import { equalButForTimes, isReset, validateManagedFields } from './managed-fields.ts';
import { managerName } from './manager-name.ts';
import { structSchema, zeroObject } from './struct-schema.ts';
import { updateManagedFields, type FieldManagement } from './update.ts';

const POD = structByKind('', 'v1', 'Pod')!;
const T0 = Date.parse('2026-01-02T03:04:05Z');
const by = (manager: string, more: Partial<FieldManagement> = {}): FieldManagement => ({
  schema: structSchema(POD), zero: zeroObject(POD), apiVersion: 'v1', kind: 'Pod', subresource: '', manager, now: T0, filter: excludeFields('status'), ...more,
});
const status = (manager: string, more: Partial<FieldManagement> = {}) => by(manager, { subresource: 'status', filter: excludeFields('spec'), ...more });
type Loose = Record<string, unknown>;
const podOf = (parts: { metadata?: Loose; spec?: Loose; status?: Loose }): KubeObject =>
  deepFreeze({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'default', uid: 'u', ...parts.metadata }, spec: { ...parts.spec }, status: { ...parts.status } }) as unknown as KubeObject;
const withManaged = (obj: KubeObject, managedFields: unknown): KubeObject => deepFreeze({ ...obj, metadata: { ...obj.metadata, managedFields } }) as KubeObject;

const nginx = podOf({
  metadata: { labels: { app: 'nginx' }, creationTimestamp: '2026-01-01T00:00:00Z', generation: 1, resourceVersion: '5' },
  spec: {
    containers: [{ name: 'nginx', image: 'nginx', ports: [{ containerPort: 80, protocol: 'TCP' }], resources: {}, imagePullPolicy: 'Always', terminationMessagePath: '/dev/termination-log', terminationMessagePolicy: 'File' }],
    restartPolicy: 'Always', terminationGracePeriodSeconds: 30, dnsPolicy: 'ClusterFirst', securityContext: {}, schedulerName: 'default-scheduler', enableServiceLinks: true,
  },
  status: { phase: 'Pending', qosClass: 'BestEffort' },
});

test('updateManagedFields books a new object on its creator as the API server does', () => {
  const entries = updateManagedFields(undefined, nginx, by('kubectl-run'));
  assert.equal(
    JSON.stringify(entries),
    JSON.stringify([{
      manager: 'kubectl-run', operation: 'Update', apiVersion: 'v1', time: '2026-01-02T03:04:05Z', fieldsType: 'FieldsV1',
      fieldsV1: {
        'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } },
        'f:spec': {
          'f:containers': { 'k:{"name":"nginx"}': {
            '.': {}, 'f:image': {}, 'f:imagePullPolicy': {}, 'f:name': {},
            'f:ports': { '.': {}, 'k:{"containerPort":80,"protocol":"TCP"}': { '.': {}, 'f:containerPort': {}, 'f:protocol': {} } },
            'f:resources': {}, 'f:terminationMessagePath': {}, 'f:terminationMessagePolicy': {},
          } },
          'f:dnsPolicy': {}, 'f:enableServiceLinks': {}, 'f:restartPolicy': {}, 'f:schedulerName': {}, 'f:securityContext': {}, 'f:terminationGracePeriodSeconds': {},
        },
      },
    }]),
  );
});

const created = withManaged(nginx, updateManagedFields(undefined, nginx, by('kubectl-run')));
const changedBy = (obj: KubeObject, change: (draft: { metadata: Loose; spec: Loose; status: Loose }) => void): KubeObject => {
  const copy = structuredClone(obj) as unknown as { metadata: Loose; spec: Loose; status: Loose };
  change(copy);
  return deepFreeze(copy) as unknown as KubeObject;
};

test('updateManagedFields returns the very entries when nothing changes hands', () => {
  assert.equal(updateManagedFields(created, created, by('other')), created.metadata.managedFields);
  const copy = structuredClone(created) as KubeObject;
  assert.equal(updateManagedFields(created, copy, by('other')), created.metadata.managedFields);
  const versioned = changedBy(created, (p) => void (p.metadata.resourceVersion = '6'));
  assert.equal(updateManagedFields(created, versioned, by('other')), created.metadata.managedFields);
});

test('updateManagedFields moves a changed field to whoever changed it, and drops a removed one', () => {
  const next = changedBy(created, (p) => {
    p.metadata.labels = { app: 'web' };
    p.spec.schedulerName = 'mine';
    delete p.spec.enableServiceLinks;
  });
  const entries = updateManagedFields(created, next, by('edit', { now: T0 + 61_000 }))!;
  assert.deepEqual(entries.map((e) => [e.manager, e.time]), [['kubectl-run', '2026-01-02T03:04:05Z'], ['edit', '2026-01-02T03:05:06Z']]);
  assert.deepEqual(entries[1]!.fieldsV1, { 'f:metadata': { 'f:labels': { 'f:app': {} } }, 'f:spec': { 'f:schedulerName': {} } });
  const left = JSON.stringify(entries[0]!.fieldsV1);
  for (const gone of ['f:app', 'f:schedulerName', 'f:enableServiceLinks']) assert.ok(!left.includes(gone), gone);
  assert.ok(left.includes('"f:labels":{}'));
});

test('updateManagedFields keeps the status apart, by subresource', () => {
  const next = changedBy(created, (p) => void (p.status = { ...p.status, phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] }));
  const entries = updateManagedFields(created, next, status('kubelet'))!;
  assert.deepEqual(entries.map((e) => e.manager), ['kubectl-run', 'kubelet']);
  const kubelet = entries.find((e) => e.manager === 'kubelet')!;
  assert.equal(JSON.stringify(kubelet), JSON.stringify({
    manager: 'kubelet', operation: 'Update', apiVersion: 'v1', time: '2026-01-02T03:04:05Z', fieldsType: 'FieldsV1',
    fieldsV1: { 'f:status': { 'f:conditions': { '.': {}, 'k:{"type":"Ready"}': { '.': {}, 'f:status': {}, 'f:type': {} } }, 'f:phase': {} } }, subresource: 'status',
  }));
  assert.equal(entries.find((e) => e.manager === 'kubectl-run'), created.metadata.managedFields![0]);
});

test('updateManagedFields leaves out fields that the write resets', () => {
  const next = changedBy(created, (p) => void (p.status = { phase: 'Running' }));
  assert.equal(updateManagedFields(created, next, by('edit')), created.metadata.managedFields);
});

test('updateManagedFields drops a manager that has nothing left', () => {
  const owned = withManaged(podOf({ metadata: { labels: { a: '1' } } }), [{ manager: 'a', operation: 'Update', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: { 'f:metadata': { 'f:labels': { 'f:a': {} } } } }]);
  const entries = updateManagedFields(owned, changedBy(owned, (p) => void (p.metadata.labels = { a: '2' })), by('b'))!;
  assert.deepEqual(entries.map((e) => e.manager), ['b']);
});

test('updateManagedFields does not start to track an object that has no managers', () => {
  const untracked = podOf({ spec: { nodeName: 'a' } });
  assert.equal(updateManagedFields(untracked, changedBy(untracked, (p) => void (p.spec.nodeName = 'b')), by('x')), undefined);
});

test('updateManagedFields forgets all managers when the client resets them', () => {
  for (const reset of [[], [{}]]) {
    const next = withManaged(created, reset);
    assert.equal(isReset(next.metadata.managedFields), true);
    assert.equal(updateManagedFields(created, next, by('x')), undefined);
    assert.equal(updateManagedFields(created, next, status('x')), created.metadata.managedFields, 'not through a subresource');
  }
});

test('updateManagedFields takes managers from the client, unless they are invalid', () => {
  const mine = { manager: 'me', operation: 'Apply', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: { 'f:metadata': { 'f:labels': { 'f:app': { '.': {} } } } } };
  const entries = updateManagedFields(created, withManaged(created, [mine]), by('x'))!;
  assert.deepEqual(entries, [{ ...mine, fieldsV1: { 'f:metadata': { 'f:labels': { 'f:app': {} } } } }]);
  const bad = updateManagedFields(created, withManaged(created, [{ ...mine, operation: 'Steal' }]), by('x'));
  assert.equal(bad, created.metadata.managedFields);
});

test('updateManagedFields names a manager without a name unknown', () => {
  assert.equal(updateManagedFields(undefined, nginx, by(''))![0]!.manager, 'unknown');
});

test('updateManagedFields merges the oldest updaters beyond ten into ancient-changes', () => {
  let obj = podOf({ metadata: { uid: undefined } });
  obj = withManaged(obj, updateManagedFields(undefined, changedBy(obj, (p) => void (p.metadata.labels = { l0: '0' })), by('m0')));
  for (let i = 1; i <= 12; i++) {
    const next = changedBy(obj, (p) => void (p.metadata.labels = { ...(p.metadata.labels as Loose), [`l${i}`]: 'x' }));
    obj = withManaged(next, updateManagedFields(obj, next, by(`m${i}`, { now: T0 + i * 1000 })));
  }
  const entries = obj.metadata.managedFields!;
  assert.deepEqual(entries.map((e) => e.manager), ['ancient-changes', ...Array.from({ length: 9 }, (_, i) => `m${i + 4}`)]);
  assert.equal(entries[0]!.time, '2026-01-02T03:04:08Z');
  assert.ok(JSON.stringify(entries[0]!.fieldsV1).includes('f:l3'));
});

test('updateManagedFields sees changes at the version that a manager wrote at, and forgets unknown versions', () => {
  const old = [
    { manager: 'v1er', operation: 'Apply', apiVersion: 'other/v1', fieldsType: 'FieldsV1', fieldsV1: { 'f:oldName': {} } },
    { manager: 'lost', operation: 'Update', apiVersion: 'gone/v1', fieldsType: 'FieldsV1', fieldsV1: { 'f:x': {} } },
  ];
  const live = withManaged(podOf({ spec: { nodeName: 'a' } }), old);
  const next = changedBy(live, (p) => void (p.spec.nodeName = 'b'));
  const versions = (v: string) => (v === 'other/v1' ? { schema: { kind: 'untyped' } as const, convert: (o: Loose) => ({ oldName: (o.spec as Loose).nodeName }), revert: (o: Loose) => ({ spec: { nodeName: o.oldName } }) } : undefined);
  assert.deepEqual(updateManagedFields(live, next, by('x', { versions }))!.map((e) => e.manager), ['x']);
  const same = changedBy(live, (p) => void (p.metadata.labels = { a: 'b' }));
  assert.deepEqual(updateManagedFields(live, same, by('x', { versions }))!.map((e) => e.manager), ['v1er', 'x']);
});

test('includeFields keeps what lies under its patterns', () => {
  const filter = includeFields('spec.containers.*.resources');
  assert.deepEqual(filter({ 'f:spec': { 'f:nodeName': {}, 'f:containers': { 'k:{"name":"a"}': { 'f:resources': { 'f:limits': {} }, 'f:image': {} } } } }), {
    'f:spec': { 'f:containers': { 'k:{"name":"a"}': { 'f:resources': { 'f:limits': {} } } } },
  });
});

test('validateManagedFields refuses what upstream refuses', () => {
  const entry = { manager: 'm', operation: 'Update', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: {} };
  const fails: [object, RegExp][] = [
    [{ operation: '' }, /^Error: operation must be `Apply` or `Update`$/],
    [{ apiVersion: '' }, /^Error: apiVersion must not be empty$/],
    [{ fieldsType: '' }, /^Error: missing fieldsType in managed fields entry 0$/],
    [{ fieldsType: 'FieldsV2' }, /^Error: invalid fieldsType "FieldsV2" in managed fields entry 0$/],
    [{ fieldsV1: { x: {} } }, /key must be 2 characters long/],
  ];
  for (const [change, message] of fails) assert.throws(() => validateManagedFields([{ ...entry, ...change }] as never), message);
  validateManagedFields([entry] as never);
});

test('equalButForTimes ignores times alone', () => {
  const a = [{ manager: 'm', operation: 'Update', time: '2026-01-01T00:00:00Z', fieldsV1: { 'f:a': {} } }] as never;
  assert.equal(equalButForTimes(a, [{ manager: 'm', operation: 'Update', time: '2027-01-01T00:00:00Z', fieldsV1: { 'f:a': {} } }] as never), true);
  assert.equal(equalButForTimes(a, [{ manager: 'n', operation: 'Update', time: '2026-01-01T00:00:00Z', fieldsV1: { 'f:a': {} } }] as never), false);
});

test('managerName prefers the parameter, else takes what the user agent begins with', () => {
  assert.equal(managerName('mine', 'kubectl/v1'), 'mine');
  assert.equal(managerName('', 'kubectl/v1.36.0 (linux/amd64)'), 'kubectl');
  assert.equal(managerName(undefined, 'a\u0007b\n/x'), 'ab');
  assert.equal(managerName(undefined, 'x'.repeat(200)).length, 128);
  assert.equal(managerName(undefined, undefined), '');
});
