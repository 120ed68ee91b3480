import assert from 'node:assert/strict';
import { test } from 'node:test';
import { runtimeclasses } from '../node/runtimeclasses.ts';
import { poddisruptionbudgets } from '../policy/poddisruptionbudgets.ts';
import { priorityclasses } from '../scheduling/priorityclasses.ts';
import { rowOf, tryCreate, tryUpdate } from '../trial.ts';
import { csidrivers } from './csidrivers.ts';
import { csinodes } from './csinodes.ts';
import { csistoragecapacities } from './csistoragecapacities.ts';
import { storageclasses } from './storageclasses.ts';
import { volumeattachments } from './volumeattachments.ts';
import { volumeattributesclasses } from './volumeattributesclasses.ts';

const named = (fields: object, name = 'a') => ({ metadata: { name }, ...fields });

test('storageclasses defaults, keeps what it provisions with and marks the default', () => {
  const { object, errors } = tryCreate(storageclasses, named({ provisioner: 'example.com/p' }));
  assert.deepEqual([errors, object['reclaimPolicy'], object['volumeBindingMode']], [[], 'Delete', 'Immediate']);
  assert.deepEqual(tryCreate(storageclasses, named({})).errors, ['provisioner: Required value']);
  const changed = tryUpdate(storageclasses, named({ provisioner: 'p' }), (c) => Object.assign(c, { provisioner: 'q', parameters: { a: 'b' } }));
  assert.deepEqual(changed.errors, ['parameters: Invalid value: {"a":"b"}: field is immutable', 'provisioner: Invalid value: "q": field is immutable']);
  const row = rowOf(storageclasses, { metadata: { name: 'fast', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } }, provisioner: 'p' });
  assert.deepEqual([row['Name'], row['AllowVolumeExpansion']], ['fast (default)', false]);
});
test('volumeattributesclasses needs parameters and keeps them', () => {
  assert.deepEqual(tryCreate(volumeattributesclasses, named({ driverName: 'd.example.com' })).errors, ['parameters: Required value: must contain at least one key/value pair']);
  const changed = tryUpdate(volumeattributesclasses, named({ driverName: 'd', parameters: { a: 'b' } }), (c) => (c['parameters'] = { a: 'c' }));
  assert.deepEqual(changed.errors, ['parameters: Forbidden: updates to parameters are forbidden.']);
  assert.equal(rowOf(volumeattributesclasses, named({ driverName: 'd' }))['DriverName'], 'd');
});
test('volumeattachments has one source and keeps it', () => {
  const attachment = (source: object) => named({ spec: { attacher: 'csi.example.com', nodeName: 'n', source } });
  assert.deepEqual(tryCreate(volumeattachments, attachment({})).errors, ['spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName']);
  const inline = { accessModes: ['ReadWriteOnce'], csi: { driver: 'csi.example.com', volumeHandle: 'v' } };
  assert.deepEqual(tryCreate(volumeattachments, attachment({ inlineVolumeSpec: inline })).errors, []);
  assert.deepEqual(tryCreate(volumeattachments, attachment({ inlineVolumeSpec: { ...inline, capacity: { storage: '1' } } })).errors, [
    'spec.source.inlineVolumeSpec.capacity: Forbidden: may not be specified in the context of inline volumes',
  ]);
  const { object } = tryCreate(volumeattachments, attachment({ persistentVolumeName: 'pv' }));
  assert.deepEqual([object['status'], rowOf(volumeattachments, object)['PV']], [{ attached: false }, 'pv']);
});
test('csinodes lets only the count of a driver change', () => {
  const node = named({ spec: { drivers: [{ name: 'd', nodeID: '1', allocatable: { count: 3 } }] } });
  const to = (driver: object) => tryUpdate(csinodes, node, (n) => (n['spec'] = { drivers: [driver] })).errors;
  assert.deepEqual(tryCreate(csinodes, named({ spec: { drivers: [{ name: 'd' }] } })).errors, ['spec.drivers[0].nodeID: Required value']);
  assert.deepEqual([to({ name: 'd', nodeID: '1', allocatable: { count: 4 } }), to({ name: 'd', nodeID: '2' }).length], [[], 1]);
  assert.equal(rowOf(csinodes, node)['Drivers'], 1);
});
test('csidrivers is defaulted and checks its tokens', () => {
  const { object, errors } = tryCreate(csidrivers, named({ spec: { tokenRequests: [{ audience: 'a' }, { audience: 'a' }, { audience: 'b', expirationSeconds: 5 }] } }));
  assert.deepEqual(errors, [
    'spec.tokenRequests[1].audience: Duplicate value: "a"', 'spec.tokenRequests[2].expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes',
  ]);
  const row = rowOf(csidrivers, object);
  assert.deepEqual([row['AttachRequired'], row['TokenRequests'], row['Modes']], [true, 'a,a,b', 'Persistent']);
});
test('csistoragecapacities keeps what it is about', () => {
  const capacity = named({ storageClassName: 'fast', capacity: '-1' });
  assert.deepEqual(tryCreate(csistoragecapacities, capacity).errors, ['capacity: Invalid value: "-1": must be greater than or equal to 0']);
  assert.deepEqual(tryUpdate(csistoragecapacities, named({ storageClassName: 'a' }), (c) => (c['storageClassName'] = 'b')).errors, ['storageClassName: Invalid value: "b": field is immutable']);
  assert.deepEqual(rowOf(csistoragecapacities, named({ storageClassName: 'a' })), { Name: 'a', 'Created At': null });
});
test('priorityclasses keeps its value and the names of the system', () => {
  assert.deepEqual(tryCreate(priorityclasses, named({ value: 2_000_000_000 })).errors, ['value: Forbidden: maximum allowed value of a user defined priority is 1000000000']);
  assert.deepEqual(tryCreate(priorityclasses, named({ value: 2_000_001_000 }, 'system-node-critical')).errors, []);
  assert.deepEqual(tryCreate(priorityclasses, named({ value: 1 }, 'system-a')).errors, [
    "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error: system-a is not a known system priority class",
  ]);
  assert.deepEqual(tryUpdate(priorityclasses, named({ value: 1 }), (p) => (p['value'] = 2)).errors, ['value: Forbidden: may not be changed in an update.']);
  assert.deepEqual(rowOf(priorityclasses, tryCreate(priorityclasses, named({ value: 1 })).object)['PreemptionPolicy'], 'PreemptLowerPriority');
});
test('runtimeclasses has a handler for good', () => {
  assert.equal(tryCreate(runtimeclasses, named({ handler: 'Not A Label' })).errors.length, 1);
  assert.deepEqual(tryUpdate(runtimeclasses, named({ handler: 'a' }), (r) => (r['handler'] = 'b')).errors, ['handler: Invalid value: "b": field is immutable']);
  assert.deepEqual(rowOf(runtimeclasses, named({ handler: 'runc' })), { Name: 'a', Handler: 'runc', Age: '<unknown>' });
});
test('poddisruptionbudgets takes one bound', () => {
  const budget = (spec: object) => tryCreate(poddisruptionbudgets, named({ spec })).errors;
  assert.deepEqual(budget({ minAvailable: '50%', selector: {} }), []);
  assert.match(budget({ minAvailable: 1, maxUnavailable: 1 })[0]!, /^spec: Invalid value: \{.*\}: minAvailable and maxUnavailable cannot be both set$/);
  assert.deepEqual(budget({ maxUnavailable: '101%' }), ['spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%']);
  assert.deepEqual(rowOf(poddisruptionbudgets, named({ spec: { minAvailable: 2 } })), { Name: 'a', 'Min Available': '2', 'Max Unavailable': 'N/A', 'Allowed Disruptions': 0, Age: '<unknown>' });
});
