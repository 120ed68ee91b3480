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
import type { KubeletMetrics } from '../metrics.ts';
import type { MachineTopology } from '../node/machine-topology.ts';
import { isRestartableInit } from '../pods/containers.ts';
import { NO_HINTS, type Hint, type ResourceHints } from '../topologymanager/hints.ts';
import type { NumaMask } from '../topologymanager/numa-mask.ts';
import type { HintProvider, ProviderAdmission } from '../topologymanager/topology-manager.ts';
import { formatCpuSet, parseCpuSet } from './cpu-set.ts';
import { cpuPolicyOptions } from './policy-options.ts';
import { CpuState } from './state.ts';
import { exclusiveCpus, exclusiveCpusOfPod, StaticPolicy } from './static-policy.ts';
import { CpuTopology } from './topology.ts';

const log = logger('kubelet');
const UPDATE_TIMEOUT_MS = 10_000;
const NONE: ReadonlySet<number> = new Set();

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
  running(): readonly RunningContainer[];
  isOver(uid: string): boolean;
}

export class CpuManager implements HintProvider {
  readonly #o: CpuManagerOptions;
  readonly #state: CpuState;
  readonly #abort = new AbortController();
  /** The CPUs that each running container was last given, by its ID. */
  readonly #applied = new Map<string, string>();
  #topology = new CpuTopology(new Map());
  /** Undefined: the policy `none`. */
  #policy: StaticPolicy | undefined;
  #loop: Promise<void> = Promise.resolve();
  #reconciling: Promise<void> = Promise.resolve();

  constructor(options: CpuManagerOptions) {
    this.#o = options;
    this.#state = new CpuState(join(options.config.rootDir, 'cpu_manager_state'), options.config.cpuManagerPolicy);
  }
  /** Takes up what an earlier process gave out. Rejects where that does not fit what is configured now, or the machine. */
  async start({ cpus }: Pick<MachineTopology, 'cpus'>): Promise<void> {
    const { config, clock } = this.#o;
    this.#topology = new CpuTopology(cpus);
    await this.#state.load();
    const reserved = this.#reservedCpus();
    if (config.cpuManagerPolicy !== 'static') return;
    const policy = (this.#policy = new StaticPolicy(this.#topology, cpuPolicyOptions(config.cpuManagerPolicyOptions), reserved));
    if (this.#state.shared.size === 0 && this.#state.uids().length === 0) await this.#state.reset(policy.initialShared);
    else this.#validate(policy);
    this.#initMetrics();
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

  begin(pod: Pod): ProviderAdmission {
    const policy = this.#policy;
    if (!policy) return { podHints: () => NO_HINTS, hints: () => NO_HINTS, allocate: async () => {} };
    // CPUs of init containers that will have ended: later ones may have them.
    let reusable = NONE;
    return {
      podHints: () => this.#podHints(policy, pod),
      hints: (container) => this.#hints(policy, pod, container, reusable),
      allocate: async (container, { nodes }) => {
        const cpus = await this.#allocate(policy, pod, container, reusable, nodes);
        const ends = pod.spec.initContainers?.includes(container) && !isRestartableInit(container);
        reusable = ends ? reusable.union(cpus) : reusable.difference(cpus);
      },
    };
  }
  /** The CPUs that the container is to run on; undefined without a policy. */
  cpusOf(uid: string, container: string): { readonly cpus: string; readonly exclusive: boolean } | undefined {
    if (!this.#policy) return undefined;
    const own = this.#state.of(uid, container);
    return { cpus: formatCpuSet(own ?? this.#state.shared), exclusive: own !== undefined };
  }
  exclusiveOf(uid: string, container: string): ReadonlySet<number> {
    return this.#state.of(uid, container) ?? NONE;
  }
  /** Containers of the Pod have CPUs of their own: a quota would only get in their way. */
  hasExclusive(uid: string): boolean {
    return this.#state.has(uid);
  }
  /** Numbers of the machine's cores and sockets. */
  cores(): { readonly physical: number; readonly sockets: number } {
    return { physical: this.#topology.count('core'), sockets: this.#topology.count('socket') };
  }
  /** CPUs that may be given to containers alone, whether they are now or not; without a policy there are none. */
  allocatable(): ReadonlySet<number> {
    return this.#policy ? this.#policy.available(this.#topology.all) : NONE;
  }
  async releaseEnded(): Promise<void> {
    for (const uid of this.#state.uids()) if (this.#o.isOver(uid)) await this.release(uid);
  }
  async release(uid: string): Promise<void> {
    if (await this.#state.release(uid)) this.#changed();
  }

  /** Those that are named, or how many; never none. */
  #reservedCpus(): ReadonlySet<number> | number {
    const { config } = this.#o;
    if (config.reservedSystemCPUs === '') return Math.ceil(Number(parseQuantity(reservedResources(config)['cpu'] ?? '0').milliValue()) / 1000);
    const named = parseCpuSet(config.reservedSystemCPUs);
    if (!named.isSubsetOf(this.#topology.all)) throw new Error(`reserved-cpus: ${config.reservedSystemCPUs} is not a subset of online-cpus: ${formatCpuSet(this.#topology.all)}`);
    return named;
  }
  #validate(policy: StaticPolicy): void {
    try {
      policy.validate(this.#state);
    } catch (err) {
      throw this.#state.startError(err);
    }
  }
  #hints(policy: StaticPolicy, pod: Pod, container: Container, reusable: ReadonlySet<number>): ResourceHints {
    const count = exclusiveCpus(pod, container);
    if (count === 0) return NO_HINTS;
    const had = this.#state.of(uidOf(pod), container.name);
    if (had) return cpuHints(had.size === count ? policy.hints(had, NONE, count) : []);
    return cpuHints(policy.hints(policy.available(this.#state.shared), reusable, count));
  }
  #podHints(policy: StaticPolicy, pod: Pod): ResourceHints {
    const count = exclusiveCpusOfPod(pod);
    if (count === 0) return NO_HINTS;
    let assigned = NONE;
    for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
      const had = this.#state.of(uidOf(pod), container.name);
      if (had && had.size !== exclusiveCpus(pod, container)) return cpuHints([]);
      if (had) assigned = assigned.union(had);
    }
    if (assigned.size === count) return cpuHints(policy.hints(assigned, NONE, count));
    return cpuHints(policy.hints(policy.available(this.#state.shared), assigned, count));
  }
  async #allocate(policy: StaticPolicy, pod: Pod, container: Container, reusable: ReadonlySet<number>, nodes: NumaMask | undefined): Promise<ReadonlySet<number>> {
    const count = exclusiveCpus(pod, container);
    if (count === 0) return NONE;
    const { metrics } = this.#o;
    const uid = uidOf(pod);
    const boundary = { scope: 'container', boundary: 'physical_cpu' } as const;
    metrics.cpuPinningRequests.inc();
    try {
      let cpus = this.#state.of(uid, container.name);
      if (!cpus) {
        policy.checkCores(count, this.#state.shared);
        cpus = policy.choose(count, policy.available(this.#state.shared).union(reusable), nodes);
        await this.#state.assign(uid, container.name, cpus);
        if (policy.onOneCache(cpus)) metrics.aligned.inc({ scope: 'container', boundary: 'uncore_cache' });
        log.info({ pod: `${pod.metadata.namespace}/${pod.metadata.name}`, container: container.name, cpus: formatCpuSet(cpus) }, 'CPUs given to a container alone');
        this.#changed();
      }
      if (policy.options.fullPcpusOnly) metrics.aligned.inc(boundary);
      return cpus;
    } catch (err) {
      metrics.cpuPinningErrors.inc();
      if (policy.options.fullPcpusOnly) metrics.alignedFailures.inc(boundary);
      throw err;
    }
  }
  #initMetrics(): void {
    const { aligned, alignedFailures } = this.#o.metrics;
    for (const boundary of ['physical_cpu', 'uncore_cache']) aligned.inc({ scope: 'container', boundary }, 0);
    alignedFailures.inc({ scope: 'container', boundary: 'physical_cpu' }, 0);
    this.#count();
  }
  #changed(): void {
    this.#count();
    void this.#reconcile();
  }
  #count(): void {
    const { metrics } = this.#o;
    const exclusive = this.#state.exclusive();
    metrics.cpuSharedPool.set((this.#policy?.available(this.#state.shared).size ?? 0) * 1000);
    metrics.cpuExclusive.set(exclusive.size);
    const used = this.#topology.spread('node', exclusive);
    for (const node of this.#topology.ids('node')) metrics.cpuPerNuma.set({ numa_node: String(node) }, used.get(node) ?? 0);
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
function cpuHints(hints: readonly Hint[]): ResourceHints {
  return new Map([['cpu', hints]]);
}
