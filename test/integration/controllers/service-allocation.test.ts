import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Service, ServiceSpec } from '#api/gen/core-v1.ts';
import type { IPAddress, ServiceCIDR } from '#api/gen/networking-v1.ts';
import { kind, SERVICES } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster } from '#cluster/in-process-cluster.ts';
import { eventually, isGone } from './eventually.ts';

const IP_ADDRESSES = kind<IPAddress>('networking.k8s.io', 'v1', 'ipaddresses');
const SERVICE_CIDRS = kind<ServiceCIDR>('networking.k8s.io', 'v1', 'servicecidrs');
const ports = [{ port: 80 }];

describe('addresses and node ports of Services', () => {
  let cluster: InProcessCluster;
  before(async () => {
    cluster = await startInProcessCluster({ nodes: [] });
  });
  after(() => cluster.stop());
  const services = () => cluster.client.of(SERVICES);
  const create = (name: string, spec: ServiceSpec, dryRun = false) => services().create({ metadata: { name, namespace: 'default' }, spec }, { dryRun });
  const patch = (name: string, spec: object) => services().patch('default', name, 'application/merge-patch+json', { spec });
  const held = (ip: string) => cluster.client.of(IP_ADDRESSES).get('', ip);
  const message = (text: string) => (err: unknown) => {
    assert.equal((err as Error).message, text);
    return true;
  };

  test('a Service gets an address of the upper part, and an IPAddress says whose it is', async () => {
    const { spec } = await create('plain', { ports });
    assert.match(spec.clusterIP!, /^10\.96\.(?!0\.)\d+\.\d+$/);
    assert.deepEqual(spec.clusterIPs, [spec.clusterIP]);
    const address = await held(spec.clusterIP!);
    assert.deepEqual(address.spec?.parentRef, { resource: 'services', namespace: 'default', name: 'plain' });
    assert.deepEqual(address.metadata.labels, { 'ipaddress.kubernetes.io/ip-family': 'IPv4', 'ipaddress.kubernetes.io/managed-by': 'ipallocator.k8s.io' });
    await services().delete('default', 'plain');
    assert.ok(await isGone(held(spec.clusterIP!)));
  });
  test('an address that another one has, or that is out of range, is refused in the words that users know', async () => {
    await create('wants', { ports, clusterIP: '10.96.0.77' });
    await assert.rejects(create('late', { ports, clusterIP: '10.96.0.77' }), message('Service "late" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.77"]: failed to allocate IP 10.96.0.77: provided IP is already allocated'));
    await assert.rejects(create('far', { ports, clusterIP: '10.1.0.1' }), message('Service "far" is invalid: spec.clusterIPs: Invalid value: ["10.1.0.1"]: failed to allocate IP 10.1.0.1: the provided network does not match the current range'));
    await assert.rejects(create('edge', { ports, clusterIP: '10.96.0.0' }), /the provided IP \(10\.96\.0\.0\) is not in the valid range\. The range of valid IPs is 10\.96\.0\.0\/16/);
    await services().delete('default', 'wants');
    assert.equal((await create('late', { ports, clusterIP: '10.96.0.77' })).spec.clusterIP, '10.96.0.77');
  });
  test('of many that ask for one address at once, one gets it; what is refused keeps nothing', async () => {
    const results = await Promise.allSettled(Array.from({ length: 20 }, (_, i) => create(`race-${i}`, { ports, clusterIP: '10.96.0.88' })));
    assert.equal(results.filter((r) => r.status === 'fulfilled').length, 1);
    const before = (await cluster.client.of(IP_ADDRESSES).list()).items.length;
    await assert.rejects(create('bad', { ports: [{ port: 99_999 }] }));
    await assert.rejects(create('late', { ports }), /already exists/);
    await create('dry', { ports, type: 'NodePort' }, true);
    assert.equal((await cluster.client.of(IP_ADDRESSES).list()).items.length, before);
  });
  test('headless and ExternalName Services have no address; a change of type takes and gives it back', async () => {
    assert.deepEqual((await create('headless', { ports, clusterIP: 'None' })).spec.clusterIPs, ['None']);
    assert.equal((await create('outside', { type: 'ExternalName', externalName: 'example.com' })).spec.clusterIP, undefined);
    const inside = await patch('outside', { type: 'ClusterIP', externalName: null, ports });
    await held(inside.spec.clusterIP!);
    const again = await patch('outside', { type: 'ExternalName', externalName: 'example.com', clusterIP: null, clusterIPs: null });
    assert.equal(again.spec.clusterIP, undefined);
    assert.ok(await isGone(held(inside.spec.clusterIP!)));
  });
  test('two families are more than this cluster has', async () => {
    await assert.rejects(create('dual', { ports, ipFamilyPolicy: 'RequireDualStack' }), message('Service "dual" is invalid: spec.ipFamilyPolicy: Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services'));
    await assert.rejects(create('six', { ports, ipFamilies: ['IPv6'] }), message('Service "six" is invalid: spec.ipFamilies[0]: Invalid value: "IPv6": not configured on this cluster'));
    assert.deepEqual((await create('prefer', { ports, ipFamilyPolicy: 'PreferDualStack' })).spec.ipFamilies, ['IPv4']);
  });
  test('node ports: any, wanted, taken, out of range, given back', async () => {
    const portOf = (s: Service) => s.spec.ports?.[0]?.nodePort ?? 0;
    const any = portOf(await create('any', { ports, type: 'NodePort' }));
    assert.ok(any >= 30_086 && any <= 32_767, String(any));
    await create('wanted', { ports: [{ port: 80, nodePort: 30_080 }], type: 'NodePort' });
    await assert.rejects(create('taken', { ports: [{ port: 80, nodePort: 30_080 }], type: 'NodePort' }), message('Service "taken" is invalid: spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated'));
    await assert.rejects(create('out', { ports: [{ port: 80, nodePort: 80 }], type: 'NodePort' }), message('Service "out" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767'));
    await patch('wanted', { type: 'ClusterIP' });
    assert.equal(portOf(await create('taken', { ports: [{ port: 80, nodePort: 30_080 }], type: 'NodePort' })), 30_080);
    const dns = await create('both', { type: 'NodePort', ports: [{ name: 'a', port: 53, protocol: 'UDP' }, { name: 'b', port: 53, protocol: 'TCP' }] });
    assert.equal(dns.spec.ports?.[0]?.nodePort, dns.spec.ports?.[1]?.nodePort);
    const races = await Promise.allSettled(Array.from({ length: 10 }, (_, i) => create(`np-${i}`, { ports: [{ port: 80, nodePort: 30_081 }], type: 'NodePort' })));
    assert.equal(races.filter((r) => r.status === 'fulfilled').length, 1);
  });
  test('a second range gives addresses too, and stays while one of them is in use', async () => {
    const ranges = cluster.client.of(SERVICE_CIDRS);
    assert.equal((await ranges.get('', 'kubernetes')).status?.conditions?.[0]?.message, 'Kubernetes default Service CIDR is ready');
    await ranges.create({ metadata: { name: 'more' }, spec: { cidrs: ['10.200.0.0/24'] } });
    await eventually('the range is ready and protected', async () => {
      const { metadata, status } = await ranges.get('', 'more');
      return metadata.finalizers?.includes('networking.k8s.io/service-cidr-finalizer') && status?.conditions?.[0]?.status === 'True';
    });
    await create('second', { ports, clusterIP: '10.200.0.9' });
    await ranges.delete('', 'more');
    const blocked = await eventually('the deletion is blocked', async () => (await ranges.get('', 'more')).status?.conditions?.find((c) => c.reason === 'Terminating'));
    assert.deepEqual((await ranges.get('', 'more')).metadata.managedFields?.filter((f) => f.subresource === 'status').map((f) => [f.manager, f.operation]), [['service-cidr-controller', 'Apply']]);
    assert.equal(blocked.message, 'There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR');
    await assert.rejects(create('third', { ports, clusterIP: '10.200.0.10' }), /the provided network does not match the current range/);
    await ranges.create({ metadata: { name: 'wider' }, spec: { cidrs: ['10.200.0.0/16'] } });
    await services().delete('default', 'second');
  });
  test('a load balancer with local traffic has a health check port; one may do without node ports', async () => {
    const lb = await create('lb', { ports, type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
    assert.ok((lb.spec.healthCheckNodePort ?? 0) >= 30_000);
    assert.notEqual(lb.spec.healthCheckNodePort, lb.spec.ports?.[0]?.nodePort);
    const bare = await create('bare', { ports, type: 'LoadBalancer', allocateLoadBalancerNodePorts: false });
    assert.equal(bare.spec.ports?.[0]?.nodePort, undefined);
  });
});
