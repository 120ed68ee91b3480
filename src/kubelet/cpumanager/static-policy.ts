/** What the static policy decides of CPUs, without remembering any. Source: tasks/administer-cluster/cpu-management-policies. */
import type { Pod } from '#api/gen/core-v1.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import type { AnyContainer } from '../interfaces.ts';
import { peak } from '../pods/containers.ts';
import { qosOf } from '../pods/qos.ts';
import { AdmissionError } from '../topologymanager/admission-error.ts';
import type { Hint } from '../topologymanager/hints.ts';
import { countOf, hasNode, masksOver, nodesOf, type NumaMask } from '../topologymanager/numa-mask.ts';
import { formatCpuSet } from './cpu-set.ts';
import { takeDistributed } from './distributed.ts';
import { takePacked } from './packed.ts';
import type { CpuPolicyOptions } from './policy-options.ts';
import type { CpuState } from './state.ts';
import type { CpuTopology } from './topology.ts';

/** Whole CPUs that the container is to have for itself; 0 when it shares. */
export function exclusiveCpus(pod: Pod, container: AnyContainer): number {
  const text = container.resources?.requests?.['cpu'] ?? container.resources?.limits?.['cpu'];
  // Pods with resources as a whole have none of their own (that is alpha: KEP-5526).
  if (text === undefined || qosOf(pod) !== 'Guaranteed' || pod.spec.resources) return 0;
  const millis = parseQuantity(text).milliValue();
  return millis % 1000n === 0n ? Number(millis / 1000n) : 0;
}
/** The most that the Pod's containers have for themselves at any time of its life (KEP-753). */
export function exclusiveCpusOfPod(pod: Pod): number {
  return peak(pod, (container) => exclusiveCpus(pod, container));
}

export class StaticPolicy {
  readonly topology: CpuTopology;
  readonly reserved: ReadonlySet<number>;
  readonly options: CpuPolicyOptions;
  /** What shares a core with a reserved one, too. */
  readonly #reservedCores: ReadonlySet<number>;

  /** `reserved`: these CPUs, or as many as that, those that lie best. Throws an Error when there are too few. */
  constructor(topology: CpuTopology, options: CpuPolicyOptions, reserved: ReadonlySet<number> | number) {
    this.topology = topology;
    this.options = options;
    this.reserved = typeof reserved === 'number' ? this.#take(topology.all, reserved) : reserved;
    this.#reservedCores = topology.inGroups('core', [...this.reserved].map((cpu) => topology.cpus.get(cpu)!.core));
  }
  /** The shared pool of a machine where nobody has a CPU for himself. */
  get initialShared(): ReadonlySet<number> {
    return this.options.strictReservation ? this.topology.all.difference(this.reserved) : this.topology.all;
  }
  /** What there is to be had of the shared pool. */
  available(shared: ReadonlySet<number>): Set<number> {
    return shared.difference(this.reserved);
  }
  /** Throws an Error where what was given out does not fit this machine, or what is reserved on it. */
  validate(state: CpuState): void {
    const { shared } = state;
    const assignments = state.assignments();
    if (shared.size === 0) throw new Error('default cpuset cannot be empty');
    if (this.options.strictReservation) {
      const wrong = this.reserved.intersection(shared);
      if (wrong.size > 0) throw new Error(`some of strictly reserved cpus: "${formatCpuSet(wrong)}" are present in defaultCpuSet: "${formatCpuSet(shared)}"`);
    } else if (!this.reserved.isSubsetOf(shared)) throw new Error(`not all reserved cpus: "${formatCpuSet(this.reserved)}" are present in defaultCpuSet: "${formatCpuSet(shared)}"`);
    const clash = assignments.find(({ cpus }) => !cpus.isDisjointFrom(shared));
    if (clash) throw new Error(`pod: ${clash.uid}, container: ${clash.container} cpuset: "${formatCpuSet(clash.cpus)}" overlaps with default cpuset "${formatCpuSet(shared)}"`);
    const known = shared.union(state.exclusive());
    const expected = this.initialShared;
    if (known.symmetricDifference(expected).size > 0) throw new Error(`current set of available CPUs "${formatCpuSet(expected)}" doesn't match with CPUs in state "${formatCpuSet(known)}"`);
  }
  /** Throws an {@link AdmissionError} where only whole cores are given, and these CPUs are none, or there are too few. */
  checkCores(count: number, shared: ReadonlySet<number>): void {
    if (!this.options.fullPcpusOnly) return;
    const perCore = this.topology.per('core');
    if (count % perCore !== 0) throw new AdmissionError('SMTAlignmentError', `SMT Alignment Error: requested ${count} cpus not multiple cpus per core = ${perCore}`);
    const free = shared.difference(this.#reservedCores).size;
    if (count > free) throw new AdmissionError('SMTAlignmentError', `SMT Alignment Error: not enough free physical CPUs: available physical CPUs = ${free}, requested CPUs = ${count}, CPUs per core = ${perCore}`);
  }
  /**
   * Sets of NUMA nodes on which as many CPUs can be had, and all of `reusable` are. Preferred are those of as few nodes as would be
   * enough if every CPU was free.
   */
  hints(available: ReadonlySet<number>, reusable: ReadonlySet<number>, count: number): Hint[] {
    const { topology } = this;
    const ids = topology.ids('node');
    const [all, free, reused] = [topology.all, available, reusable].map((cpus) => topology.spread('node', cpus)) as [Map<number, number>, Map<number, number>, Map<number, number>];
    const within = (of: ReadonlyMap<number, number>, mask: NumaMask): number => nodesOf(mask).reduce((sum, node) => sum + (of.get(node) ?? 0), 0);
    const masks = masksOver(ids);
    const fewest = Math.min(ids.length, ...masks.filter((m) => within(all, m) >= count).map(countOf));
    const possible = masks.filter((m) => [...reused.keys()].every((node) => hasNode(m, node)) && within(free, m) + within(reused, m) >= count);
    return possible.map((nodes) => ({ nodes, preferred: countOf(nodes) === fewest }));
  }
  /** CPUs of those that are free, on the given nodes before others. Throws an Error when there are too few. */
  choose(count: number, free: ReadonlySet<number>, nodes: NumaMask | undefined): ReadonlySet<number> {
    const near = nodes === undefined ? new Set<number>() : this.topology.inGroups('node', nodesOf(nodes)).intersection(free);
    const aligned = this.#take(near, Math.min(count, near.size));
    return aligned.union(this.#take(free.difference(aligned), count - aligned.size));
  }
  /** All on one last-level cache. */
  onOneCache(cpus: ReadonlySet<number>): boolean {
    return this.topology.spread('uncore', cpus).size <= 1;
  }

  #take(available: ReadonlySet<number>, count: number): ReadonlySet<number> {
    const { distributeAcrossNuma, fullPcpusOnly, alignByUncoreCache } = this.options;
    if (distributeAcrossNuma) return takeDistributed(this.topology, available, count, fullPcpusOnly ? this.topology.per('core') : 1);
    return takePacked(this.topology, available, count, { alignByUncoreCache });
  }
}
