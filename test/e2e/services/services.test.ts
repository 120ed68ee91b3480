/** Services as Pods and the machine meet them: addresses, node ports, names, and the API server from inside. */
import assert from 'node:assert/strict';
import type { Service } from '#api/gen/core-v1.ts';
import { ENDPOINT_SLICES, SERVICES } from '#client/kinds.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitFor, waitForLog, waitForPhase, waitForPod, waitForPodGone, waitForReady } from '../harness/conditions.ts';
import { runProgram } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
const OLD_BUSYBOX = 'docker.io/library/busybox:1.35';
const CURL = 'docker.io/curlimages/curl:latest';
const { test } = onCluster({ images: [BUSYBOX, OLD_BUSYBOX, CURL] });

/** Answers with its name, and logs who asked. */
const webPod = (name: string, labels: object, more: object = {}) => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name, labels },
  spec: {
    terminationGracePeriodSeconds: 1, ...more,
    containers: [{ name: 'web', image: 'busybox:1.37', command: ['sh', '-c', 'hostname > /tmp/index.html; exec httpd -f -vv -p 8080 -h /tmp'], ports: [{ name: 'http', containerPort: 8080 }], readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } }],
  },
});
const service = (name: string, spec: object) => ({ apiVersion: 'v1', kind: 'Service', metadata: { name }, spec: { selector: { app: 'web' }, ports: [{ name: 'http', port: 80, targetPort: 'http' }], ...spec } });

async function start(cluster: TestCluster): Promise<void> {
  if ((await cluster.kubectl('get pod client', { expect: 'any' })).code === 0) return;
  const client = {
    apiVersion: 'v1', kind: 'Pod', metadata: { name: 'client' },
    spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'busybox', image: 'busybox:1.37', command: ['sleep', '36000'] }, { name: 'curl', image: 'curlimages/curl:latest', imagePullPolicy: 'IfNotPresent', command: ['sleep', '36000'] }] },
  };
  for (const object of [client, webPod('web-1', { app: 'web' }), webPod('web-2', { app: 'web' }), service('web', {}), service('web-node', { type: 'NodePort' })]) await cluster.apply(object);
  await Promise.all(['client', 'web-1', 'web-2'].map((name) => waitForReady(cluster, name)));
  await endpoints(cluster, 'web', 2);
  await endpoints(cluster, 'web-node', 2);
}
const endpoints = (cluster: TestCluster, name: string, count: number) =>
  waitFor(cluster, ENDPOINT_SLICES, '', `${count} endpoints of "${name}"`, (slices) => ([...slices.values()].filter((s) => s.metadata.labels?.['kubernetes.io/service-name'] === name).flatMap((s) => s.endpoints ?? []).filter((e) => e.conditions?.ready).length === count ? true : undefined));
const inPod = (cluster: TestCluster, pod: string, container: string, ...command: string[]) => cluster.kubectl(['exec', pod, '-c', container, '--', ...command], { expect: 'any' });
const fetchIn = async (cluster: TestCluster, url: string, pod = 'client', container = 'busybox') => (await inPod(cluster, pod, container, 'wget', '-qO-', '-T', '5', url)).stdout.trim();
const serviceOf = async (cluster: TestCluster, name: string): Promise<Service> => (await cluster.client()).of(SERVICES).get('default', name);
/** Answers of `count` requests, each name once. */
async function answers(count: number, ask: () => Promise<string>): Promise<string[]> {
  const seen = new Set<string>();
  for (let i = 0; i < count; i++) seen.add(await ask());
  return [...seen].toSorted();
}
/** Asks until an answer is what is wanted: the proxy's rules have no event of their own. */
async function until(what: string, is: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 20_000;
  while (!(await is())) assert.ok(performance.now() < end, `waited 20 s in vain: ${what}`);
}

test('a Pod reaches all Pods of a Service by name and by address, and they see who asks', async (cluster) => {
  await start(cluster);
  const { spec } = await serviceOf(cluster, 'web');
  assert.deepEqual(await answers(16, () => fetchIn(cluster, 'http://web/')), ['web-1', 'web-2']);
  assert.deepEqual(await answers(16, () => fetchIn(cluster, `http://${spec.clusterIP}/`)), ['web-1', 'web-2']);
  const client = await waitForPod(cluster, 'client', 'there', () => true);
  const logs = (await Promise.all(['web-1', 'web-2'].map((pod) => cluster.kubectl(`logs ${pod}`)))).map((l) => l.stdout + l.stderr).join();
  assert.ok(logs.includes(client.status!.podIP!), 'the client keeps its address');
});
test('a Pod of the Service reaches itself through it', async (cluster) => {
  await start(cluster);
  assert.deepEqual(await answers(16, () => fetchIn(cluster, 'http://web/', 'web-1', 'web')), ['web-1', 'web-2']);
});
test('the machine reaches it by cluster address, and by node port on every address of its own', async (cluster) => {
  await start(cluster);
  const { nodeIP } = await cluster.config();
  const { spec } = await serviceOf(cluster, 'web-node');
  const port = spec.ports![0]!.nodePort!;
  const curl = async (url: string) => (await runProgram('curl', ['-sS', '-m', '5', url])).stdout.trim();
  for (const url of [`http://${spec.clusterIP}/`, `http://${nodeIP}:${port}/`, `http://127.0.0.1:${port}/`]) assert.match(await curl(url), /^web-[12]$/, url);
  assert.match(await fetchIn(cluster, `http://${nodeIP}:${port}/`), /^web-[12]$/);
});
test('a Service without Pods refuses at once, and serves as soon as one is ready', async (cluster) => {
  await start(cluster);
  await cluster.apply(service('late', { selector: { app: 'late' } }));
  const { spec } = await serviceOf(cluster, 'late');
  await until('connections are refused', async () => /Connection refused/.test((await inPod(cluster, 'client', 'busybox', 'wget', '-qO-', '-T', '5', `http://${spec.clusterIP}/`)).stderr));
  await cluster.apply(webPod('late', { app: 'late' }));
  await endpoints(cluster, 'late', 1);
  await until('the Service answers', async () => (await fetchIn(cluster, 'http://late/')) === 'late');
  await cluster.kubectl('delete pod late');
  await until('connections are refused again', async () => /Connection refused/.test((await inPod(cluster, 'client', 'busybox', 'wget', '-qO-', '-T', '5', `http://${spec.clusterIP}/`)).stderr));
});
test('an address that no Service has leads nowhere', async (cluster) => {
  await start(cluster);
  const { spec } = await serviceOf(cluster, 'web');
  const taken = new Set((await (await cluster.client()).of(SERVICES).list()).items.map((s) => s.spec.clusterIP));
  const [a, b, c] = spec.clusterIP!.split('.');
  const free = Array.from({ length: 254 }, (_, i) => `${a}.${b}.${c}.${i + 1}`).find((ip) => !taken.has(ip))!;
  const { code, stderr } = await inPod(cluster, 'client', 'busybox', 'wget', '-qO-', '-T', '1', `http://${free}/`);
  assert.notEqual(code, 0);
  assert.match(stderr, /timed out/);
});

test('a client with session affinity stays where it was', async (cluster) => {
  await start(cluster);
  await cluster.apply(service('sticky', { sessionAffinity: 'ClientIP' }));
  await endpoints(cluster, 'sticky', 2);
  await until('the Service answers', async () => (await fetchIn(cluster, 'http://sticky/')) !== '');
  assert.equal((await answers(16, () => fetchIn(cluster, 'http://sticky/'))).length, 1);
});
test('a Pod talks to the API server by its name, with its token', async (cluster) => {
  await start(cluster);
  const call = 'curl -sS -m 10 --cacert $D/ca.crt -H "Authorization: Bearer $(cat $D/token)" https://kubernetes.default.svc/apis/authentication.k8s.io/v1/selfsubjectreviews -H "Content-Type: application/json" -d "{}"';
  const { stdout, stderr } = await inPod(cluster, 'client', 'curl', 'sh', '-c', `D=/var/run/secrets/kubernetes.io/serviceaccount; ${call}`);
  assert.equal((JSON.parse(stdout) as { status?: { userInfo?: { username?: string } } }).status?.userInfo?.username, 'system:serviceaccount:default:default', stderr);
});
test('names: short and long, of ports, of Pods of a headless Service, back from addresses, and those that do not exist', async (cluster) => {
  await start(cluster);
  await cluster.apply(service('peers', { clusterIP: 'None', selector: { app: 'peer' } }));
  await cluster.apply(webPod('peer-0', { app: 'peer' }, { hostname: 'peer-0', subdomain: 'peers' }));
  await waitForReady(cluster, 'peer-0');
  await endpoints(cluster, 'peers', 1);
  const lookup = async (...args: string[]) => {
    const { stdout, stderr } = await inPod(cluster, 'client', 'busybox', 'nslookup', ...args);
    return stdout + stderr;
  };
  const { spec } = await serviceOf(cluster, 'web');
  assert.match(await lookup('web'), new RegExp(`Name:\\s+web\\.default\\.svc\\.cluster\\.local\\s+Address: ${spec.clusterIP}`));
  assert.match(await lookup('web.default.svc.cluster.local.'), new RegExp(`Address: ${spec.clusterIP}`));
  assert.match(await lookup('-type=srv', '_http._tcp.web.default.svc.cluster.local'), /service = 0 100 80 web\.default\.svc\.cluster\.local/);
  const ip = (await waitForPod(cluster, 'peer-0', 'there', () => true)).status!.podIP!;
  assert.match(await lookup('peer-0.peers.default.svc.cluster.local'), new RegExp(`Address: ${ip}`));
  assert.match(await lookup('-type=ptr', `${ip.split('.').toReversed().join('.')}.in-addr.arpa`), /name = peer-0\.peers\.default\.svc\.cluster\.local/);
  assert.match(await lookup('nothing'), /NXDOMAIN/);
  assert.equal(await fetchIn(cluster, 'http://peer-0.peers:8080/'), 'peer-0');
});
test("a tutorial's init container waits until the Service is there", async (cluster) => {
  await start(cluster);
  await cluster.apply({
    apiVersion: 'v1', kind: 'Pod', metadata: { name: 'waits' },
    spec: {
      restartPolicy: 'Never', terminationGracePeriodSeconds: 1,
      initContainers: [{ name: 'wait-for-db', image: 'busybox:1.35', command: ['sh', '-c', 'until nslookup postgres-svc; do echo waiting for db; sleep 0.2; done'] }],
      containers: [{ name: 'app', image: 'busybox:1.37', command: ['true'] }],
    },
  });
  await waitForPod(cluster, 'waits', 'initialising', (p) => p.status?.initContainerStatuses?.[0]?.state?.running !== undefined);
  await waitForLog(cluster, 'waits -c wait-for-db', /waiting for db/);
  await cluster.apply(service('postgres-svc', {}));
  await waitForPhase(cluster, 'waits', 'Succeeded');
  assert.match((await cluster.kubectl('logs waits -c wait-for-db')).stdout, /Name:\s+postgres-svc\.default\.svc\.cluster\.local/);
  await cluster.kubectl('delete pod waits');
});
test('Services go on while Podyard itself is down, and after it comes back', async (cluster) => {
  await start(cluster);
  const { spec } = await serviceOf(cluster, 'web-node');
  const curl = async () => (await runProgram('curl', ['-sS', '-m', '5', `http://127.0.0.1:${spec.ports![0]!.nodePort}/`])).stdout.trim();
  await cluster.kill();
  assert.match(await curl(), /^web-[12]$/);
  await cluster.up();
  assert.match(await curl(), /^web-[12]$/);
  await cluster.kubectl('delete pod web-2');
  await waitForPodGone(cluster, 'web-2');
  await until('only the Pod that is left answers', async () => (await answers(8, curl)).join() === 'web-1');
});
