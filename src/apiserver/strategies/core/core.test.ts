import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowOf, tryCreate, tryUpdate } from '../trial.ts';
import { configmaps } from './configmaps.ts';
import { endpoints } from './endpoints.ts';
import { events } from './events.ts';
import { namespaces } from './namespaces.ts';
import { nodes } from './nodes.ts';
import { secrets } from './secrets.ts';
import { serviceaccounts } from './serviceaccounts.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');

test('namespaces starts Active with its finalizer and name label', () => {
  const { object, errors } = tryCreate(namespaces, { metadata: { name: 'dev' } });
  assert.deepEqual(errors, []);
  assert.deepEqual(object, { metadata: { name: 'dev', labels: { 'kubernetes.io/metadata.name': 'dev' } }, spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } });
});
test('namespaces refuses finalizers that are not qualified and phases that do not fit', () => {
  assert.deepEqual(tryCreate(namespaces, { metadata: { name: 'dev' }, spec: { finalizers: ['mine'] } }).errors, [
    'spec.finalizers: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified',
  ]);
  const { validateStatusUpdate } = namespaces;
  const ns = { metadata: { name: 'dev' }, status: { phase: 'Terminating' } };
  assert.equal(validateStatusUpdate!(ns, ns, {} as never)[0]!.body, 'Invalid value: "Terminating": may only be \'Active\' if `deletionTimestamp` is empty');
});
test('configmaps counts both kinds of data and refuses a key in both', () => {
  const cm = { metadata: { name: 'a' }, data: { a: '1', 'b/c': '' }, binaryData: { a: 'AA==' } };
  assert.deepEqual(tryCreate(configmaps, cm).errors, [
    'data[a]: Invalid value: "a": duplicate of key present in binaryData',
    'data[b/c]: Invalid value: "b/c": a valid config key must consist of alphanumeric characters, \'-\', \'_\' or \'.\' (e.g. \'key.name\',  or \'KEY_NAME\',  or \'key-name\', regex used for validation is \'[-._a-zA-Z0-9]+\')',
  ]);
  assert.equal(rowOf(configmaps, cm)['Data'], 3);
  assert.deepEqual(tryCreate(configmaps, { metadata: { name: 'a' }, data: { a: 'x'.repeat(1024 * 1024 + 1) } }).errors, ['[]: Too long: may not be more than 1048576 bytes']);
});
test('configmaps stays as it is once immutable', () => {
  const { errors } = tryUpdate(configmaps, { metadata: { name: 'a' }, immutable: true, data: { a: '1' } }, (cm) => Object.assign(cm, { immutable: false, data: {} }));
  assert.deepEqual(errors, ['immutable: Forbidden: field is immutable when `immutable` is set', 'data: Forbidden: field is immutable when `immutable` is set']);
});
test('secrets merges stringData and checks the keys of its type', () => {
  const { object, errors } = tryCreate(secrets, { metadata: { name: 'a' }, stringData: { user: 'jane' }, data: { user: base64('joe') } });
  assert.deepEqual([object['type'], object['data'], object['stringData'], errors], ['Opaque', { user: base64('jane') }, undefined, []]);
  const typed = (type: string, data: object = {}) => tryCreate(secrets, { metadata: { name: 'a' }, type, data }).errors;
  assert.deepEqual(typed('kubernetes.io/tls'), ['data[tls.crt]: Required value', 'data[tls.key]: Required value']);
  assert.deepEqual(typed('kubernetes.io/basic-auth'), ['data[username]: Required value', 'data[password]: Required value']);
  assert.deepEqual(typed('kubernetes.io/basic-auth', { password: '' }), []);
  assert.deepEqual(typed('kubernetes.io/service-account-token'), ['metadata.annotations[kubernetes.io/service-account.name]: Required value']);
  assert.deepEqual(typed('kubernetes.io/dockerconfigjson', { '.dockerconfigjson': base64('what') }), [
    'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": invalid character \'w\' looking for beginning of value',
  ]);
  assert.deepEqual(typed('kubernetes.io/dockerconfigjson', { '.dockerconfigjson': base64('{"auths":{}}') }), []);
});
test('secrets keeps its type', () => {
  const { errors } = tryUpdate(secrets, { metadata: { name: 'a' } }, (s) => (s['type'] = 'other'));
  assert.deepEqual(errors, ['type: Invalid value: "other": field is immutable']);
});
test('serviceaccounts keeps no more than the names of its secrets', () => {
  assert.deepEqual(rowOf(serviceaccounts, { metadata: { name: 'default' } }), { Name: 'default', Age: '<unknown>' });
  const { object, errors } = tryCreate(serviceaccounts, { metadata: { name: 'default' }, secrets: [{ kind: 'Secret', name: 'a' }, {}] });
  assert.deepEqual([errors, object['secrets']], [[], [{ name: 'a' }, {}]]);
});
test('events needs its namespace to be that of its object, and the new fields when it has a time', () => {
  const old = { metadata: { name: 'e', namespace: 'a' }, involvedObject: { namespace: 'b' } };
  assert.deepEqual(tryCreate(events, old).errors, ['involvedObject.namespace: Invalid value: "b": does not match event.namespace']);
  const fresh = { ...old, involvedObject: { namespace: 'a' }, eventTime: '2026-01-02T03:04:05.000000Z', reportingComponent: 'kubelet' };
  assert.deepEqual(tryCreate(events, fresh).errors, ['reportingInstance: Required value', 'action: Required value', 'reason: Required value']);
});
test('events prints a series by its last observation', () => {
  const row = rowOf(events, {
    metadata: { name: 'e' }, involvedObject: { kind: 'Pod', name: 'web', fieldPath: 'spec.containers{web}' }, reason: 'BackOff', message: ' Back-off \n', type: 'Warning',
    source: { component: 'kubelet', host: 'n1' }, firstTimestamp: '2026-01-02T03:00:05Z', lastTimestamp: '2026-01-02T03:04:00Z', count: 4,
  });
  assert.deepEqual(row, {
    'Last Seen': '5s', Type: 'Warning', Reason: 'BackOff', Object: 'pod/web', Subobject: 'spec.containers{web}', Source: 'kubelet, n1', Message: 'Back-off',
    'First Seen': '4m', Count: 4, Name: 'e',
  });
});
test('endpoints refuses empty subsets and special addresses', () => {
  const { errors } = tryCreate(endpoints, { metadata: { name: 'a' }, subsets: [{}, { addresses: [{ ip: '127.0.0.1' }], ports: [{ port: 80 }] }] });
  assert.deepEqual(errors, [
    'subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`',
    'subsets[1].addresses[0].ip: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
  ]);
  const many = { metadata: { name: 'a' }, subsets: [{ addresses: ['1', '2', '3', '4'].map((n) => ({ ip: `10.0.0.${n}` })), ports: [{ port: 80 }] }] };
  assert.equal(rowOf(endpoints, many)['Endpoints'], '10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 1 more...');
});
test('nodes refuses taints that repeat and keeps its pod CIDR', () => {
  const taint = { key: 'a', effect: 'NoSchedule' };
  assert.deepEqual(tryCreate(nodes, { metadata: { name: 'n' }, spec: { taints: [taint, taint] } }).errors, [
    'metadata.taints[1]: Duplicate value: {"Key":"a","Value":"","Effect":"NoSchedule","TimeAdded":null}: taints must be unique by key and effect pair',
  ]);
  const moved = tryUpdate(nodes, { metadata: { name: 'n' }, spec: { podCIDR: '10.244.0.0/24' } }, (n) => (n['spec'] = { podCIDR: '10.244.1.0/24' }));
  assert.deepEqual(moved.errors, ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid']);
});
test('nodes prints readiness, roles and addresses', () => {
  const row = rowOf(nodes, {
    metadata: { name: 'n', labels: { 'node-role.kubernetes.io/control-plane': '' } }, spec: { unschedulable: true },
    status: { conditions: [{ type: 'Ready', status: 'True' }], addresses: [{ type: 'InternalIP', address: '192.0.2.1' }], nodeInfo: { kubeletVersion: 'v1.36.0' } },
  });
  assert.deepEqual(row, {
    Name: 'n', Status: 'Ready,SchedulingDisabled', Roles: 'control-plane', Age: '<unknown>', Version: 'v1.36.0', 'Internal-IP': '192.0.2.1', 'External-IP': '<none>',
    'OS-Image': '<unknown>', 'Kernel-Version': '<unknown>', 'Container-Runtime': '<unknown>',
  });
});
