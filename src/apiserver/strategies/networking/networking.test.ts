import assert from 'node:assert/strict';
import { test } from 'node:test';
import { endpointslices } from '../discovery/endpointslices.ts';
import { rowOf, tryCreate, tryUpdate } from '../trial.ts';
import { ingressclasses } from './ingressclasses.ts';
import { ingresses } from './ingresses.ts';
import { ipaddresses } from './ipaddresses.ts';
import { networkpolicies } from './networkpolicies.ts';
import { servicecidrs } from './servicecidrs.ts';

const backend = { service: { name: 'web', port: { number: 80 } } };
const ingress = (spec: object) => ({ metadata: { name: 'web' }, spec });
const withPath = (path: object) => ingress({ rules: [{ host: 'a.example.com', http: { paths: [{ backend, ...path }] } }] });

test('networkpolicies takes its types from its rules', () => {
  const { object, errors } = tryCreate(networkpolicies, { metadata: { name: 'a' }, spec: { podSelector: {}, egress: [{ ports: [{ port: 53 }] }] } });
  assert.deepEqual(errors, []);
  assert.deepEqual(object['spec'], { podSelector: {}, egress: [{ ports: [{ port: 53, protocol: 'TCP' }] }], policyTypes: ['Ingress', 'Egress'] });
});
test('networkpolicies checks peers and ports', () => {
  const rule = (ingressRule: object) => tryCreate(networkpolicies, { metadata: { name: 'a' }, spec: { podSelector: {}, ingress: [ingressRule] } }).errors;
  assert.deepEqual(rule({ from: [{}] }), ['spec.ingress[0].from[0]: Required value: must specify a peer']);
  assert.deepEqual(rule({ from: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] } }] }), [
    'spec.ingress[0].from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`',
  ]);
  assert.deepEqual(rule({ from: [{ ipBlock: { cidr: '10.0.0.0/8' }, podSelector: {} }] }), ['spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer']);
  assert.deepEqual(rule({ ports: [{ port: 'http', endPort: 90 }] }), ['spec.ingress[0].ports[0].endPort: Invalid value: 90: may not be specified when `port` is non-numeric']);
  assert.equal(rowOf(networkpolicies, { metadata: { name: 'a' }, spec: { podSelector: { matchLabels: { a: 'b' } } } })['Pod-Selector'], 'a=b');
});
test('ingresses needs rules with backends', () => {
  assert.deepEqual(tryCreate(ingresses, ingress({ defaultBackend: { service: { name: '1web', port: { number: 80 } } } })).errors, []);
  assert.deepEqual(tryCreate(ingresses, ingress({})).errors, ['spec: Invalid value: null: either `defaultBackend` or `rules` must be specified']);
  assert.deepEqual(tryCreate(ingresses, withPath({ path: '/', pathType: 'Prefix' })).errors, []);
  assert.deepEqual(tryCreate(ingresses, withPath({ path: '/' })).errors, ['spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified']);
  assert.deepEqual(tryCreate(ingresses, withPath({ path: 'a//b', pathType: 'Exact' })).errors, [
    'spec.rules[0].http.paths[0].path: Invalid value: "a//b": must be an absolute path', 'spec.rules[0].http.paths[0].path: Invalid value: "a//b": must not contain \'//\'',
  ]);
  assert.deepEqual(tryCreate(ingresses, ingress({ defaultBackend: { service: { name: 'web' } } })).errors, ['spec.defaultBackend: Required value: port name or number is required']);
});
test('ingresses prints hosts, addresses and ports', () => {
  const row = rowOf(ingresses, { ...ingress({ rules: ['a', 'b', 'c', 'd'].map((host) => ({ host })), tls: [{}] }), status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }, { hostname: 'lb' }] } } });
  assert.deepEqual(row, { Name: 'web', Class: '<none>', Hosts: 'a,b,c + 1 more...', Address: '192.0.2.1,lb', Ports: '80, 443', Age: '<unknown>' });
  assert.equal(rowOf(ingresses, ingress({ defaultBackend: backend }))['Hosts'], '*');
});
test('ingressclasses scopes its parameters', () => {
  const make = (parameters: object) => tryCreate(ingressclasses, { metadata: { name: 'a' }, spec: { controller: 'example.com/c', parameters } });
  assert.deepEqual(make({ kind: 'P', name: 'p' }).errors, []);
  assert.deepEqual(make({ kind: 'P', name: 'p', namespace: 'x' }).errors, ["spec.parameters.namespace: Forbidden: `parameters.scope` is set to 'Cluster'"]);
  assert.deepEqual(make({ kind: 'P', name: 'p', scope: 'Namespace' }).errors, ["spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'"]);
  const moved = tryUpdate(ingressclasses, { metadata: { name: 'a' }, spec: { controller: 'example.com/c' } }, (c) => (c['spec'] = { controller: 'example.com/d' }));
  assert.deepEqual(moved.errors, ['spec.controller: Invalid value: "example.com/d": field is immutable']);
  assert.equal(rowOf(ingressclasses, make({ apiGroup: 'g.example.com', kind: 'P', name: 'p' }).object)['Parameters'], 'P.g.example.com/p');
});
test('ipaddresses is named by its address and has a parent', () => {
  assert.deepEqual(ipaddresses.validateName!('10.0.0.1', false), []);
  assert.deepEqual(ipaddresses.validateName!('2001:DB8::1', false), ['must be in canonical form ("2001:db8::1")']);
  assert.deepEqual(tryCreate(ipaddresses, { metadata: { name: '10.0.0.1' }, spec: {} }).errors, ['spec.parentRef: Required value']);
  const address = { metadata: { name: '10.0.0.1' }, spec: { parentRef: { resource: 'services', namespace: 'default', name: 'kubernetes' } } };
  assert.deepEqual([tryCreate(ipaddresses, address).errors, rowOf(ipaddresses, address)['ParentRef']], [[], 'services/default/kubernetes']);
});
test('servicecidrs may only gain a second family', () => {
  const range = { metadata: { name: 'a' }, spec: { cidrs: ['10.0.0.0/16'] } };
  const to = (...cidrs: string[]) => tryUpdate(servicecidrs, range, (r) => (r['spec'] = { cidrs })).errors;
  assert.deepEqual(tryCreate(servicecidrs, range).errors, []);
  assert.deepEqual(to('10.0.0.0/16', '2001:db8::/64'), []);
  assert.deepEqual(to('10.1.0.0/16'), ['spec.cidrs: Invalid value: ["10.1.0.0/16"]: field is immutable']);
  assert.deepEqual(tryCreate(servicecidrs, { metadata: { name: 'a' }, spec: { cidrs: ['10.0.0.0/16', '10.1.0.0/16'] } }).errors.length, 1);
  assert.equal(rowOf(servicecidrs, range)['CIDRs'], '10.0.0.0/16');
});
test('endpointslices checks addresses by its type', () => {
  const slice = (endpoints: object[], ports: object[] = []) => tryCreate(endpointslices, { metadata: { name: 'a' }, addressType: 'IPv4', endpoints, ports });
  assert.deepEqual(slice([{ addresses: ['10.0.0.1'] }], [{ port: 80 }]).errors, []);
  assert.deepEqual(slice([{ addresses: [] }, { addresses: ['::1'] }]).errors, [
    'endpoints[0].addresses: Required value: must contain at least 1 address', 'endpoints[1].addresses: Invalid value: "::1": must be an IPv4 address',
    'endpoints[1].addresses[0]: Invalid value: "::1": may not be in the loopback range (127.0.0.0/8, ::1/128)',
  ]);
  assert.deepEqual(slice([], [{ port: 80 }, { port: 81 }]).errors, ['ports[1].name: Duplicate value: ""']);
  const row = rowOf(endpointslices, slice([{ addresses: ['10.0.0.1', '10.0.0.2'] }, { addresses: ['10.0.0.3', '10.0.0.4'] }]).object);
  assert.deepEqual([row['Ports'], row['Endpoints']], ['<unset>', '10.0.0.1,10.0.0.2,10.0.0.3 + 1 more...']);
});
