/**
 * A whole cluster in the caller's own process, for tests of operators, charts and of Podyard itself: the real API server, scheduler and
 * controllers over a store in memory; nodes are real kubelets over a runtime that only pretends to run containers.
 *
 * ```ts
 * await using cluster = await startInProcessCluster();
 * await cluster.client.of(PODS).create(pod);
 * ```
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nameOf } from '#api/object.ts';
import { parseRuntimeConfig, servedResources } from '#apiserver/registry/runtime-config.ts';
import type { ApiServer } from '#apiserver/server.ts';
import { systemClock, type Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { ComponentGroup, type ComponentRow } from '#base/component-group.ts';
import { Client } from '#client/client.ts';
import { fakeRuntime, type FakeRuntime, type FakeRuntimeOptions } from '#cri/fake-runtime.ts';
import { KUBELET_DEFAULTS } from '#kubelet/config.ts';
import type { CgroupManager } from '#kubelet/interfaces.ts';
import { Kubelet } from '#kubelet/kubelet.ts';
import type { KubeletHost } from '#kubelet/server/interfaces.ts';
import { storageDirectories } from '#kubelet/volumes/storage-directories.ts';
import { newScheduler } from '#scheduler/scheduler.ts';
import { openMemoryStore } from '#store/memory.ts';
import { bootstrapObjects, ensureKubernetesService, ensureTokenTracking } from './bootstrap/bootstrap.ts';
import { certificateSigner } from './certificate-signer.ts';
import { newApiServer } from './control-plane.ts';
import { newControllerManager } from './controllers.ts';
import { componentUser, inProcessTransport } from './in-process-transport.ts';
import { legacyTokenSigner } from './legacy-token.ts';
import { newMetricsApi } from './metrics/metrics-api.ts';
import type { StatsSummary } from './metrics/scraper.ts';
import { apiServerSans, ensureClusterPki, writeKubeconfig, type ClusterPki } from './pki.ts';

export interface InProcessOptions {
  readonly clock?: Clock;
  /** Names of the simulated nodes. Default: one, `node-1`. */
  readonly nodes?: readonly string[];
  /** What the nodes' containers do. Default: they run until they are stopped. */
  readonly containers?: FakeRuntimeOptions['container'];
  /** Also listen for HTTPS, on a free port of 127.0.0.1. Default false. */
  readonly http?: boolean;
  /** Versions to serve beside those that are on by default, as `--runtime-config` takes them: `certificates.k8s.io/v1beta1=true`. */
  readonly runtimeConfig?: string;
}
export interface InProcessCluster extends AsyncDisposable {
  /** Acts as the administrator. */
  readonly client: Client;
  readonly server: ApiServer;
  readonly pki: ClusterPki;
  readonly runtimes: ReadonlyMap<string, FakeRuntime>;
  /** Path of the administrator's kubeconfig; needs `http`. */
  kubeconfig(): Promise<string>;
  stop(): Promise<void>;
}

const NO_CGROUPS: CgroupManager = {
  ensurePod: (pod) => Promise.resolve(`/simulated/${pod.metadata.uid}`),
  removePod: () => Promise.resolve(),
  listPods: () => Promise.resolve([]),
};

function simulatedNode(name: string, index: number, dir: string, server: ApiServer, clock: Clock, containers: FakeRuntimeOptions['container']): { kubelet: Kubelet; runtime: FakeRuntime } {
  const runtime = fakeRuntime({ clock, podCIDR: `10.244.${index}.0/24`, anyImage: true, ...(containers ? { container: containers } : {}) });
  const kubelet = new Kubelet({
    config: {
      ...KUBELET_DEFAULTS, evictionHard: {}, nodeName: name, nodeIPs: [`192.0.2.${index + 1}`], clusterDNS: ['10.96.0.10'], cgroupRoot: `/simulated/${name}`,
      rootDir: join(dir, name, 'kubelet'), secretsDir: join(dir, name, 'secrets'), podLogsDir: join(dir, name, 'pod-logs'), storageDir: join(dir, 'storage'),
    },
    client: new Client(inProcessTransport(server, componentUser(`system:node:${name}`, 'system:nodes'), 'kubelet'), 'kubelet'),
    runtime, clock, cgroups: NO_CGROUPS,
  });
  return { kubelet, runtime };
}

/** Resolves when the nodes are registered. */
export async function startInProcessCluster(options: InProcessOptions = {}): Promise<InProcessCluster> {
  const clock = options.clock ?? systemClock;
  const dir = await mkdtemp(join(tmpdir(), 'podyard-cluster-'));
  const pki = await ensureClusterPki({ dir: join(dir, 'pki'), clock });
  const store = openMemoryStore();
  const server = newApiServer({ store, clock, pki, runtimeConfig: parseRuntimeConfig(options.runtimeConfig ?? ''), ...(options.http ? { http: { host: '127.0.0.1', port: 0 } } : {}) });
  const admin = inProcessTransport(server, componentUser('kubernetes-admin', 'system:masters'), 'admin');
  const clientAs = (name: string) => new Client(inProcessTransport(server, componentUser(name), name.replace('system:', '')), name.replace('system:', ''));
  // All nodes are on this machine, those that are only objects too.
  const storage = storageDirectories(join(dir, 'storage'));
  const runtimes = new Map<string, FakeRuntime>();
  const hosts = new Map<string, KubeletHost>();
  const bootstrap: Component = {
    name: 'bootstrap',
    async start(signal) {
      const transport = inProcessTransport(server, componentUser('system:apiserver', 'system:masters'), 'kube-apiserver');
      const served = servedResources(parseRuntimeConfig(options.runtimeConfig ?? ''));
      await bootstrapObjects(transport, { serves: (r) => served.includes(r) }, signal);
      await ensureTokenTracking(transport, clock, signal);
      await ensureKubernetesService(transport, { serviceIp: '10.96.0.1', addresses: ['192.0.2.1'], port: 6443 }, signal);
      server.bootstrapped();
    },
    stop: () => Promise.resolve(),
  };
  const rows: ComponentRow[] = [
    { name: 'apiserver', needs: [], create: () => server },
    { name: 'bootstrap', needs: ['apiserver'], create: () => bootstrap },
    { name: 'scheduler', needs: ['bootstrap'], create: () => newScheduler({ client: clientAs('system:kube-scheduler'), clock, random: Math.random, registry: server.metrics.registry }) },
    {
      name: 'controllers', needs: ['bootstrap'],
      create: () => newControllerManager({
        clientAs: (user, agent) => new Client(inProcessTransport(server, user, agent)), clock,
        resources: server.resources, metrics: server.metrics.registry, rootCa: pki.ca.cert, clusterCIDR: '10.244.0.0/16',
        signer: certificateSigner(pki.ca, clock), signToken: legacyTokenSigner(pki.serviceAccountKey.privateKey), nodeStorage: { create: (_, directory) => storage.create(directory), remove: (_, path) => storage.remove(path) },
        reservedNames: { server: apiServerSans(), serviceCIDR: '10.96.0.0/16', clusterDomain: 'cluster.local' },
      }),
    },
    {
      name: 'metrics API', needs: ['bootstrap'],
      create: () => newMetricsApi({
        client: new Client(admin, 'metrics-api'), clock, resources: server.resources,
        async summary(node, signal) {
          const host = hosts.get(nameOf(node));
          if (!host) throw new Error(`node ${JSON.stringify(nameOf(node))} is only an object`);
          return (await host.statsSummary(true, signal)) as StatsSummary;
        },
      }),
    },
    ...(options.nodes ?? ['node-1']).map((name, i) => ({
      name, needs: ['bootstrap'],
      create: () => {
        const { kubelet, runtime } = simulatedNode(name, i, dir, server, clock, options.containers);
        runtimes.set(name, runtime);
        hosts.set(name, kubelet.host());
        return kubelet;
      },
    })),
  ];
  const group = new ComponentGroup(rows, () => clock.monotonic());
  const stop = async (): Promise<void> => {
    await group.stop();
    for (const r of runtimes.values()) r.close();
    await store.close();
    await rm(dir, { recursive: true, force: true });
  };
  await group.start(new AbortController().signal).catch(async (err: unknown) => {
    await stop();
    throw err;
  });
  return {
    client: new Client(admin, 'admin'), server, pki, runtimes, stop,
    async kubeconfig() {
      const path = join(dir, 'kubeconfig.yaml');
      await writeKubeconfig(path, { server: `https://127.0.0.1:${server.port}`, ca: pki.ca.cert, cluster: 'podyard', user: 'admin', context: 'podyard', credentials: pki.clients.admin });
      return path;
    },
    [Symbol.asyncDispose]: stop,
  };
}
