/** The kubelet: puts its subjects together and feeds them with the Pods of its node. */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { uptime } from 'node:os';
import { join } from 'node:path';
import type { Pod, ServiceAccountTokenProjection } from '#api/gen/core-v1.ts';
import type { TokenRequest } from '#api/gen/authentication-v1.ts';
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import type { Client } from '#client/client.ts';
import { EventRecorder } from '#client/events.ts';
import { Informer } from '#client/informer.ts';
import { PODS, SERVICE_ACCOUNTS, SERVICES } from '#client/kinds.ts';
import type { AuthConfig } from '#cri/types.ts';
import { newCgroupManager } from './cgroups/cgroup-manager.ts';
import { CgroupHierarchy } from './cgroups/hierarchy.ts';
import type { KubeletConfig } from './config.ts';
import { newEnvironmentMaker } from './env/environment.ts';
import type { NodeFacts } from './env/field-ref.ts';
import { newHookRunner } from './hooks.ts';
import { newKubeletHost } from './host.ts';
import type { KubeletHost } from './server/interfaces.ts';
import { newStats } from './stats/stats.ts';
import { newCredentials } from './images/credentials.ts';
import { newImageManager } from './images/image-manager.ts';
import { NodeManager } from './node/node-manager.ts';
import { newNodeObjects, type NodeObjects } from './objects.ts';
import { admitPod } from './pods/admission.ts';
import { isHostNetwork } from './pods/containers.ts';
import { podDir } from './pods/paths.ts';
import { PodSync } from './pods/pod-sync.ts';
import { PodWorkers } from './pods/pod-workers.ts';
import { newProber } from './probes/prober.ts';
import { BackOff } from './runtime/back-off.ts';
import { ContainerStarter } from './runtime/container-starter.ts';
import { Killer } from './runtime/killer.ts';
import { watchRuntime, type RuntimeWatch, type RuntimeWatchOptions } from './runtime/runtime-watch.ts';
import { RuntimeCache } from './runtime/runtime-cache.ts';
import { StatusManager } from './status/status-manager.ts';
import { hostMounter, type Mounter } from './volumes/mounter.ts';
import { newVolumeManager } from './volumes/volume-manager.ts';
import type { CgroupManager, Prober, VolumeManager } from './interfaces.ts';

const log = logger('kubelet');

export interface KubeletOptions {
  readonly config: KubeletConfig;
  readonly client: Client;
  /** With a channel where the runtime's own events are to be used. */
  readonly runtime: RuntimeWatchOptions['runtime'];
  readonly clock: Clock;
  readonly mounter?: Mounter;
  /** Absent: the host's cgroups below the node's own root. Simulated nodes have none. */
  readonly cgroups?: CgroupManager;
  /** Credentials of the node for an image, after the Pod's own. */
  readonly nodeCredentials?: (image: string) => readonly Partial<AuthConfig>[];
}

export class Kubelet implements Component {
  readonly name = 'kubelet';
  readonly cache: RuntimeCache;
  readonly workers: PodWorkers;
  readonly node: NodeManager;
  readonly #o: KubeletOptions;
  readonly #recorder: EventRecorder;
  readonly #objects: NodeObjects;
  readonly #statuses: StatusManager;
  readonly #prober: Prober;
  readonly #volumes: VolumeManager;
  readonly #cgroups;
  readonly #killer: Killer;
  readonly #pods: Informer<Pod>;
  readonly #services;
  #watch: RuntimeWatch | undefined;
  #started = false;

  constructor(options: KubeletOptions) {
    const { config, client, runtime, clock } = options;
    this.#o = options;
    this.#recorder = new EventRecorder(client, { component: 'kubelet', host: config.nodeName, clock });
    const recorder = this.#recorder;
    this.cache = new RuntimeCache(runtime);
    const { cache } = this;
    const hierarchy = new CgroupHierarchy();
    this.#cgroups = options.cgroups ?? newCgroupManager(hierarchy, config.cgroupRoot);
    this.node = new NodeManager({ config, client, runtime, clock, recorder });
    this.#pods = new Informer(client, PODS, clock, { fieldSelector: `spec.nodeName=${config.nodeName}` });
    this.#services = new Informer(client, SERVICES, clock);
    this.#objects = newNodeObjects(client, clock);
    const nodeFacts = (): NodeFacts => ({ nodeName: config.nodeName, nodeIPs: config.nodeIPs, allocatable: this.node.node?.status?.allocatable ?? {} });
    this.#volumes = newVolumeManager({
      config, client, clock, recorder, mounter: options.mounter ?? hostMounter,
      payload: { objects: this.#objects, node: nodeFacts, podIPs: (pod) => this.podIPs(pod), requestToken: (pod, p, signal) => this.#requestToken(pod, p, signal) },
    });
    this.#prober = newProber({ runtime, cache, recorder, clock, nodeIPs: config.nodeIPs });
    this.#statuses = new StatusManager({ client, clock, podOf: (uid) => this.workers.podOf(uid) });
    const hooks = newHookRunner({ runtime, clock, podIP: (pod) => this.podIPs(pod)[0] ?? '' });
    this.#killer = new Killer({ runtime, cache, recorder, clock, hooks, prober: this.#prober });
    const node = this.node;
    const starter = new ContainerStarter({
      config, runtime, cache, recorder, clock, hooks, volumes: this.#volumes,
      images: newImageManager({ runtime, recorder, clock, credentials: newCredentials(this.#objects, options.nodeCredentials ?? (() => [])), maxParallelPulls: config.maxParallelImagePulls }),
      environment: newEnvironmentMaker({ objects: this.#objects, services: this.#services, node: nodeFacts, volumePath: (uid, volume) => join(podDir(config, uid), 'volumes', 'kubernetes.io~empty-dir', volume) }),
      backOff: new BackOff(clock),
      get memoryCapacityBytes() { return node.host.memoryBytes; },
      cgroupV2: hierarchy.v2,
    });
    const sync = new PodSync({ config, clock, runtime, cache, recorder, statuses: this.#statuses, starter, killer: this.#killer, prober: this.#prober, volumes: this.#volumes, cgroups: this.#cgroups });
    this.workers = new PodWorkers({ clock, cache, sync, recorder, admit: (pod, others) => (node.node ? admitPod(pod, others, node.node) : undefined) });
  }

  /** Ready when the node is registered and its Pods of an earlier process are taken up. */
  async start(signal: AbortSignal): Promise<void> {
    const { config, runtime, clock } = this.#o;
    for (const dir of [join(config.rootDir, 'pods'), config.secretsDir, config.podLogsDir]) await mkdir(dir, { recursive: true, mode: 0o755 });
    this.cache.onChange((uid) => this.workers.wake(uid));
    this.#prober.onChange((uid) => this.workers.wake(uid));
    this.#volumes.onChange((uid) => this.workers.wake(uid));
    await this.cache.relist(signal);
    await this.node.start(signal);
    this.#statuses.start();
    this.#services.start();
    await this.#services.synced;
    this.workers.start();
    this.#pods.addHandler({ onAdd: (pod) => this.workers.update(pod), onUpdate: (_, pod) => this.workers.update(pod), onDelete: (pod) => this.workers.remove(pod) });
    this.#pods.start();
    await this.#pods.synced;
    this.#watch = watchRuntime({ runtime, cache: this.cache, clock, relistPeriodMs: config.relistPeriodMs, onRelisted: () => this.#removeOrphans() });
    await this.#removeOrphans();
    this.#started = true;
  }
  /** Stops watching and deciding. Containers go on running: the next kubelet takes them up. */
  async stop(): Promise<void> {
    if (this.#started) await this.#watch?.stop();
    await this.#pods.stop();
    await this.workers.stop();
    this.#prober.stop();
    await this.#services.stop();
    await this.#statuses.stop();
    await this.#volumes.stop();
    await this.node.stop();
  }
  /** Addresses of a Pod as the runtime gives them. */
  podIPs(pod: Pod): readonly string[] {
    if (isHostNetwork(pod)) return this.#o.config.nodeIPs;
    const network = this.cache.get(pod.metadata.uid ?? '')?.sandboxes[0]?.network;
    return network?.ip ? [network.ip, ...network.additionalIps.map((a) => a.ip)] : [];
  }
  /** What the kubelet's server serves from. */
  host(): KubeletHost {
    const { runtime, clock, config } = this.#o;
    const withStatus = (pod: Pod): Pod => ({ ...pod, status: this.#statuses.statusOf(pod) ?? pod.status });
    const running = () => this.cache.uids().flatMap((uid) => this.cache.get(uid)?.containers.filter((c) => c.state === 'CONTAINER_RUNNING') ?? []);
    return newKubeletHost({
      runtime, cache: this.cache,
      stats: newStats({ runtime, clock, nodeName: config.nodeName, bootTimeMs: clock.now() - uptime() * 1000, counts: () => ({ pods: this.cache.uids().length, containers: running().length }) }),
      pods: () => this.#pods.list().map(withStatus),
      podByName: (namespace, name) => {
        const pod = this.#pods.get(namespace, name);
        return pod && withStatus(pod);
      },
    });
  }

  /** Pods that are in the runtime or on the disk, but not in the API: their time is over. */
  async #removeOrphans(): Promise<void> {
    const { config } = this.#o;
    const never = new AbortController().signal;
    for (const uid of this.cache.uids()) {
      const left = this.cache.get(uid);
      if (!left || this.workers.has(uid)) continue;
      const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: left.name, namespace: left.namespace, uid }, spec: { containers: [] } };
      log.info({ pod: `${left.namespace}/${left.name}`, uid }, 'removing a pod that the API does not have');
      await this.#killer.killPod(pod, 1, never);
      await this.#killer.removePod(uid, never);
    }
    const onDisk = [...(await readdir(join(config.rootDir, 'pods'))), ...(await readdir(config.secretsDir)), ...(await this.#cgroups.listPods())];
    for (const uid of new Set(onDisk)) {
      if (this.workers.has(uid) || this.cache.get(uid)) continue;
      await this.#volumes.tearDown(uid);
      await this.#cgroups.removePod(uid);
      await rm(podDir(config, uid), { recursive: true, force: true });
    }
  }
  async #requestToken(pod: Pod, projection: ServiceAccountTokenProjection, signal: AbortSignal): Promise<TokenRequest> {
    const body: TokenRequest = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: {},
      spec: {
        audiences: projection.audience ? [projection.audience] : [],
        expirationSeconds: projection.expirationSeconds ?? 3600,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid },
      },
    };
    return await this.#o.client.of(SERVICE_ACCOUNTS).createSubresource<TokenRequest>(pod.metadata.namespace!, pod.spec.serviceAccountName || 'default', 'token', body, { signal });
  }
}
