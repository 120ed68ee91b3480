/** Registers the Node, keeps its status and renews its lease. */
import type { ContainerImage, Node, NodeStatus } from '#api/gen/core-v1.ts';
import type { Lease } from '#api/gen/coordination-v1.ts';
import { rfc3339Micro, sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { Client } from '#client/client.ts';
import type { EventRecorder, EventType } from '#client/events.ts';
import { Informer } from '#client/informer.ts';
import { LEASES, NODES } from '#client/kinds.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import { isReason, StatusError } from '#machinery/status-error.ts';
import type { KubeletConfig } from '../config.ts';
import type { DeviceCapacity } from '../devices/device-manager.ts';
import type { Pressure } from '../eviction/pressure.ts';
import { readHostFacts, type HostFacts } from './host-facts.ts';
import { initialNode, nodeStatus, type NodeStatusInputs, type RuntimeFacts } from './node-status.ts';

const log = logger('kubelet');
const LEASE_NAMESPACE = 'kube-node-lease';
const MAX_IMAGES = 50;
const RUNTIME_TIMEOUT_MS = 10_000;
const REGISTER_RETRY_MS = { first: 200, max: 7000 } as const;
/** An unchanged status is written this often, for those who look at its heartbeats. */
const REPORT_EVERY_MS = 300_000;
/** While the node is not Ready for the first time: its network comes up within a second, and Pods wait for it. */
const FIRST_READY_POLL_MS = 100;
const FIRST_READY_LIMIT_MS = 120_000;

export interface NodeManagerOptions {
  readonly config: KubeletConfig;
  readonly client: Client;
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly recorder: EventRecorder;
  /** What the node lacks, as the eviction manager sees it. */
  pressure(): Pressure;
  /** Attached volumes that must not be detached yet, by their unique names. */
  volumesInUse(): readonly string[];
  devices(): DeviceCapacity;
}

export class NodeManager {
  readonly #o: NodeManagerOptions;
  readonly #abort = new AbortController();
  /** The Node as it is now, with labels and taints that others gave it. */
  readonly #informer: Informer<Node>;
  #handlers: RuntimeFacts['handlers'] = [];
  #shuttingDown = false;
  #host: HostFacts | undefined;
  #node: Node | undefined;
  #reportedAt = -Infinity;
  #loops: Promise<void>[] = [];
  #lease: Lease | undefined;

  constructor(options: NodeManagerOptions) {
    this.#o = options;
    this.#informer = new Informer(options.client, NODES, options.clock, { fieldSelector: `metadata.name=${options.config.nodeName}` });
  }
  get host(): HostFacts {
    if (!this.#host) throw new Error('the node manager has not started');
    return this.#host;
  }
  /** The newest that is known: what was told last, or the answer to a write of ours that is yet to be told. */
  get node(): Node | undefined {
    const [told, written] = [this.#informer.get('', this.#o.config.nodeName), this.#node];
    const revision = (node: Node): bigint => BigInt(node.metadata.resourceVersion ?? '0');
    return told && written && told.metadata.uid === written.metadata.uid && revision(told) < revision(written) ? written : (told ?? written);
  }
  /** Told of each change of the Node. Returns the unsubscriber. */
  onChange(listener: () => void): () => void {
    return this.#informer.addHandler({ onAdd: listener, onUpdate: listener });
  }
  /** Handlers of the runtime and what they can do; the default one has no name. */
  get runtimeHandlers(): RuntimeFacts['handlers'] {
    return this.#handlers;
  }
  /** The machine is going down: the node is no longer Ready. Or it stays up after all. */
  async reportShutdown(goingDown: boolean): Promise<void> {
    this.#shuttingDown = goingDown;
    this.#event('Normal', 'Shutdown', `Shutdown manager detected shutdown ${goingDown ? 'event' : 'cancellation'}`);
    await this.report();
  }
  /** Registers the node (or takes up the one that is there) and reports it; resolves when it is known as Ready. */
  async start(signal: AbortSignal): Promise<void> {
    this.#host = await readHostFacts(this.#o.config.rootDir);
    await this.#registerOnceAnswered(signal);
    this.#informer.start();
    this.#loops = [
      this.#untilReady(),
      this.#every(this.#o.config.nodeStatusUpdateFrequencyMs, () => this.report()),
      this.#every((this.#o.config.nodeLeaseDurationSeconds * 1000) / 4, () => this.#renewLease()),
    ];
    await this.#renewLease().catch((err: unknown) => log.warn({ err }, 'no lease yet, trying again'));
  }
  async stop(): Promise<void> {
    this.#abort.abort(new Error('the kubelet is stopping'));
    await Promise.all([...this.#loops, this.#informer.stop()]);
  }
  /**
   * Writes the status when it is not what the API has, or when the last report is old. Others write it too: of a node that is silent for long the
   * control plane says that nothing is known.
   */
  async report(): Promise<void> {
    const inputs = await this.#inputs();
    const before = this.node?.status;
    const status = nodeStatus(inputs, before);
    const now = this.#o.clock.monotonic();
    if (before && sameBesidesHeartbeats(before, status) && now - this.#reportedAt < REPORT_EVERY_MS) return;
    const { config, client } = this.#o;
    this.#node = await client.of(NODES).patch('', config.nodeName, 'application/strategic-merge-patch+json', { status: withReplacements(status, this.node?.status?.allocatable ?? {}) }, { subresource: 'status', signal: this.#abort.signal });
    this.#reportedAt = now;
    this.#tellTransitions(before, status);
  }

  /** A server that is away is waited for, as upstream's kubelet waits; what it refuses is an error. */
  async #registerOnceAnswered(signal: AbortSignal): Promise<void> {
    for (let retryMs: number = REGISTER_RETRY_MS.first; ; retryMs = Math.min(retryMs * 2, REGISTER_RETRY_MS.max)) {
      try {
        return await this.#register(signal);
      } catch (err) {
        if (signal.aborted || !isAway(err)) throw err;
        log.warn({ err }, 'the node is not registered yet, trying again');
        await sleep(this.#o.clock, retryMs, signal);
      }
    }
  }
  async #register(signal: AbortSignal): Promise<void> {
    const { client, config } = this.#o;
    const node = initialNode(await this.#inputs());
    try {
      this.#node = await client.of(NODES).create(node, { signal });
    } catch (err) {
      if (!isReason(err, 'AlreadyExists')) throw err;
      this.#node = await client.of(NODES).patch('', config.nodeName, 'application/strategic-merge-patch+json', { metadata: { labels: node.metadata.labels, annotations: node.metadata.annotations } }, { signal });
    }
    await this.report();
    this.#event('Normal', 'Starting', 'Starting kubelet.');
  }
  async #inputs(): Promise<NodeStatusInputs> {
    const { config, clock } = this.#o;
    return { config, host: this.host, runtime: await this.#runtimeFacts(), pressure: this.#o.pressure(), volumesInUse: this.#o.volumesInUse(), devices: this.#o.devices(), advertised: this.node?.status?.capacity ?? {}, shuttingDown: this.#shuttingDown, now: clock.now() };
  }
  async #runtimeFacts(): Promise<RuntimeFacts> {
    const { runtime } = this.#o;
    // A runtime that hangs is as bad as one that is away.
    const quick = { timeoutMs: RUNTIME_TIMEOUT_MS, signal: this.#abort.signal };
    try {
      const [version, { status, runtimeHandlers, features }, { images }] = await Promise.all([runtime.version({}, quick), runtime.status({}, quick), runtime.listImages({}, quick)]);
      this.#handlers = runtimeHandlers.map((h) => ({ name: h.name, ...(h.features ? { features: { recursiveReadOnlyMounts: h.features.recursiveReadOnlyMounts, userNamespaces: h.features.userNamespaces } } : {}) }));
      const bad = (status?.conditions ?? []).find((c) => !c.status && (c.type === 'RuntimeReady' || c.type === 'NetworkReady'));
      const what = bad?.type === 'NetworkReady' ? 'container runtime network not ready' : 'container runtime not ready';
      return {
        version: `${version.runtimeName}://${version.runtimeVersion.replace(/^v/, '').split(/[~+ ]/)[0]}`,
        notReady: bad ? `${what}: ${bad.type}=false reason:${bad.reason} message:${bad.message}` : undefined,
        images: nodeImages(images),
        handlers: this.#handlers,
        features: features && { supplementalGroupsPolicy: features.supplementalGroupsPolicy },
      };
    } catch (err) {
      return { version: this.#node?.status?.nodeInfo?.containerRuntimeVersion ?? '', notReady: `container runtime is down: ${(err as Error).message}`, images: this.#node?.status?.images ?? [], handlers: this.#handlers, features: this.#node?.status?.features };
    }
  }
  async #renewLease(): Promise<void> {
    const { client, config, clock } = this.#o;
    const leases = client.of(LEASES);
    const renewTime = rfc3339Micro(clock.now());
    const owner = this.#node && { apiVersion: 'v1', kind: 'Node', name: config.nodeName, uid: this.#node.metadata.uid! };
    const fresh: Lease = {
      apiVersion: 'coordination.k8s.io/v1', kind: 'Lease',
      metadata: { name: config.nodeName, namespace: LEASE_NAMESPACE, ...(owner ? { ownerReferences: [owner] } : {}) },
      spec: { holderIdentity: config.nodeName, leaseDurationSeconds: config.nodeLeaseDurationSeconds, renewTime },
    };
    try {
      this.#lease ??= await leases.get(LEASE_NAMESPACE, config.nodeName);
      this.#lease = await leases.update({ ...this.#lease, spec: { ...this.#lease.spec, ...fresh.spec } });
    } catch (err) {
      this.#lease = undefined;
      if (!isReason(err, 'NotFound')) throw err;
      this.#lease = await leases.create(fresh);
    }
  }
  /** As upstream's `fastStatusUpdateOnce`: what is missing at the start comes one by one, without an event that would tell. */
  async #untilReady(): Promise<void> {
    const { signal } = this.#abort;
    const until = this.#o.clock.monotonic() + FIRST_READY_LIMIT_MS;
    const ready = () => this.node?.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True');
    while (!ready() && this.#o.clock.monotonic() < until) {
      await sleep(this.#o.clock, FIRST_READY_POLL_MS, signal).catch(() => {});
      if (signal.aborted) return;
      await this.report().catch(() => {}); // The loop at the usual pace tells of errors.
    }
  }
  async #every(ms: number, task: () => Promise<void>): Promise<void> {
    const { signal } = this.#abort;
    for (;;) {
      await sleep(this.#o.clock, ms, signal).catch(() => {});
      if (signal.aborted) return;
      await task().catch((err: unknown) => void (signal.aborted || log.warn({ err }, 'node report failed, retrying')));
    }
  }
  #tellTransitions(before: NodeStatus | undefined, after: NodeStatus): void {
    for (const c of after.conditions ?? []) {
      const old = before?.conditions?.find((b) => b.type === c.type);
      if (old?.status === c.status) continue;
      const reason = c.type === 'Ready' ? (c.status === 'True' ? 'NodeReady' : 'NodeNotReady') : c.reason!.replace(/^KubeletHas/, 'NodeHas');
      this.#event('Normal', reason, `Node ${this.#o.config.nodeName} status is now: ${reason}`);
    }
  }
  #event(type: EventType, reason: string, message: string): void {
    const { nodeName } = this.#o.config;
    this.#o.recorder.eventFor({ kind: 'Node', name: nodeName, uid: nodeName }, type, reason, message);
  }
}

function isAway(err: unknown): boolean {
  return err instanceof StatusError && (err.code >= 500 || isReason(err, 'TooManyRequests'));
}
function nodeImages(images: readonly { repoTags: readonly string[]; repoDigests: readonly string[]; size: number }[]): ContainerImage[] {
  return images
    .map((i) => ({ names: [...i.repoDigests, ...i.repoTags].slice(0, 5), sizeBytes: i.size }))
    .filter((i) => i.names.length)
    .toSorted((a, b) => b.sizeBytes - a.sizeBytes)
    .slice(0, MAX_IMAGES);
}
function sameBesidesHeartbeats(a: NodeStatus, b: NodeStatus): boolean {
  const plain = (s: NodeStatus) => JSON.stringify([
    Object.entries(s.capacity ?? {}).toSorted(), Object.entries(s.allocatable ?? {}).toSorted(), s.images, s.addresses, s.nodeInfo?.containerRuntimeVersion, s.nodeInfo?.bootID, s.daemonEndpoints, s.volumesInUse ?? [], s.features, s.declaredFeatures,
    ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready'].map((t) => s.conditions?.find((c) => c.type === t)).map((c) => [c?.status, c?.reason, c?.message]),
  ]);
  return plain(a) === plain(b);
}
/** Addresses merge by type in a strategic merge patch: several of one type need the list as a whole. What is empty now must be taken out, as must resources that are gone. */
function withReplacements(status: NodeStatus, allocatableBefore: Readonly<Record<string, string>>): Record<string, unknown> {
  const gone = Object.keys(allocatableBefore).filter((name) => status.allocatable?.[name] === undefined);
  const allocatable = { ...status.allocatable, ...Object.fromEntries(gone.map((name) => [name, null])) };
  return { ...status, allocatable, volumesInUse: status.volumesInUse ?? null, features: status.features ?? null, addresses: [{ $patch: 'replace' }, ...(status.addresses ?? [])] };
}
