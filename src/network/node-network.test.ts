import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { hostPortsOf, tableScript } from './node-network.ts';

const place = { table: 't', clusterCIDR: '10.244.0.0/16', podCIDR: '10.244.0.0/24', bridge: 'b0' };
const pod = (ports: object[], more: object = {}): Pod => ({ metadata: { name: 'p' }, spec: { containers: [{ name: 'c', ports }] }, status: { podIP: '10.244.0.7', phase: 'Running' }, ...more }) as Pod;

test('hostPortsOf takes ports of Pods that run in a network of their own', () => {
  const mapped = pod([{ containerPort: 80, hostPort: 8080 }, { containerPort: 53, hostPort: 53, protocol: 'UDP', hostIP: '127.0.0.1' }, { containerPort: 1 }]);
  assert.deepEqual(hostPortsOf(mapped), [
    { protocol: 'tcp', hostIP: '', hostPort: 8080, podIP: '10.244.0.7', containerPort: 80 }, { protocol: 'udp', hostIP: '127.0.0.1', hostPort: 53, podIP: '10.244.0.7', containerPort: 53 },
  ]);
  assert.deepEqual(hostPortsOf({ ...mapped, status: { ...mapped.status, phase: 'Failed' } } as Pod), []);
  assert.deepEqual(hostPortsOf({ ...mapped, spec: { ...mapped.spec, hostNetwork: true } }), []);
});
test('tableScript changes the source of a Pod only where it reaches itself, or leaves the Pod network', () => {
  const script = tableScript(place, hostPortsOf(pod([{ containerPort: 80, hostPort: 8080 }])));
  const masquerades = script.split('\n').map((l) => l.trim()).filter((l) => l.endsWith('masquerade'));
  assert.deepEqual(masquerades, [
    'ip saddr 127.0.0.0/8 oifname "b0" masquerade', 'ip saddr 10.244.0.7 ip daddr 10.244.0.7 ct status dnat masquerade', 'ip saddr 10.244.0.0/24 ip daddr != 10.244.0.0/16 ip daddr != 224.0.0.0/4 masquerade',
  ]);
  assert.ok(script.includes('fib daddr type local meta l4proto tcp th dport 8080 dnat to 10.244.0.7:80'));
});
test('tableScript keeps Pods from the loopback of the host', () => {
  assert.ok(tableScript(place, []).includes('iifname "b0" ip daddr 127.0.0.0/8 drop'));
});
