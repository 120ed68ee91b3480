import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Service, ServiceSpec } from '#api/gen/core-v1.ts';
import type { Endpoint, EndpointSlice } from '#api/gen/discovery-v1.ts';
import { staleFlows } from './conntrack.ts';
import { readyHere } from './endpoints.ts';
import { renderRanges, renderService } from './service-rules.ts';

const options = { topology: { nodeName: 'here', zone: 'z1' }, clusterCIDR: '10.244.0.0/16' };
const ready = { ready: true, serving: true, terminating: false };
const service = (spec: ServiceSpec, more: object = {}): Service => ({
  metadata: { name: 'web', namespace: 'default' }, ...more,
  spec: { type: 'ClusterIP', clusterIP: '10.96.0.9', clusterIPs: ['10.96.0.9'], ports: [{ port: 80, protocol: 'TCP', ...(spec.type === 'NodePort' || spec.type === 'LoadBalancer' ? { nodePort: 30_080 } : {}) }], ...spec },
}) as Service;
const endpoint = (ip: string, nodeName = 'here', more: Partial<Endpoint> = {}): Endpoint => ({ addresses: [ip], nodeName, conditions: ready, ...more });
const slice = (...endpoints: Endpoint[]): EndpointSlice => ({ metadata: { name: 's' }, addressType: 'IPv4', ports: [{ name: '', port: 8080, protocol: 'TCP' }], endpoints });
const render = (s: Service, ...endpoints: Endpoint[]) => renderService(s, [slice(...endpoints)], options);
const chain = (r: ReturnType<typeof render>, kind: string): readonly string[] => [...r.chains].find(([name]) => name.startsWith(`${kind}-`))?.[1] ?? assert.fail(`no chain ${kind}`);
const entries = (r: ReturnType<typeof render>) => r.entries.map((e) => `${e.map} ${e.key} ${e.value.replace(/-[0-9A-F]{8}-.*/, '')}`);
const targets = (rules: readonly string[]) => [...rules.join().matchAll(/10\.244\.\d+\.\d+(?= \. 8080|:8080)/g)].map((m) => m[0]);

test('a cluster IP leads to all ready endpoints', () => {
  const r = render(service({}), endpoint('10.244.0.2'), endpoint('10.244.1.2', 'there'), endpoint('10.244.0.3', 'here', { conditions: { ...ready, ready: false, serving: false } }));
  assert.deepEqual(entries(r), ['service-ips 10.96.0.9 . tcp . 80 goto service']);
  assert.deepEqual(chain(r, 'service'), [
    'ip daddr 10.96.0.9 ip saddr != 10.244.0.0/16 meta mark set meta mark or 0x4000',
    'meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.244.0.2 . 8080, 1 : 10.244.1.2 . 8080 }',
  ]);
  assert.deepEqual(r.members, [{ set: 'cluster-ips', value: '10.96.0.9' }, { set: 'hairpin-connections', value: '10.244.0.2 . 10.244.0.2' }]);
});
test('without endpoints a connection is refused', () => {
  assert.deepEqual(entries(render(service({}))), ['no-endpoint-services 10.96.0.9 . tcp . 80 goto reject-chain']);
  assert.deepEqual(entries(render(service({ type: 'NodePort' }))), ['no-endpoint-services 10.96.0.9 . tcp . 80 goto reject-chain', 'no-endpoint-nodeports tcp . 30080 goto reject-chain']);
});
test('endpoints that end serve on when there is no other', () => {
  const ending = endpoint('10.244.0.2', 'here', { conditions: { ready: false, serving: true, terminating: true } });
  assert.deepEqual(targets(chain(render(service({}), ending), 'service')), ['10.244.0.2']);
  assert.deepEqual(targets(chain(render(service({}), ending, endpoint('10.244.0.3')), 'service')), ['10.244.0.3']);
});
test('internalTrafficPolicy Local stays on the node, and drops where it has no endpoint', () => {
  const local = render(service({ internalTrafficPolicy: 'Local' }), endpoint('10.244.0.2'), endpoint('10.244.1.2', 'there'));
  assert.deepEqual(targets(chain(local, 'local')), ['10.244.0.2']);
  assert.deepEqual(entries(local), ['service-ips 10.96.0.9 . tcp . 80 goto local']);
  assert.deepEqual(entries(render(service({ internalTrafficPolicy: 'Local' }), endpoint('10.244.1.2', 'there'))), ['no-endpoint-services 10.96.0.9 . tcp . 80 drop']);
});
test('externalTrafficPolicy Local keeps the source of outside traffic', () => {
  const r = render(service({ type: 'NodePort', externalTrafficPolicy: 'Local' }), endpoint('10.244.0.2'), endpoint('10.244.1.2', 'there'));
  const rules = chain(r, 'external');
  assert.match(rules[0]!, /^ip saddr 10\.244\.0\.0\/16 goto service-/);
  assert.equal(rules[1], 'fib saddr type local meta mark set meta mark or 0x4000');
  assert.match(rules.at(-1)!, /^goto local-/);
  assert.equal(chain(render(service({ type: 'NodePort', externalTrafficPolicy: 'Local' }), endpoint('10.244.1.2', 'there')), 'external').at(-1), 'drop');
  assert.equal(chain(render(service({ type: 'NodePort' }), endpoint('10.244.0.2')), 'external')[0], 'meta mark set meta mark or 0x4000');
});
test('load balancer addresses take their source ranges alone; those of proxies are none of ours', () => {
  const status = (ipMode: string) => ({ status: { loadBalancer: { ingress: [{ ip: '203.0.113.9', ipMode }] } } });
  const spec: ServiceSpec = { type: 'LoadBalancer', loadBalancerSourceRanges: ['198.51.100.0/24'] };
  const r = render(service(spec, status('VIP')), endpoint('10.244.0.2'));
  assert.ok(entries(r).includes('service-ips 203.0.113.9 . tcp . 80 goto firewall'));
  assert.match(chain(r, 'firewall')[0]!, /^ip saddr 198\.51\.100\.0\/24 goto external-/);
  assert.equal(chain(r, 'firewall').at(-1), 'drop');
  assert.ok(!entries(render(service(spec, status('Proxy')), endpoint('10.244.0.2'))).some((e) => e.includes('203.0.113.9')));
});
test('session affinity remembers clients per endpoint', () => {
  const r = render(service({ sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } }), endpoint('10.244.0.2'), endpoint('10.244.0.3'));
  assert.equal(r.sets.size, 2);
  assert.ok([...r.sets.values()].every((d) => d === 'type ipv4_addr; size 65536; flags dynamic,timeout; timeout 60s;'));
  assert.equal(chain(r, 'service').filter((rule) => rule.startsWith('ip saddr @affinity-')).length, 2);
  assert.match(chain(r, 'endpoint')[0]!, /^update @affinity-[0-9A-F]{8}-default\/web\/tcp \{ ip saddr \}$/);
});
test('hints keep traffic near, as long as every endpoint has one', () => {
  const hinted = (ip: string, zone: string, node?: string) => endpoint(ip, 'x', { hints: { forZones: [{ name: zone }], ...(node ? { forNodes: [{ name: node }] } : {}) } });
  const all = (...e: Endpoint[]) => targets(chain(render(service({}), ...e), 'service'));
  assert.deepEqual(all(hinted('10.244.0.2', 'z1'), hinted('10.244.0.3', 'z2')), ['10.244.0.2']);
  assert.deepEqual(all(hinted('10.244.0.2', 'z1', 'there'), hinted('10.244.0.3', 'z1', 'here')), ['10.244.0.3']);
  assert.deepEqual(all(hinted('10.244.0.2', 'z1'), endpoint('10.244.0.3')), ['10.244.0.2', '10.244.0.3']);
  assert.deepEqual(all(hinted('10.244.0.2', 'z2'), hinted('10.244.0.3', 'z2')), ['10.244.0.2', '10.244.0.3']);
});
test('headless Services, external names and those of other proxies have no rules', () => {
  for (const s of [service({ clusterIP: 'None', clusterIPs: ['None'] }), service({ type: 'ExternalName', clusterIPs: undefined, clusterIP: undefined }), service({}, { metadata: { name: 'web', namespace: 'default', labels: { 'service.kubernetes.io/service-proxy-name': 'x' } } }), service({}, { metadata: { name: 'web', namespace: 'default', labels: { 'service.kubernetes.io/headless': '' } } })]) {
    assert.deepEqual([render(s, endpoint('10.244.0.2')).entries, render(s, endpoint('10.244.0.2')).chains.size], [[], 0]);
  }
});
test('names of chains stay within what the kernel takes', () => {
  const long = service({ ports: [{ name: 'p'.repeat(15), port: 80, protocol: 'TCP' }] }, { metadata: { name: 'n'.repeat(63), namespace: 's'.repeat(63) } });
  const r = renderService(long, [{ ...slice(endpoint('10.244.0.2')), ports: [{ name: 'p'.repeat(15), port: 1, protocol: 'TCP' }] }], options);
  assert.ok([...r.chains.keys()].every((name) => name.length <= 127));
});
test('readyHere: Pods that end are not counted, though what comes is led to them', () => {
  const ending = { conditions: { ready: false, serving: true, terminating: true } };
  const local = service({ type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
  const some = render(local, endpoint('10.244.0.2'), endpoint('10.244.0.3', 'here', ending), endpoint('10.244.1.2', 'there'));
  assert.equal(readyHere(some.targets), 1);
  const none = render(local, endpoint('10.244.0.3', 'here', ending), endpoint('10.244.1.2', 'there'));
  assert.deepEqual([none.targets.get('/TCP')!.local.map((t) => t.ip), readyHere(none.targets)], [['10.244.0.3'], 0]);
});
test('staleFlows names what UDP clients would still be sent to', () => {
  const udp = service({ ports: [{ port: 53, protocol: 'UDP', nodePort: 30_053 }] });
  const of = (...ips: string[]) => at(53, ...ips);
  const at = (port: number, ...ips: string[]) => new Map([['/UDP', { cluster: ips.map((ip) => ({ ip, port, local: true, ready: true })), local: [], any: ips.length > 0 }]]);
  const gone = { ip: '10.244.0.2', port: 53 };
  assert.deepEqual(staleFlows(udp, of('10.244.0.2', '10.244.0.3'), of('10.244.0.3')), [{ ip: '10.96.0.9', port: 53, endpoint: gone }, { port: 30_053, endpoint: gone }]);
  // The Pod is there still; its port is not the Service's any more.
  assert.deepEqual(staleFlows(udp, of('10.244.0.2'), at(5353, '10.244.0.2')), [{ ip: '10.96.0.9', port: 53, endpoint: gone }, { port: 30_053, endpoint: gone }]);
  assert.deepEqual(staleFlows(udp, of(), of('10.244.0.3')), [{ ip: '10.96.0.9', port: 53 }, { port: 30_053 }]);
  assert.deepEqual(staleFlows(udp, undefined, of('10.244.0.3')), []);
  assert.deepEqual(staleFlows(service({}), new Map([['/TCP', of('10.244.0.2').get('/UDP')!]]), new Map()), []);
});
test('renderRanges drops what is left of each IPv4 range', () => {
  const rules = (cidrs: string[]) => renderRanges(cidrs).chains.get('unallocated-ips');
  assert.deepEqual(rules(['10.97.0.0/24', 'fd00::/108', '10.96.0.0/16', '10.96.0.0/16']), ['ip daddr 10.96.0.0/16 drop', 'ip daddr 10.97.0.0/24 drop']);
  assert.deepEqual(rules([]), []);
});
