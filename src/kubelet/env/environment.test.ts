import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Container, Service } from '#api/gen/core-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { Client } from '#client/client.ts';
import { CONFIG_MAPS, SECRETS } from '#client/kinds.ts';
import { newNodeObjects } from '../objects.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { makePod } from '../testing/make-pod.ts';
import { newEnvironmentMaker, serviceVariables } from './environment.ts';
import { expand } from './expand.ts';

const b64 = (text: string) => Buffer.from(text).toString('base64');
function maker(services: readonly Service[] = [], volumeDir = '/nonexistent') {
  const api = new FakeApi();
  api.put(CONFIG_MAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'cm', namespace: 'default' }, data: { a: '1', b: '$(X)' } });
  api.put(SECRETS, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'default' }, data: { k: b64('geheim') } });
  const view = { list: (ns?: string) => services.filter((s) => !ns || s.metadata.namespace === ns), get: (ns: string, name: string) => services.find((s) => s.metadata.namespace === ns && s.metadata.name === name) };
  return newEnvironmentMaker({
    objects: newNodeObjects(new Client(api), new FakeClock()), services: view as never, volumePath: () => volumeDir,
    node: () => ({ nodeName: 'n1', nodeIPs: ['192.0.2.1', '2001:db8::1'], allocatable: { cpu: '4', memory: '8Gi' } }),
  });
}
async function envOf(container: Partial<Container>, make = maker()): Promise<Record<string, string>> {
  const pod = makePod().meta({ labels: { 'a/b': 'l' }, annotations: { n: 'v' } }).spec({ serviceAccountName: 'sa', enableServiceLinks: false }).container('c', { resources: { requests: { cpu: '250m' }, limits: { memory: '64Mi' } }, ...container }).build();
  const list = await make.environmentOf(pod, pod.spec.containers[0]!, ['10.0.0.5'], new AbortController().signal);
  return Object.fromEntries(list.map((e) => [e.key, e.value]));
}
const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } });
const resource = (name: string, of: string, divisor?: string) => ({ name, valueFrom: { resourceFieldRef: { resource: of, ...(divisor ? { divisor } : {}) } } });

const ROWS: readonly { name: string; container: Partial<Container>; want: Record<string, string> }[] = [
  { name: 'plain values, empty ones too', container: { env: [{ name: 'A', value: 'x' }, { name: 'B' }] }, want: { A: 'x', B: '' } },
  { name: 'references to what stands before', container: { env: [{ name: 'A', value: '1' }, { name: 'B', value: '$(A)2$(C)$$(A)' }, { name: 'C', value: '3' }] }, want: { A: '1', B: '12$(C)$(A)', C: '3' } },
  { name: 'the last definition of a name', container: { env: [{ name: 'A', value: '1' }, { name: 'A', value: '$(A)2' }] }, want: { A: '12' } },
  { name: 'all of a ConfigMap, with a prefix; its values are not expanded', container: { envFrom: [{ prefix: 'P_', configMapRef: { name: 'cm' } }], env: [{ name: 'X', value: 'x' }] }, want: { P_a: '1', P_b: '$(X)', X: 'x' } },
  { name: 'all of a Secret; env comes after envFrom', container: { envFrom: [{ secretRef: { name: 's' } }], env: [{ name: 'k', value: 'mine' }] }, want: { k: 'mine' } },
  { name: 'single keys', container: { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cm', key: 'a' } } }, { name: 'B', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] }, want: { A: '1', B: 'geheim' } },
  { name: 'optional sources that are missing', container: { envFrom: [{ configMapRef: { name: 'no', optional: true } }], env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cm', key: 'no', optional: true } } }, { name: 'B', valueFrom: { secretKeyRef: { name: 'no', key: 'k', optional: true } } }] }, want: {} },
  { name: 'fields', container: { env: [field('N', 'metadata.name'), field('NS', 'metadata.namespace'), field('U', 'metadata.uid'), field('NODE', 'spec.nodeName'), field('SA', 'spec.serviceAccountName'), field('IP', 'status.podIP'), field('HOST', 'status.hostIP'), field('HOSTS', 'status.hostIPs'), field('L', "metadata.labels['a/b']"), field('AN', "metadata.annotations['n']")] },
    want: { N: 'web', NS: 'default', U: 'uid-web', NODE: 'n1', SA: 'sa', IP: '10.0.0.5', HOST: '192.0.2.1', HOSTS: '192.0.2.1,2001:db8::1', L: 'l', AN: 'v' } },
  { name: 'resources, divided and rounded up; missing limits are the node\'s', container: { env: [resource('A', 'requests.cpu'), resource('B', 'requests.cpu', '1m'), resource('C', 'limits.memory', '1Mi'), resource('D', 'limits.cpu'), resource('E', 'limits.memory')] }, want: { A: '1', B: '250', C: '64', D: '4', E: '67108864' } },
];
for (const { name, container, want } of ROWS) {
  test(`environmentOf: ${name}`, async () => assert.deepEqual(await envOf(container), want));
}
const REFUSED: readonly [string, Partial<Container>, string][] = [
  ['a ConfigMap that is missing', { envFrom: [{ configMapRef: { name: 'no' } }] }, 'configmap "no" not found'],
  ['a Secret that is missing', { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 'no', key: 'k' } } }] }, 'secret "no" not found'],
  ['a key that is missing', { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cm', key: 'no' } } }] }, "couldn't find key no in ConfigMap default/cm"],
  ['a key of a Secret that is missing', { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: 'no' } } }] }, "couldn't find key no in Secret default/s"],
];
for (const [name, container, message] of REFUSED) {
  test(`environmentOf refuses ${name}`, () => assert.rejects(envOf(container), { reason: 'CreateContainerConfigError', message }));
}
test('environmentOf reads keys from files of an emptyDir', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-env-'));
  await writeFile(join(dir, 'f'), "A=1\nB='two words'\n");
  const ref = (key: string, optional = false) => ({ name: key, valueFrom: { fileKeyRef: { volumeName: 'v', path: 'f', key, optional } } });
  assert.deepEqual(await envOf({ env: [ref('A'), ref('B'), ref('NO', true)] }, maker([], dir)), { A: '1', B: 'two words' });
  await assert.rejects(envOf({ env: [ref('NO')] }, maker([], dir)), { message: 'environment variable key "NO" not found in file "f"' });
  await rm(dir, { recursive: true });
});

const service = (name: string, namespace: string, clusterIP: string, ports: Service['spec']['ports'] = [{ port: 80 }]): Service => ({ apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec: { clusterIP, ports } });
test('serviceVariables: of the Pod\'s namespace, of the API server always, headless ones never', () => {
  const services = [service('redis-main', 'default', '10.96.0.7', [{ name: 'client', port: 6379, protocol: 'TCP' }, { name: 'dns-u', port: 53, protocol: 'UDP' }]), service('other', 'elsewhere', '10.96.0.8'), service('headless', 'default', 'None'), service('kubernetes', 'default', '10.96.0.1', [{ name: 'https', port: 443 }])];
  const view = { list: (ns?: string) => services.filter((s) => s.metadata.namespace === ns), get: (ns: string, name: string) => services.find((s) => s.metadata.namespace === ns && s.metadata.name === name) };
  const all = Object.fromEntries(serviceVariables(makePod().build(), view));
  assert.deepEqual(Object.fromEntries(Object.entries(all).filter(([k]) => k.startsWith('REDIS'))), {
    REDIS_MAIN_SERVICE_HOST: '10.96.0.7', REDIS_MAIN_SERVICE_PORT: '6379', REDIS_MAIN_SERVICE_PORT_CLIENT: '6379', REDIS_MAIN_SERVICE_PORT_DNS_U: '53', REDIS_MAIN_PORT: 'tcp://10.96.0.7:6379',
    REDIS_MAIN_PORT_6379_TCP: 'tcp://10.96.0.7:6379', REDIS_MAIN_PORT_6379_TCP_PROTO: 'tcp', REDIS_MAIN_PORT_6379_TCP_PORT: '6379', REDIS_MAIN_PORT_6379_TCP_ADDR: '10.96.0.7',
    REDIS_MAIN_PORT_53_UDP: 'udp://10.96.0.7:53', REDIS_MAIN_PORT_53_UDP_PROTO: 'udp', REDIS_MAIN_PORT_53_UDP_PORT: '53', REDIS_MAIN_PORT_53_UDP_ADDR: '10.96.0.7',
  });
  assert.equal(all['KUBERNETES_SERVICE_HOST'], '10.96.0.1');
  assert.ok(!Object.keys(all).some((k) => k.startsWith('OTHER') || k.startsWith('HEADLESS')));
  const without = Object.keys(Object.fromEntries(serviceVariables(makePod().spec({ enableServiceLinks: false }).build(), view)));
  assert.ok(without.every((k) => k.startsWith('KUBERNETES_')) && without.length > 0);
});
for (const [text, want] of [['$(A)', '1'], ['$$(A)', '$(A)'], ['$$$(A)', '$1'], ['$(B)', '$(B)'], ['$A', '$A'], ['$(A', '$(A'], ['$', '$'], ['$$', '$'], ['x$(A)y$(A)', 'x1y1']] as const) {
  test(`expand: ${text}`, () => assert.equal(expand(text, new Map([['A', '1']])), want));
}
