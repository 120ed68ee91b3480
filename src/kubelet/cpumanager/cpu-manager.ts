/**
 * The static CPU manager policy: containers of Guaranteed Pods that ask for whole CPUs have them for themselves, all others share the rest.
 *
 * ```
 *   online CPUs = shared pool (with the reserved ones) + exclusive
 *   Pod admitted ──▶ exclusive grows ──▶ every other container is moved to the smaller pool      Pod over ──▶ and back
 * ```
 * Upstream's counterpart: the CPU manager. Source: tasks/administer-cluster/cpu-management-policies.
 */
import { join } from 'node:path';
import type { Container, Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { reservedResources, type KubeletConfig } from '../config.ts';
import type { AnyContainer } from '../interfaces.ts';
import type { KubeletMetrics } from '../metrics.ts';
import { isRestartableInit } from '../pods/containers.ts';
import { qosOf } from '../pods/qos.ts';
import { formatCpuSet, parseCpuSet } from './cpu-set.ts';
import { CpuState } from './state.ts';
import { takeCpus, type Topology } from './topology.ts';

const log = logger('kubelet');
const UPDATE_TIMEOUT_MS = 10_000;

/** Whole CPUs that the container is to have for itself; 0 when it shares. */
export function exclusiveCpus(pod: Pod, container: AnyContainer): number {
  const text = container.resources?.requests?.['cpu'] ?? container.resources?.limits?.['cpu'];
  // Resources of the Pod as a whole say nothing of its containers.
  if (text === undefined || qosOf(pod) !== 'Guaranteed' || pod.spec.resources) return 0;
  const millis = parseQuantity(text).milliValue();
  return millis % 1000n === 0n ? Number(millis / 1000n) : 0;
}

export interface RunningContainer {
  readonly uid: string;
  readonly name: string;
  readonly id: string;
}
export interface CpuManagerOptions {
  readonly config: KubeletConfig;
  readonly clock: Clock;
  readonly runtime: Pick<ContainerRuntime, 'updateContainerResources'>;
  readonly metrics: KubeletMetrics;
  topology(): Promise<Topology>;
  running(): readonly RunningContainer[];
  isOver(uid: string): boolean;
}

export class CpuManager {
  readonly #o: CpuManagerOptions;
  readonly #state: CpuState;
  readonly #abort = new AbortController();
  /** The CPUs that each running container was last given, by its ID. */
  readonly #applied = new Map<string, string>();
  #topology: Topology = new Map();
  #reserved: ReadonlySet<number> = new Set();
  #loop: Promise<void> = Promise.resolve();
  #reconciling: Promise<void> = Promise.resolve();

  constructor(options: CpuManagerOptions) {
    this.#o = options;
    this.#state = new CpuState(join(options.config.rootDir, 'cpu_manager_state'), options.config.cpuManagerPolicy);
  }
  get #on(): boolean {
    return this.#o.config.cpuManagerPolicy === 'static';
  }
  /** Takes up what an earlier process gave out. Rejects where that does not fit what is configured now. */
  async start(): Promise<void> {
    const { config, clock } = this.#o;
    this.#topology = await this.#o.topology();
    const online = new Set(this.#topology.keys());
    const loaded = await this.#state.load(this.#on ? online : new Set());
    if (!this.#on) return;
    this.#reserved = this.#reservedCpus(online);
    if (!loaded) await this.#state.reset(online);
    this.#count();
    const { signal } = this.#abort;
    this.#loop = (async () => {
      while (!signal.aborted) {
        await sleep(clock, config.cpuManagerReconcilePeriodMs, signal).catch(() => {});
        if (!signal.aborted) await this.#reconcile();
      }
    })();
  }
  async stop(): Promise<void> {
    this.#abort.abort(new Error('the kubelet is stopping'));
    await Promise.all([this.#loop, this.#reconciling]);
  }

  /** Gives the containers of an admitted Pod their CPUs. Rejects when there are not enough. */
  async allocate(pod: Pod): Promise<void> {
    if (!this.#on) return;
    await this.releaseEnded();
    let reusable: ReadonlySet<number> = new Set();
    try {
      for (const c of pod.spec.initContainers ?? []) {
        const cpus = await this.#allocateContainer(pod, c, reusable);
        reusable = isRestartableInit(c) ? reusable.difference(cpus) : reusable.union(cpus);
      }
      for (const c of pod.spec.containers) reusable = reusable.difference(await this.#allocateContainer(pod, c, reusable));
    } catch (err) {
      this.#o.metrics.cpuPinningErrors.inc();
      throw err;
    }
    if (this.#state.has(uidOf(pod))) this.#changed();
  }
  /** The CPUs that the container is to run on; undefined without a policy. */
  cpusOf(uid: string, container: string): { readonly cpus: string; readonly exclusive: boolean } | undefined {
    if (!this.#on) return undefined;
    const own = this.#state.of(uid, container);
    return { cpus: formatCpuSet(own ?? this.#state.shared), exclusive: own !== undefined };
  }
  exclusiveOf(uid: string, container: string): ReadonlySet<number> {
    return this.#state.of(uid, container) ?? new Set();
  }
  /** Containers of the Pod have CPUs of their own: a quota would only get in their way. */
  hasExclusive(uid: string): boolean {
    return this.#state.has(uid);
  }
  /** Numbers of the machine's cores and sockets. */
  cores(): { readonly physical: number; readonly sockets: number } {
    const all = [...this.#topology.values()];
    return { physical: new Set(all.map((c) => c.core)).size, sockets: new Set(all.map((c) => c.socket)).size };
  }
  /** CPUs that may be given to containers alone, whether they are now or not. */
  allocatable(): ReadonlySet<number> {
    return new Set(this.#topology.keys()).difference(this.#reserved);
  }
  async releaseEnded(): Promise<void> {
    for (const uid of this.#state.uids()) if (this.#o.isOver(uid)) await this.release(uid);
  }
  async release(uid: string): Promise<void> {
    if (await this.#state.release(uid)) this.#changed();
  }

  #reservedCpus(online: ReadonlySet<number>): ReadonlySet<number> {
    const { config } = this.#o;
    if (config.reservedSystemCPUs !== '') {
      const named = parseCpuSet(config.reservedSystemCPUs);
      if (!named.isSubsetOf(online)) throw new Error(`[cpumanager] reservedSystemCPUs "${config.reservedSystemCPUs}" are not among the CPUs of the machine "${formatCpuSet(online)}"`);
      return named;
    }
    return takeCpus(this.#topology, online, Math.ceil(Number(parseQuantity(reservedResources(config)['cpu'] ?? '0').milliValue()) / 1000));
  }
  async #allocateContainer(pod: Pod, container: Container, reusable: ReadonlySet<number>): Promise<ReadonlySet<number>> {
    const count = exclusiveCpus(pod, container);
    const had = this.#state.of(uidOf(pod), container.name);
    if (count === 0 || had) return had ?? new Set();
    this.#o.metrics.cpuPinningRequests.inc();
    const reused = takeCpus(this.#topology, reusable, Math.min(count, reusable.size));
    const free = this.#state.shared.difference(this.#reserved);
    const cpus = reused.union(takeCpus(this.#topology, free, count - reused.size));
    await this.#state.assign(uidOf(pod), container.name, cpus);
    log.info({ pod: `${pod.metadata.namespace}/${pod.metadata.name}`, container: container.name, cpus: formatCpuSet(cpus) }, 'CPUs given to a container alone');
    return cpus;
  }
  #changed(): void {
    this.#count();
    void this.#reconcile();
  }
  #count(): void {
    this.#o.metrics.cpuSharedPool.set(this.#state.shared.size * 1000);
    this.#o.metrics.cpuExclusive.set(this.#state.exclusive().size);
  }
  /** Moves running containers to where they belong; what fails is tried again at the next round. One round at a time. */
  #reconcile(): Promise<void> {
    this.#reconciling = this.#reconciling.then(async () => {
      const running = this.#o.running();
      for (const id of this.#applied.keys()) if (!running.some((c) => c.id === id)) this.#applied.delete(id);
      for (const { uid, name, id } of running) {
        const cpus = this.cpusOf(uid, name)?.cpus ?? '';
        if (cpus === '' || this.#applied.get(id) === cpus) continue;
        try {
          await this.#o.runtime.updateContainerResources({ containerId: id, linux: { cpusetCpus: cpus } }, { signal: this.#abort.signal, timeoutMs: UPDATE_TIMEOUT_MS });
          this.#applied.set(id, cpus);
        } catch (err) {
          if (this.#abort.signal.aborted) return;
          log.warn({ err: (err as Error).message, container: id, cpus }, 'a container could not be moved to its CPUs, trying again later');
        }
      }
    });
    return this.#reconciling;
  }
}
