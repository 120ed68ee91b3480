/**
 * The API server out of a node's reach for longer than a node may be silent: what the node does by itself, and what is told afterwards. The node is a
 * second one, whose kubelet is this test's, with a containerd of its own; between it and the API server lies a connection that can be cut.
 */
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import type { Node, Pod } from '#api/gen/core-v1.ts';
import { sleep, systemClock } from '#base/clock.ts';
import { HttpTransport } from '#client/http-transport.ts';
import { ensureClusterConfig } from '#cluster/config.ts';
import { newKubelet } from '#cluster/node.ts';
import { newNodeRuntime } from '#cluster/node-runtime.ts';
import { ensureClusterPki, ensureNodePki } from '#cluster/pki.ts';
import { HostChangeJournal } from '#cluster/runtime/host-changes.ts';
import { NO_REGISTRIES } from '#cluster/runtime/registries.ts';
import type { CriClient } from '#cri/client.ts';
import type { Container } from '#cri/types.ts';
import { freePort, type TestCluster } from '../harness/cluster.ts';
import { waitForNode, waitForPhase, waitForPod, waitForPodGone, waitForReady } from '../harness/conditions.ts';
import { PODYARD } from '../harness/leftovers.ts';
import { hostProcesses, runProgram } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });
const NAME = 'node02';
const BASE = 1_100_000_000 + randomInt(1_000_000) * 10;

/** Carries connections to a port of this machine, as long as it is let. */
class Link {
  readonly #to: number;
  #server: Server | undefined;
  #port = 0;
  readonly #sockets = new Set<Socket>();
  constructor(to: number) {
    this.#to = to;
  }
  get port(): number {
    return this.#port;
  }
  get connections(): number {
    return this.#sockets.size;
  }
  async join(): Promise<void> {
    this.#server = createServer((socket) => {
      const other = connect(this.#to);
      for (const [a, b] of [[socket, other], [other, socket]] as const) {
        this.#sockets.add(a);
        a.on('error', () => {}).on('close', () => {
          this.#sockets.delete(a);
          b.destroy();
        });
        a.pipe(b);
      }
    }).listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
  }
  cut(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

interface OwnNode extends AsyncDisposable {
  readonly link: Link;
  readonly runtime: CriClient;
  readonly podsDir: string;
}
async function startNode(c: TestCluster): Promise<OwnNode> {
  const { apiPort } = await c.config();
  const dataDir = `${c.dir}/${NAME}`;
  await mkdir(dataDir);
  const config = await ensureClusterConfig({ dataDir, nodeName: NAME, nodeIP: '127.0.0.1', kubeletPort: await freePort() });
  const changes = await HostChangeJournal.open(`${dataDir}/host-changes.jsonl`, systemClock);
  await changes.record('empty-directory', config.runDir);
  const pki = await ensureClusterPki({ dir: `${c.dataDir}/pki`, clock: systemClock });
  const { client } = await ensureNodePki(pki, { dir: `${dataDir}/pki`, nodeName: NAME, addresses: ['127.0.0.1'], clock: systemClock });
  const link = new Link(apiPort);
  await link.join();
  const transport = new HttpTransport({ server: `https://127.0.0.1:${link.port}`, ca: pki.ca.cert, cert: client.cert, key: client.key, userAgent: 'kubelet', timeoutMs: 10_000 });
  const parts = { registries: NO_REGISTRIES, kubeletChoices: {} };
  const runtime = newNodeRuntime(config, systemClock, changes, parts);
  const kubelet = newKubelet(config, systemClock, transport, runtime.client, { ...parts, policies: { isolate: () => Promise.resolve() }, network: { openHostPorts: async () => {} } });
  const abort = new AbortController();
  const end = async (): Promise<void> => {
    link.cut();
    await kubelet.stop();
    transport.close();
    await runtime.release();
    await changes.close();
    await runProgram(PODYARD, ['uninstall', '--yes', '--data-dir', dataDir], { timeoutMs: 120_000, env: c.env });
  };
  try {
    await runtime.start(abort.signal);
    await runProgram(PODYARD, ['image', 'load', `${c.dir}/images.tar`, '--data-dir', dataDir], { env: c.env });
    await kubelet.start(abort.signal);
  } catch (err) {
    await end().catch(() => {});
    throw err;
  }
  return { link, runtime: runtime.client, podsDir: `${dataDir}/kubelet/pods`, [Symbol.asyncDispose]: end };
}
/** Resolves when the runtime has what is wanted, without asking the API server. Its list lags its events, so that none tells when the list is right. */
async function runtimeHas(runtime: CriClient, is: (containers: readonly Container[]) => boolean): Promise<void> {
  const signal = AbortSignal.timeout(60_000);
  for (;;) {
    const { containers } = await runtime.listContainers({});
    if (is(containers)) return;
    if (signal.aborted) throw new Error(`the runtime has something else: ${JSON.stringify(containers.map((x) => [x.labels['io.kubernetes.pod.name'], x.metadata?.attempt, x.state]))}`);
    await sleep(systemClock, 50);
  }
}
const run = (pod: string, attempt: number, state: Container['state']) => (containers: readonly Container[]): boolean => containers.some((x) => x.labels['io.kubernetes.pod.name'] === pod && x.metadata?.attempt === attempt && x.state === state);
const conditionOf = (node: Node): string | undefined => node.status?.conditions?.find((x) => x.type === 'Ready')?.status;

test('the API server is away for more than a minute: Pods go on, probes act, what ends is started again; then all is told, and nothing is left', { timeout: 300_000 }, async (c) => {
  const dir = `${c.files}/shared`;
  await mkdir(dir, { mode: 0o777 });
  const pod = (name: string, line: string, more: object = {}, ofContainer: object = {}): object => ({
    apiVersion: 'v1', kind: 'Pod', metadata: { name },
    spec: { nodeName: NAME, hostNetwork: true, terminationGracePeriodSeconds: 0, volumes: [{ name: 'v', hostPath: { path: dir } }], containers: [{ name: 'c', image: 'busybox:1.37', command: ['sh', '-c', line], volumeMounts: [{ name: 'v', mountPath: '/v' }], ...ofContainer }], ...more },
  });
  const sleeping = async (n: number): Promise<number | undefined> => (await hostProcesses(new RegExp(`^sleep ${BASE + n}$`))).get(`sleep ${BASE + n}`);
  await using node = await startNode(c);
  await waitForNode(c, NAME, 'Ready', (n) => conditionOf(n) === 'True');
  await c.apply({
    apiVersion: 'v1', kind: 'List', items: [
      pod('steady', `exec sleep ${BASE}`), pod('killed', `exec sleep ${BASE + 1}`),
      pod('sick', `rm -f /v/sick; exec sleep ${BASE + 2}`, {}, { livenessProbe: { exec: { command: ['test', '!', '-e', '/v/sick'] }, periodSeconds: 1, failureThreshold: 1 } }),
      pod('once', 'until [ -e /v/end ]; do sleep 0.1; done; exit 3', { restartPolicy: 'Never' }), pod('unwanted', `exec sleep ${BASE + 3}`),
    ],
  });
  const [steady] = await Promise.all(['steady', 'killed', 'sick', 'once', 'unwanted'].map((name) => waitForReady(c, name)));
  const before = await sleeping(0);
  assert.ok(before);

  node.link.cut();
  process.kill((await sleeping(1))!, 'SIGKILL');
  await writeFile(`${dir}/sick`, '');
  await writeFile(`${dir}/end`, '');
  await runtimeHas(node.runtime, (all) => run('killed', 1, 'CONTAINER_RUNNING')(all) && run('sick', 1, 'CONTAINER_RUNNING')(all) && run('once', 0, 'CONTAINER_EXITED')(all));
  await c.kubectl('delete pod unwanted --wait=false');
  await c.apply(pod('late', `exec sleep ${BASE + 4}`, { tolerations: [{ operator: 'Exists' }] }));
  await waitForNode(c, NAME, 'silent for too long', (n) => conditionOf(n) === 'Unknown', { timeoutMs: 120_000 });
  assert.equal(await sleeping(0), before);
  assert.ok(await sleeping(3), 'nobody could tell the node that it is not wanted');

  await node.link.join();
  await waitForNode(c, NAME, 'Ready again', (n) => conditionOf(n) === 'True' && !n.spec.taints?.length, { timeoutMs: 60_000 });
  const restarted = (p: Pod): boolean => p.status?.containerStatuses?.[0]?.restartCount === 1 && p.status.containerStatuses[0].ready;
  assert.equal((await waitForPod(c, 'killed', 'restarted', restarted)).status?.containerStatuses?.[0]?.lastState?.terminated?.exitCode, 137);
  await waitForPod(c, 'sick', 'restarted by its probe', restarted);
  assert.equal((await waitForPhase(c, 'once', 'Failed')).status?.containerStatuses?.[0]?.state?.terminated?.exitCode, 3);
  await waitForPodGone(c, 'unwanted');
  await waitForReady(c, 'late');
  const after = await waitForReady(c, 'steady');
  assert.deepEqual([after.metadata.uid, after.status?.containerStatuses?.[0]?.containerID, after.status?.containerStatuses?.[0]?.restartCount], [steady!.metadata.uid, steady!.status?.containerStatuses?.[0]?.containerID, 0]);
  assert.equal(await sleeping(0), before);

  await c.kubectl('delete pod --all --now');
  await runtimeHas(node.runtime, (all) => all.length === 0);
  assert.deepEqual((await hostProcesses(new RegExp(`^sleep ${String(BASE).slice(0, -1)}\\d$`))).size, 0);
  assert.deepEqual(await readdir(node.podsDir), []);
  // Two ends of each: the watches' and a few for calls.
  assert.ok(node.link.connections <= 2 * 30, `${node.link.connections} connections`);
  await c.kubectl(`delete node ${NAME}`);
});
