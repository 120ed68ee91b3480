/** Whom to preempt: the fewest and least important Pods, disruption budgets kept where that is possible. */
import type { PodDisruptionBudget } from '#api/gen/policy-v1.ts';
import { nameOf, namespaceOf } from '#api/object.ts';
import type { CycleState } from '../framework/cycle-state.ts';
import type { FrameworkHandle } from '../framework/handle.ts';
import type { NodeInfo } from '../framework/node-info.ts';
import { matcher, type PodInfo } from '../framework/pod-info.ts';
import { unresolvable, type Status } from '../framework/status.ts';

export interface Candidate {
  readonly node: NodeInfo;
  /** The most important first; at least one. */
  readonly victims: readonly PodInfo[];
  /** How many of them a disruption budget would protect. */
  readonly violations: number;
}
const NO_VICTIMS = unresolvable('DefaultPreemption', 'No preemption victims found for incoming pod');

function startOf({ pod }: PodInfo): number {
  // One that has not started yet has run for the shortest time.
  return pod.status?.startTime ? Date.parse(pod.status.startTime) : Infinity;
}
/** Negative where `a` is more important than `b`: of higher priority, or running for longer. */
export function byImportance(a: PodInfo, b: PodInfo): number {
  return b.priority - a.priority || (startOf(a) === startOf(b) ? 0 : startOf(a) - startOf(b));
}

/** Splits Pods, in order, into those whose deletion would violate a budget and the rest. */
export function splitByBudget(pods: readonly PodInfo[], budgets: readonly PodDisruptionBudget[]): { violating: PodInfo[]; others: PodInfo[] } {
  const compiled = budgets.map((pdb) => ({ pdb, selector: matcher(pdb.spec.selector), left: pdb.status?.disruptionsAllowed ?? 0 }));
  const violating: PodInfo[] = [];
  const others: PodInfo[] = [];
  for (const info of pods) {
    let violates = false;
    for (const budget of compiled) {
      const { pdb, selector } = budget;
      if (namespaceOf(pdb) !== info.namespace || selector.nothing || selector.empty || !info.pod.metadata.labels || !selector.matches(info.pod.metadata.labels)) continue;
      // Its disruption has been counted already.
      if (pdb.status?.disruptedPods && Object.hasOwn(pdb.status.disruptedPods, nameOf(info.pod))) continue;
      if (--budget.left < 0) violates = true;
    }
    (violates ? violating : others).push(info);
  }
  return { violating, others };
}

/**
 * The Pods that must go from a node, or why that does not help. Takes all of lower priority away, and puts back, the most important
 * first and those under a budget before the others, whoever may stay. `state` is the caller's to lose.
 */
export function selectVictims(handle: Pick<FrameworkHandle, 'filter' | 'addPod' | 'removePod'>, state: CycleState, info: PodInfo, original: NodeInfo, budgets: readonly PodDisruptionBudget[]): Candidate | Status {
  const node = original.clone();
  const potential = [...node.pods.values()].filter((p) => p.priority < info.priority);
  if (potential.length === 0) return NO_VICTIMS;
  for (const victim of potential) handle.removePod(state, info, victim, node);
  const refused = handle.filter(state, info, node);
  if (refused) return refused;
  const victims: PodInfo[] = [];
  const mayStay = (pod: PodInfo): boolean => {
    handle.addPod(state, info, pod, node);
    if (!handle.filter(state, info, node)) return true;
    handle.removePod(state, info, pod, node);
    victims.push(pod);
    return false;
  };
  const { violating, others } = splitByBudget(potential.toSorted(byImportance), budgets);
  let violations = 0;
  for (const pod of violating) if (!mayStay(pod)) violations++;
  for (const pod of others) mayStay(pod);
  // None must go: the filters refuse now what they let pass before, or the other way round; try again rather than delete anyone.
  if (victims.length === 0) return NO_VICTIMS;
  return { node: original, victims: victims.toSorted(byImportance), violations };
}

/** Orders of choice, each deciding only between those that all earlier ones hold for equal; the highest wins. */
const ORDERS: readonly ((c: Candidate) => number)[] = [
  (c) => -c.violations,
  (c) => -c.victims[0]!.priority,
  // Raised, so that two victims of negative priority never look better than one.
  (c) => -c.victims.reduce((sum, v) => sum + v.priority + 2 ** 31, 0),
  (c) => -c.victims.length,
  // Of the most important victims, the longest-running one should have run for the shortest time.
  (c) => Math.min(...c.victims.filter((v) => v.priority === c.victims[0]!.priority).map(startOf)),
];

export function pickCandidate(candidates: readonly Candidate[]): Candidate | undefined {
  let left = candidates;
  for (const order of ORDERS) {
    if (left.length <= 1) break;
    const best = Math.max(...left.map(order));
    left = left.filter((c) => order(c) === best);
  }
  return left[0];
}
