import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowOf, tryCreate, tryUpdate } from '../trial.ts';
import { services } from './services.ts';

const web = { metadata: { name: 'web', namespace: 'default' }, spec: { ports: [{ port: 80 }], selector: { app: 'web' }, clusterIP: '10.96.0.7' } };

test('services defaults type, affinity, protocol, target port and policies', () => {
  const { object, errors } = tryCreate(services, web);
  assert.deepEqual(errors, []);
  assert.deepEqual(object['spec'], {
    ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }], selector: { app: 'web' }, clusterIP: '10.96.0.7', clusterIPs: ['10.96.0.7'], sessionAffinity: 'None',
    type: 'ClusterIP', internalTrafficPolicy: 'Cluster', ipFamilyPolicy: 'SingleStack', ipFamilies: ['IPv4'],
  });
});
test('services refuses what has no ports, names or sense', () => {
  assert.deepEqual(tryCreate(services, { metadata: { name: 'a' }, spec: {} }).errors, ['spec.ports: Required value']);
  const two = tryCreate(services, { metadata: { name: 'a' }, spec: { ports: [{ port: 80 }, { port: 80, name: 'b', protocol: 'SMTP' }, { name: 'b', port: 0 }] } });
  assert.deepEqual(two.errors, [
    'spec.ports[0].name: Required value',
    'spec.ports[1].protocol: Unsupported value: "SMTP": supported values: "SCTP", "TCP", "UDP"',
    'spec.ports[2].name: Duplicate value: "b"',
    'spec.ports[2].port: Invalid value: 0: must be between 1 and 65535, inclusive',
    'spec.ports[2].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive',
  ]);
  const external = tryCreate(services, { metadata: { name: 'a' }, spec: { type: 'ExternalName', clusterIP: '10.0.0.1' } });
  assert.deepEqual(external.errors, ['spec.clusterIPs: Forbidden: may not be set for ExternalName services', 'spec.externalName: Required value']);
});
test('services takes names that start with a digit (KEP-5311)', () => {
  assert.deepEqual(services.validateName!('1kubernetes', false), []);
  assert.match(services.validateName!('a_b', false).join(), /RFC 1123 label/);
});
test('services keeps its cluster IP for good', () => {
  const moved = tryUpdate(services, web, (s) => ((s['spec'] as { clusterIP: string }).clusterIP = '10.96.0.8'));
  assert.deepEqual(moved.errors, ['spec.clusterIPs[0]: Invalid value: ["10.96.0.8"]: may not change once set']);
  const left = tryUpdate(services, web, (s) => delete (s['spec'] as { clusterIP?: string }).clusterIP);
  assert.deepEqual(left.errors, []);
  assert.equal((left.object['spec'] as { clusterIP?: string }).clusterIP, '10.96.0.7');
});
test('services keeps node ports that an update leaves out', () => {
  const nodePort = { metadata: { name: 'a' }, spec: { type: 'NodePort', clusterIP: '10.96.0.9', ports: [{ port: 80, nodePort: 30080 }] } };
  const { object } = tryUpdate(services, nodePort, (s) => ((s['spec'] as { ports: object[] }).ports = [{ port: 80, targetPort: 8080 }]));
  assert.deepEqual((object['spec'] as { ports: object[] }).ports, [{ port: 80, targetPort: 8080, protocol: 'TCP', nodePort: 30080 }]);
});
test('services prints addresses and ports', () => {
  const row = rowOf(services, { metadata: { name: 'a', creationTimestamp: '2026-01-02T03:03:05Z' }, spec: { type: 'LoadBalancer', clusterIPs: ['10.96.0.9'], ports: [{ port: 80, nodePort: 30080, protocol: 'TCP' }] } });
  assert.deepEqual(row, { Name: 'a', Type: 'LoadBalancer', 'Cluster-IP': '10.96.0.9', 'External-IP': '<pending>', 'Port(s)': '80:30080/TCP', Age: '60s', Selector: '<none>' });
});
