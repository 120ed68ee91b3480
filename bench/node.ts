/** The node: what idle Pods cost, how soon changes are told and containers are back, and what streams carry; beside what the runtime alone does. */
import { createServer as createHttpServer } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type { Container, Pod } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { systemClock } from '#base/clock.ts';
import { PODS } from '#client/kinds.ts';
import { connectCri, type CriClient } from '#cri/client.ts';
import type { Init } from '#cri/schema.ts';
import type { ContainerConfig, PodSandbox } from '#cri/types.ts';
import { runningProcess } from '#cluster/daemon.ts';
import { runtimeConfigOf } from '#cluster/node-runtime.ts';
import { dialSpdy } from '#machinery/httpstream/spdy.ts';
import { requireKubectl } from '../test/e2e/harness/kubectl-binary.ts';
import { hostProcesses, startProgram } from '../test/e2e/harness/process.ts';
import { accessTo, IMAGE, type BenchCluster } from './cluster.ts';
import { cpuTicks, residentMegabytes } from './footprint.ts';
import { median, millis, printRows, type Row } from './report.ts';

const NAMESPACE = 'default';
const IDLE_PODS = 110;
const IDLE_MS = 20_000;
const TIMES = 9;
const REMOVED_MS = 500;
const LOG_BYTES = 64 << 20;
const FORWARD_BYTES = 256 << 20;

const podOf = (name: string, container: Partial<Container>): Pod => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: NAMESPACE }, spec: { automountServiceAccountToken: false, terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: IMAGE, command: ['sleep', '3600'], ...container }] },
});
const isReady = (p: Pod): boolean => p.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true;
const perSecond = (bytes: number, ms: number): string => `${(bytes / 1e6 / (ms / 1000)).toFixed(0)} MB/s`;

/** Resolves with the first state of the Pod that is as wanted, and when it was seen. `begin` is called when nothing can be missed any more. */
async function seen(cluster: BenchCluster, name: string, is: (pod: Pod) => boolean, begin: () => unknown = () => {}): Promise<{ pod: Pod; at: number }> {
  const pods = cluster.client.of(PODS);
  const list = await pods.list({ namespace: NAMESPACE });
  const abort = new AbortController();
  try {
    const watch = pods.watch({ namespace: NAMESPACE, resourceVersion: list.metadata.resourceVersion ?? '0' }, abort.signal);
    const next = watch[Symbol.asyncIterator]();
    let batch = next.next();
    await begin();
    const there = list.items.find((p) => nameOf(p) === name);
    if (there && is(there)) return { pod: there, at: performance.now() };
    for (;; batch = next.next()) {
      const { value, done } = await batch;
      if (done) throw new Error(`the watch ended before ${name} was as wanted`);
      for (const e of value) if (e.type !== 'BOOKMARK' && nameOf(e.object) === name && is(e.object)) return { pod: e.object, at: performance.now() };
    }
  } finally {
    abort.abort();
  }
}
async function run(cluster: BenchCluster, pod: Pod): Promise<Pod> {
  return (await seen(cluster, nameOf(pod), isReady, () => cluster.client.of(PODS).create(pod))).pod;
}
const remove = (cluster: BenchCluster, name: string): Promise<unknown> => cluster.client.of(PODS).delete(NAMESPACE, name, { gracePeriodSeconds: 0 });

async function idleCost(cluster: BenchCluster): Promise<Row[]> {
  const pods = cluster.client.of(PODS);
  const { pid } = (await runningProcess(cluster.config))!;
  for (let i = 0; i < IDLE_PODS; i++) await pods.create(podOf(`idle-${i}`, {}));
  while ((await pods.list({ namespace: NAMESPACE })).items.filter(isReady).length < IDLE_PODS) await delay(500);
  await delay(5000);
  const before = await cpuTicks(pid);
  await delay(IDLE_MS);
  const percent = ((await cpuTicks(pid)) - before) / (IDLE_MS / 1000);
  const megabytes = await residentMegabytes(pid);
  await pods.deleteCollection({ namespace: NAMESPACE });
  while ((await pods.list({ namespace: NAMESPACE })).items.length > 0) await delay(500);
  await delay(2000);
  return [
    { what: `${IDLE_PODS} idle Pods: CPU of the whole process`, ours: `${percent.toFixed(1)} % of a core`, target: '≤ 2 %' },
    { what: `${IDLE_PODS} idle Pods: memory of the whole process`, ours: `${megabytes.toFixed(0)} MB`, target: '≤ 250 MB' },
  ];
}

/** From the answer to a probe that changes the result until a watch of the API shows it. */
async function readinessTold(cluster: BenchCluster): Promise<Row> {
  let good = true;
  let answered = 0;
  const server = createHttpServer((_, res) => {
    answered = performance.now();
    res.writeHead(good ? 200 : 500).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  await run(cluster, podOf('told', { readinessProbe: { httpGet: { host: '127.0.0.1', port: (server.address() as AddressInfo).port }, periodSeconds: 1, failureThreshold: 1 } }));
  const took: number[] = [];
  for (let i = 0; i < TIMES; i++) {
    good = !good;
    const { at } = await seen(cluster, 'told', (p) => isReady(p) === good);
    took.push(at - answered);
  }
  server.close();
  await remove(cluster, 'told');
  return { what: 'a readiness change reaches a watch of the API', ours: millis(median(took)), target: '≤ 100 ms' };
}

/**
 * A container's main process killed, until the API shows the next run. Beside it what the runtime alone needs: to create and start the very same one when nothing
 * else is to do, and to replace a killed one, whose removal it does on the same cores.
 */
async function restarts(cluster: BenchCluster, cri: CriClient): Promise<Row> {
  const took: number[] = [];
  const raw: number[] = [];
  const replaced: number[] = [];
  for (let i = 0; i < TIMES; i++) {
    const name = `killed-${i}`;
    const line = `sleep ${2_000_000_000 + i}`;
    const pod = await run(cluster, podOf(name, { command: line.split(' ') }));
    const kill = (pid: number): number => (process.kill(pid, 'SIGKILL'), performance.now());
    const pid = (await hostProcesses(new RegExp(`^${line}$`))).get(line)!;
    let began = 0;
    const { at } = await seen(cluster, name, (p) => p.status?.containerStatuses?.[0]?.restartCount === 1 && p.status.containerStatuses[0].state?.running !== undefined, () => (began = kill(pid)));
    took.push(at - began);
    // The removal of the first run is over, too.
    await delay(REMOVED_MS);
    const start = await rawContainer(cri, pod, `${line}1`);
    began = performance.now();
    await start();
    raw.push(performance.now() - began);
    const rawPid = (await hostProcesses(new RegExp(`^${line}1$`))).get(`${line}1`)!;
    began = kill(rawPid);
    await start();
    replaced.push(performance.now() - began);
    await remove(cluster, name);
    // What the runtime has to take down is no part of the next one's start.
    while ((await sandboxesOf(cri, pod)).length > 0) await delay(50);
  }
  const ratio = median(took) / median(raw);
  const alone = `the runtime alone needs ${(median(replaced) / median(raw)).toFixed(2)} × to replace one`;
  return { what: 'a killed container runs again (first restart)', ours: millis(median(took)), target: `≤ 1 × a container's own start of ${millis(median(raw))}: ${ratio.toFixed(2)} × (${alone})` };
}
const sandboxesOf = async (cri: CriClient, pod: Pod): Promise<readonly PodSandbox[]> => (await cri.listPodSandbox({ filter: { labelSelector: { 'io.kubernetes.pod.uid': pod.metadata.uid! } } })).items;
/** Creates and starts a container like the Pod's, each time it is called. */
async function rawContainer(cri: CriClient, pod: Pod, line: string): Promise<() => Promise<void>> {
  const [sandbox] = await sandboxesOf(cri, pod);
  const recorded = async (info: Promise<{ info: Record<string, string> }>): Promise<object> => requestOf((JSON.parse((await info).info['info']!) as { config: object }).config) as object;
  const sandboxConfig = await recorded(cri.podSandboxStatus({ podSandboxId: sandbox!.id, verbose: true }));
  const config: Init<ContainerConfig> = await recorded(cri.containerStatus({ containerId: containerIdOf(pod), verbose: true }));
  const envs = (config.envs ?? []).map(({ key, value }) => ({ key, value: Buffer.from(String(value), 'base64') }));
  let attempt = 0;
  return async () => {
    // Of nobody's: the kubelet shall not take it for one of its own.
    const own: Init<ContainerConfig> = { ...config, command: line.split(' '), metadata: { name: 'raw', attempt: attempt++ }, logPath: 'raw.log', labels: {}, annotations: {}, envs };
    const { containerId } = await cri.createContainer({ podSandboxId: sandbox!.id, sandboxConfig, config: own });
    await cri.startContainer({ containerId });
  };
}
const containerIdOf = (pod: Pod): string => pod.status!.containerStatuses![0]!.containerID!.replace(/^.*:\/\//, '');
/** The runtime keeps what it was asked for by the names of the fields on the wire. */
function requestOf(recorded: unknown, parent = ''): unknown {
  if (Array.isArray(recorded)) return recorded.map((v) => requestOf(v));
  if (typeof recorded !== 'object' || recorded === null || parent === 'labels' || parent === 'annotations') return recorded;
  return Object.fromEntries(Object.entries(recorded).map(([key, value]) => [key.replace(/_(.)/g, (_, c: string) => c.toUpperCase()), requestOf(value, key)]));
}

/** A command's output over SPDY, as kubectl asks for it. */
async function execute(url: URL, tls?: { ca: string; cert: string; key: string }): Promise<string> {
  const { connection } = await dialSpdy(url, { protocols: ['v4.channel.k8s.io'], clock: systemClock, ...(tls ? { tls } : {}) });
  const [error, stdout] = await Promise.all([connection.openStream({ streamtype: 'error' }), connection.openStream({ streamtype: 'stdout' })]);
  const [, printed] = await Promise.all([text(error), text(stdout)]);
  connection.close();
  return printed;
}
async function execRoundTrip(cluster: BenchCluster, cri: CriClient): Promise<Row> {
  const pod = await run(cluster, podOf('runs', {}));
  const containerId = containerIdOf(pod);
  const { server, ...tls } = await accessTo(cluster.config);
  const through = new URL(`${server}/api/v1/namespaces/${NAMESPACE}/pods/runs/exec?command=echo&command=hi&container=c&stdout=true`);
  const took: number[] = [];
  const raw: number[] = [];
  for (let i = 0; i < 3 * TIMES; i++) {
    let began = performance.now();
    if ((await execute(through, tls)) !== 'hi\n') throw new Error('exec printed something else');
    took.push(performance.now() - began);
    began = performance.now();
    await execute(new URL((await cri.exec({ containerId, cmd: ['echo', 'hi'], stdout: true })).url));
    raw.push(performance.now() - began);
  }
  await remove(cluster, 'runs');
  return { what: 'exec, from the request to the end of its output', ours: millis(median(took)), target: `≤ 1.3 × the runtime's ${millis(median(raw))}: ${(median(took) / median(raw)).toFixed(2)} ×` };
}

// Whole lines: runtimes hold the rest of an unfinished one back. They are made before, so that what makes them takes no time from who carries them.
const LINE_BYTES = 1024;
const LINES = `yes ${'x'.repeat(LINE_BYTES - 1)} | head -n ${LOG_BYTES / LINE_BYTES} > /lines`;
const UPTIME = "cut -d' ' -f1 /proc/uptime >> /dev/termination-log";
/** A Pod that writes the lines when {@link go} says so, and ends; its message tells the uptimes between which it did, in seconds. */
const writes = (name: string): Pod => {
  const pod = podOf(name, { command: ['sh', '-c', `${LINES}; touch /made; until [ -e /go ]; do sleep 0.01; done; ${UPTIME}; cat /lines; ${UPTIME}`], readinessProbe: { exec: { command: ['test', '-e', '/made'] }, periodSeconds: 1 } });
  return { ...pod, spec: { ...pod.spec, restartPolicy: 'Never' } };
};
async function go(cluster: BenchCluster, name: string): Promise<void> {
  const { server, ...tls } = await accessTo(cluster.config);
  await execute(new URL(`${server}/api/v1/namespaces/${NAMESPACE}/pods/${name}/exec?command=touch&command=/go&container=c&stdout=true`), tls);
}
/** How fast the runtime takes the same lines when nobody reads them. */
async function rawLog(cluster: BenchCluster): Promise<number> {
  await run(cluster, writes('writes'));
  const { pod } = await seen(cluster, 'writes', (p) => p.status?.phase === 'Succeeded', () => go(cluster, 'writes'));
  const [began, ended] = pod.status!.containerStatuses![0]!.state!.terminated!.message!.trim().split('\n').map(Number);
  await remove(cluster, 'writes');
  return (ended! - began!) * 1000;
}
async function logFollow(cluster: BenchCluster): Promise<Row> {
  await run(cluster, writes('says'));
  const { server, ...tls } = await accessTo(cluster.config);
  const bytes = Promise.withResolvers<number>();
  let size = 0;
  let first = 0;
  const req = httpsRequest(`${server}/api/v1/namespaces/${NAMESPACE}/pods/says/log?follow=true`, { ...tls, agent: false }, (res) => {
    res.on('data', (part: Buffer) => {
      first ||= performance.now();
      size += part.length;
      if (size >= LOG_BYTES) bytes.resolve(performance.now() - first);
    });
  });
  req.on('error', () => {}).end();
  await go(cluster, 'says');
  const ms = await bytes.promise;
  req.destroy();
  await remove(cluster, 'says');
  return { what: 'following a log as it is written', ours: perSecond(LOG_BYTES, ms), target: `≥ 50 MB/s (the runtime takes ${perSecond(LOG_BYTES, await rawLog(cluster))})` };
}

/**
 * Milliseconds from the first byte to the last: runtimes end a forwarded connection a second after the other side has. A client that takes as little as it can of
 * the cores that all share: the bytes are counted where they land, and never parsed.
 */
function download(host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let [size, first, last] = [0, 0, 0];
    const callback = (bytes: number): boolean => {
      last = performance.now();
      first ||= last;
      return (size += bytes) > 0;
    };
    const socket = connect({ host, port, onread: { buffer: Buffer.allocUnsafe(1 << 20), callback } }, () => socket.write('GET /large HTTP/1.0\r\n\r\n'));
    socket.on('error', reject).on('close', () => (size > FORWARD_BYTES ? resolve(last - first) : reject(new Error(`${size} bytes came`))));
  });
}
async function portForward(cluster: BenchCluster): Promise<Row> {
  const pod = await run(cluster, podOf('serves', { command: ['sh', '-c', `mkdir /www; dd if=/dev/zero of=/www/large bs=1M count=${FORWARD_BYTES >> 20}; exec httpd -f -p 8080 -h /www`], readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } }));
  await using forward = startProgram(await requireKubectl('1.36'), ['--kubeconfig', cluster.config.kubeconfig, 'port-forward', 'pod/serves', ':8080'], {});
  const [, port] = await forward.seen(/Forwarding from 127\.0\.0\.1:(\d+) -> 8080/);
  const straight = await download(pod.status!.podIP!, 8080);
  const ms = await download('127.0.0.1', Number(port));
  await forward.interrupt();
  await remove(cluster, 'serves');
  return { what: 'kubectl port-forward, one connection', ours: perSecond(FORWARD_BYTES, ms), target: `≥ 200 MB/s (straight to the Pod: ${perSecond(FORWARD_BYTES, straight)})` };
}

export async function benchNode(cluster: BenchCluster): Promise<void> {
  const cri = connectCri({ endpoint: runtimeConfigOf(cluster.config).socket, clock: systemClock });
  const rows: Row[] = [];
  rows.push(await readinessTold(cluster), await restarts(cluster, cri), await execRoundTrip(cluster, cri), await logFollow(cluster), await portForward(cluster), ...(await idleCost(cluster)));
  cri.close();
  printRows('The node', rows);
}
