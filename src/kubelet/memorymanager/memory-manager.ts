/**
 * The static memory manager policy: containers of Guaranteed Pods have their memory and huge pages on NUMA nodes that have as much left, and
 * on no others.
 *
 * ```
 *   Pod admitted ──▶ place (the topology manager's, else the best one) ──▶ taken off its nodes ──▶ cpuset.mems      Pod over ──▶ and back
 * ```
 * Upstream's counterpart: the memory manager. Source: tasks/administer-cluster/memory-manager, KEP-1769.
 */
import { join } from 'node:path';
import type { Container, Pod } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import { logger } from '#base/logger.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { isHugePages } from '#machinery/resource-names.ts';
import type { KubeletConfig } from '../config.ts';
import type { AnyContainer } from '../interfaces.ts';
import type { KubeletMetrics } from '../metrics.ts';
import type { NumaNode } from '../node/machine-topology.ts';
import { isRestartableInit, peak } from '../pods/containers.ts';
import { qosOf } from '../pods/qos.ts';
import { NO_HINTS, type Hint, type ResourceHints } from '../topologymanager/hints.ts';
import { MAX_ENUMERATED_NODES, maskOf, nodesOf, type NumaMask } from '../topologymanager/numa-mask.ts';
import type { HintProvider, ProviderAdmission } from '../topologymanager/topology-manager.ts';
import { bestHint, breaksGroups, initialState, memoryHints, release, reserve, sameState, satisfies, type MachineState, type MemoryBlock, type MemoryRequests } from './machine-state.ts';
import { reservedByNode } from './reserved-memory.ts';
import { MemoryState } from './state.ts';

const log = logger('kubelet');

export interface MemoryManagerOptions {
  readonly config: KubeletConfig;
  readonly metrics: KubeletMetrics;
  isOver(uid: string): boolean;
}

export class MemoryManager implements HintProvider {
  readonly #o: MemoryManagerOptions;
  readonly #state: MemoryState;

  constructor(options: MemoryManagerOptions) {
    this.#o = options;
    this.#state = new MemoryState(join(options.config.rootDir, 'memory_manager_state'), options.config.memoryManagerPolicy);
  }
  get #on(): boolean {
    return this.#o.config.memoryManagerPolicy === 'Static';
  }
  /** Takes up what an earlier process gave out. Rejects where that does not fit what is configured now, or the machine. `capacityBytes`: the machine's memory. */
  async start(nodes: readonly NumaNode[], capacityBytes: number): Promise<void> {
    await this.#state.load();
    if (!this.#on) return;
    if (nodes.length > MAX_ENUMERATED_NODES) throw new Error(`[memorymanager] unsupported on machines with more than ${MAX_ENUMERATED_NODES} NUMA Nodes`);
    const initial = initialState(nodes, reservedByNode(this.#o.config, nodes, capacityBytes));
    const given = this.#state.assignments();
    if (Object.keys(this.#state.machine).length === 0) {
      if (given.length > 0) throw this.#state.startError('machine state can not be empty when it has memory assignments');
      this.#state.machine = initial;
      return await this.#state.save();
    }
    let expected = initial;
    for (const { uid, container, blocks } of given) expected = this.#giveAgain(expected, uid, container, blocks);
    if (!sameState(this.#state.machine, expected)) throw this.#state.startError('the expected machine state is different from the real one');
  }

  begin(pod: Pod): ProviderAdmission {
    // Pods with resources as a whole have none of their own (that is alpha: KEP-5526).
    if (!this.#on || qosOf(pod) !== 'Guaranteed' || pod.spec.resources) return { podHints: () => NO_HINTS, hints: () => NO_HINTS, allocate: async () => {} };
    const reusable = new Reusable();
    return {
      podHints: () => this.#podHints(pod),
      hints: (container) => this.#hints(this.#state.of(uidOf(pod), container.name), requestsOf(container), reusable),
      allocate: async (container, affinity) => {
        const { metrics } = this.#o;
        metrics.memoryPinningRequests.inc();
        try {
          await this.#allocate(pod, container, affinity, reusable);
        } catch (err) {
          metrics.memoryPinningErrors.inc();
          throw err;
        }
      },
    };
  }
  /** The NUMA nodes that the container is bound to: `0,1`; undefined: any. */
  nodesFor(uid: string, container: string): string | undefined {
    const nodes = new Set((this.#state.of(uid, container) ?? []).flatMap((b) => b.numaAffinity));
    return nodes.size === 0 ? undefined : [...nodes].toSorted((a, b) => a - b).join(',');
  }
  blocksOf(uid: string, container: string): readonly MemoryBlock[] {
    return this.#state.of(uid, container) ?? [];
  }
  /** What may be given of each node, whether it is now or not. */
  allocatable(): MemoryBlock[] {
    return Object.entries(this.#state.machine).flatMap(([id, node]) => Object.entries(node.memoryMap).flatMap(([type, { allocatable }]) => (allocatable === 0 ? [] : [{ numaAffinity: [Number(id)], type, size: allocatable }])));
  }
  /** A container is about to start: init containers before it have ended for good, and what only they needed is free. */
  async starting(pod: Pod, container: AnyContainer): Promise<void> {
    const inits = pod.spec.initContainers ?? [];
    const at = inits.findIndex((c) => c.name === container.name);
    const ended = (at < 0 ? inits : inits.slice(0, at)).filter((c) => !isRestartableInit(c) && this.#state.of(uidOf(pod), c.name));
    for (const { name } of ended) this.#giveBack(uidOf(pod), name);
    if (ended.length > 0) await this.#state.save();
  }
  async releaseEnded(): Promise<void> {
    for (const uid of this.#state.uids()) if (this.#o.isOver(uid)) await this.release(uid);
  }
  async release(uid: string): Promise<void> {
    const containers = this.#state.containers(uid);
    for (const name of containers) this.#giveBack(uid, name);
    if (containers.length > 0) await this.#state.save();
  }

  #giveBack(uid: string, container: string): void {
    for (const block of this.#state.of(uid, container) ?? []) this.#state.machine = release(this.#state.machine, block);
    this.#state.delete(uid, container);
  }
  #giveAgain(state: MachineState, uid: string, container: string, blocks: readonly MemoryBlock[]): MachineState {
    try {
      return blocks.reduce(reserve, state);
    } catch (err) {
      throw this.#state.startError(`(pod: ${uid}, container: ${container}) ${(err as Error).message}`);
    }
  }
  #podHints(pod: Pod): ResourceHints {
    const all = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
    const names = new Set(pod.spec.containers.flatMap((c) => [...requestsOf(c).keys()]));
    const requests = new Map(Array.from(names, (name) => [name, peak(pod, (c) => requestsOf(c).get(name) ?? 0)]));
    return this.#hints(all.map((c) => this.#state.of(uidOf(pod), c.name)).find((blocks) => blocks !== undefined), requests, new Reusable());
  }
  /** Everything of a container is on the same nodes: every resource has the same hints. */
  #hints(had: readonly MemoryBlock[] | undefined, requests: MemoryRequests, reusable: Reusable): ResourceHints {
    if (had) {
      const fits = had.length === requests.size && had.every((b) => requests.get(b.type) === b.size);
      return fits ? new Map(had.map((b) => [b.type, [{ nodes: maskOf(b.numaAffinity), preferred: true }]])) : NO_HINTS;
    }
    const hints = memoryHints(this.#state.machine, requests, (nodes, resource) => reusable.get(nodes, resource));
    // Nowhere to be had: the allocation says so, in more words.
    return hints.length === 0 ? NO_HINTS : new Map(Array.from(requests.keys(), (name) => [name, hints]));
  }
  async #allocate(pod: Pod, container: Container, affinity: Hint, reusable: Reusable): Promise<void> {
    const uid = uidOf(pod);
    const had = this.#state.of(uid, container.name);
    const isInit = pod.spec.initContainers?.includes(container) && !isRestartableInit(container);
    if (had) return reusable.note(had, isInit ?? false);
    const requests = requestsOf(container);
    const nodes = this.#place(requests, affinity, reusable);
    const blocks = Array.from(requests, ([type, size]): MemoryBlock => ({ numaAffinity: nodesOf(nodes), type, size }));
    let { machine } = this.#state;
    for (const block of blocks) machine = reserve(machine, { ...block, size: Math.max(0, block.size - reusable.get(nodes, block.type)) });
    reusable.note(blocks, isInit ?? false);
    this.#state.machine = machine;
    this.#state.set(uid, container.name, blocks);
    this.#shrinkInits(pod, container, blocks);
    log.info({ pod: `${pod.metadata.namespace}/${pod.metadata.name}`, container: container.name, nodes: nodesOf(nodes) }, 'memory given to a container on NUMA nodes');
    await this.#state.save();
  }
  #place(requests: MemoryRequests, affinity: Hint, reusable: Reusable): NumaMask {
    const { machine } = this.#state;
    const hints = memoryHints(machine, requests, (nodes, resource) => reusable.get(nodes, resource));
    let best = affinity;
    if (best.nodes === undefined) best = this.#instead(best, hints, 'failed to get the default NUMA affinity, no NUMA nodes with enough memory is available', 'default');
    let nodes = best.nodes!;
    if (!satisfies(machine, nodes, requests)) {
      const wider = hints.filter((h) => (h.nodes! & nodes) === nodes);
      nodes = this.#instead(best, wider, 'failed to find NUMA nodes to extend the current topology hint', 'extended').nodes!;
    }
    if (breaksGroups(machine, nodes)) throw new Error('[memorymanager] preferred hint violates NUMA node allocation');
    return nodes;
  }
  /** The best of the hints for another that will not do; never one that is less preferred. */
  #instead(before: Hint, hints: readonly Hint[], none: string, what: string): Hint {
    const best = bestHint(hints);
    if (!best) throw new Error(`[memorymanager] ${none}`);
    if (!best.preferred && before.preferred) throw new Error(`[memorymanager] failed to find the ${what} preferred hint`);
    return best;
  }
  /** What a container has of init containers before it is counted once: as its own. */
  #shrinkInits(pod: Pod, container: Container, blocks: readonly MemoryBlock[]): void {
    const uid = uidOf(pod);
    const inits = pod.spec.initContainers ?? [];
    const at = inits.indexOf(container);
    for (const { type, numaAffinity, size } of blocks) {
      let left = size;
      for (const init of (at < 0 ? inits : inits.slice(0, at)).filter((c) => !isRestartableInit(c))) {
        const had = this.#state.of(uid, init.name);
        if (!had) continue;
        this.#state.set(uid, init.name, had.map((b) => {
          if (b.type !== type || maskOf(b.numaAffinity) !== maskOf(numaAffinity)) return b;
          const used = Math.min(b.size, left);
          left -= used;
          return { ...b, size: b.size - used };
        }));
      }
    }
  }
}

/** Bytes of memory and huge pages that a container asks for. */
function requestsOf(container: Container): MemoryRequests {
  const { requests, limits } = container.resources ?? {};
  const wanted = Object.entries({ ...limits, ...requests }).filter(([name]) => name === 'memory' || isHugePages(name));
  return new Map(wanted.map(([name, text]) => [name, Number(parseQuantity(text).value())] as const).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
/** What init containers of a Pod that will have ended leave to later ones, by nodes and resource. */
class Reusable {
  readonly #bytes = new Map<string, number>();

  get(nodes: NumaMask, resource: string): number {
    return this.#bytes.get(`${nodes} ${resource}`) ?? 0;
  }
  note(blocks: readonly MemoryBlock[], ends: boolean): void {
    for (const { numaAffinity, type, size } of blocks) {
      const before = this.get(maskOf(numaAffinity), type);
      this.#bytes.set(`${maskOf(numaAffinity)} ${type}`, ends ? Math.max(before, size) : Math.max(0, before - size));
    }
  }
}
