import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowOf, tryCreate, tryUpdate } from '../trial.ts';
import { deviceclasses } from './deviceclasses.ts';
import { resourceclaims } from './resourceclaims.ts';
import { resourceclaimtemplates } from './resourceclaimtemplates.ts';
import { resourceslices } from './resourceslices.ts';

const request = { name: 'gpu', exactly: { deviceClassName: 'gpu.example.com' } };
const claim = (devices: object = { requests: [request] }) => ({ metadata: { name: 'c' }, spec: { devices } });
const result = { request: 'gpu', driver: 'gpu.example.com', pool: 'n1', device: 'gpu-0' };
const allocation = { devices: { results: [result] } };

test('deviceclasses checks configuration and names', () => {
  const make = (spec: object) => tryCreate(deviceclasses, { metadata: { name: 'a' }, spec }).errors;
  assert.deepEqual(make({ selectors: [{ cel: { expression: 'true' } }] }), []);
  assert.deepEqual(make({ selectors: [{ cel: { expression: 'device.attributes["a.example"].b.c' } }, { cel: { expression: 'device.attributes' } }] }), [
    'spec.selectors[0].cel.expression: Invalid value: "device.attributes[\\"a.example\\"].b.c": must evaluate to bool or the unknown type, not dyn',
    'spec.selectors[1].cel.expression: Invalid value: "device.attributes": must evaluate to bool or the unknown type, not map(string, map(string, google.protobuf.Any))',
  ]);
  assert.deepEqual(make({ selectors: [{}], config: [{ opaque: { driver: 'd', parameters: 1 } }], extendedResourceName: 'cpu' }), [
    'spec.selectors[0].cel: Required value', 'spec.config[0].opaque.parameters: Invalid value: "<value omitted>": must be a valid JSON object',
    'spec.extendedResourceName: Invalid value: "cpu": must be a valid extended resource name',
  ]);
  assert.deepEqual(rowOf(deviceclasses, { metadata: { name: 'a' } }), { Name: 'a', Age: '<unknown>' });
});
test('resourceclaims defaults and checks its requests', () => {
  const { object, errors } = tryCreate(resourceclaims, claim());
  assert.deepEqual(errors, []);
  assert.deepEqual((object['spec'] as { devices: object }).devices, { requests: [{ name: 'gpu', exactly: { deviceClassName: 'gpu.example.com', allocationMode: 'ExactCount', count: 1 } }] });
  assert.deepEqual(tryCreate(resourceclaims, claim({ requests: [{ name: 'a' }, { name: 'a', exactly: {} }], constraints: [{ requests: ['b'], matchAttribute: 'numa' }] })).errors, [
    'spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required',
    'spec.devices.requests[1].exactly.deviceClassName: Required value',
    'spec.devices.requests[1]: Duplicate value: "a"',
    "spec.devices.constraints[0].requests[0]: Invalid value: \"b\": must be the name of a request in the claim or the name of a request and a subrequest separated by '/'",
    'spec.devices.constraints[0].matchAttribute: Invalid value: "numa": a fully qualified name must be a domain and a name separated by a slash',
  ]);
});
test('resourceclaims keeps its spec and its allocation', () => {
  const respec = tryUpdate(resourceclaims, claim(), (c) => (c['spec'] = { devices: {} }));
  assert.match(respec.errors[0]!, /^spec: Invalid value: .*: field is immutable$/);
  const reserved = tryUpdate(resourceclaims, claim(), (c) => (c['status'] = { reservedFor: [{ resource: 'pods', name: 'p', uid: 'u' }] }), 'status');
  assert.deepEqual(reserved.errors, ['status.reservedFor: Forbidden: may not be specified when `allocated` is not set']);
  const allocated = tryUpdate(resourceclaims, claim(), (c) => (c['status'] = { allocation, devices: [{ ...result, device: 'gpu-1' }] }), 'status');
  assert.deepEqual(allocated.errors, ['status.devices[0]: Invalid value: "gpu.example.com/n1/gpu-1": must be an allocated device in the claim']);
});
test('resourceclaims loses with its allocation what drivers said of the devices', () => {
  const statusAfter = (change: (status: Record<string, unknown>) => void) => {
    const { object, errors } = tryUpdate(resourceclaims, { ...claim(), status: { allocation, devices: [{ driver: result.driver, pool: result.pool, device: result.device }] } }, (c) => change(c['status'] as Record<string, unknown>), 'status');
    assert.deepEqual(errors, []);
    return object['status'];
  };
  assert.deepEqual(statusAfter((s) => delete s['allocation']), {});
  assert.equal((statusAfter((s) => (s['reservedFor'] = [])) as { devices: object[] }).devices.length, 1);
});
test('resourceclaims prints its state', () => {
  const state = (status: object, metadata: object = {}) => rowOf(resourceclaims, { metadata, status })['State'];
  assert.deepEqual([state({}), state({ allocation, reservedFor: [{}] }), state({ allocation }, { deletionTimestamp: 'x' })], ['pending', 'allocated,reserved', 'deleted,allocated']);
});
test('resourceclaimtemplates keeps its spec', () => {
  const template = { metadata: { name: 't' }, spec: { metadata: { labels: { a: 'not valid!' } }, spec: { devices: { requests: [request] } } } };
  assert.match(tryCreate(resourceclaimtemplates, template).errors[0]!, /^spec\.metadata\.labels: Invalid value: "not valid!"/);
  assert.equal(tryUpdate(resourceclaimtemplates, template, (t) => (t['spec'] = { spec: {} })).errors.length, 1);
  assert.deepEqual(rowOf(resourceclaimtemplates, template), { Name: 't', Age: '<unknown>' });
});
test('resourceslices is in one place and has devices with attributes', () => {
  const slice = (spec: object = {}) => ({ metadata: { name: 's' }, spec: { driver: 'gpu.example.com', pool: { name: 'n1', generation: 1, resourceSliceCount: 1 }, nodeName: 'n1', ...spec } });
  assert.deepEqual(tryCreate(resourceslices, slice({ devices: [{ name: 'gpu-0', attributes: { model: { string: 'a' } }, taints: [{ key: 'a', effect: 'NoSchedule' }] }] })).errors, []);
  assert.deepEqual(tryCreate(resourceslices, slice({ allNodes: true })).errors, [
    'spec: Invalid value: "{`nodeName`, `allNodes`}": exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set',
  ]);
  const bad = { name: 'gpu-0', attributes: { v: { version: '1' } }, capacity: { memory: { value: '1Gi', requestPolicy: {} } }, bindingConditions: ['a'] };
  assert.deepEqual(tryCreate(resourceslices, slice({ devices: [bad] })).errors, [
    'spec.devices[0].attributes[v].version: Invalid value: "1": must be a string compatible with semver.org spec 2.0.0',
    'spec.devices[0].capacity[memory].requestPolicy: Forbidden: allowMultipleAllocations must be true',
    'spec.devices[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required to use bindingConditions',
  ]);
  const policy = { default: '3', validRange: { min: '1', max: '9', step: '4' } };
  assert.deepEqual(tryCreate(resourceslices, slice({ devices: [{ name: 'd', allowMultipleAllocations: true, capacity: { c: { value: '10', requestPolicy: policy } } }] })).errors, [
    'spec.devices[0].capacity[c].requestPolicy.validRange.step: Invalid value: "3": value is not a multiple of a given step (4) from (1)',
  ]);
  assert.deepEqual(tryUpdate(resourceslices, slice(), (s) => ((s['spec'] as { nodeName: string }).nodeName = 'n2')).errors, ['spec.nodeName: Invalid value: "n2": field is immutable']);
  assert.deepEqual(rowOf(resourceslices, slice()), { Name: 's', Node: 'n1', Driver: 'gpu.example.com', Pool: 'n1', Age: '<unknown>' });
});
