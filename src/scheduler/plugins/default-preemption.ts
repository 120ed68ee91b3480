/**
 * Makes room for a Pod by deleting Pods of lower priority. Source: the API reference, "Pod Priority and Preemption"; KEP-4832: the deletions
 * go on after the cycle, and the Pod is not tried again before they are under way.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { logger } from '#base/logger.ts';
import { PODS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { fitErrorMessage, Diagnosis } from '../framework/fit-error.ts';
import type { FrameworkHandle } from '../framework/handle.ts';
import type { NodeInfo } from '../framework/node-info.ts';
import type { NodeStatuses, Plugin } from '../framework/plugin.ts';
import type { PodInfo } from '../framework/pod-info.ts';
import { unresolvable, unschedulable } from '../framework/status.ts';
import { pickCandidate, selectVictims, type Candidate } from './preemption-victims.ts';

const NAME = 'DefaultPreemption';
const NOT_HELPFUL = unresolvable(NAME, 'Preemption is not helpful for scheduling');
const UNDER_WAY = unresolvable(NAME, 'waiting for the preemption for this pod to be finished');
const MIN_CANDIDATES_PERCENTAGE = 10;
const MIN_CANDIDATES = 100;
const DISRUPTION_TARGET = 'DisruptionTarget';
const BY_SCHEDULER = 'PreemptionByScheduler';

const log = logger('kube-scheduler');

function isPreempted(pod: Pod): boolean {
  const target = pod.status?.conditions?.find((c) => c.type === DISRUPTION_TARGET);
  return pod.metadata.deletionTimestamp !== undefined && target?.status === 'True' && target.reason === BY_SCHEDULER;
}
/** Why the Pod may not preempt; undefined where it may. */
function ineligible(info: PodInfo, statuses: NodeStatuses, nominated: NodeInfo | undefined): string | undefined {
  if (info.pod.spec.preemptionPolicy === 'Never') return 'not eligible due to preemptionPolicy=Never.';
  // Where its nominated node has become out of the question, it may look for another.
  if (!nominated || statuses.get(nominated.name)?.code === 'UnschedulableAndUnresolvable') return undefined;
  for (const other of nominated.pods.values()) {
    if (other.priority < info.priority && isPreempted(other.pod)) return 'not eligible due to a terminating pod on the nominated node.';
  }
  return undefined;
}

export function newDefaultPreemption(handle: FrameworkHandle): Plugin {
  /** Uids of Pods whose victims are being told to go. */
  const preempting = new Set<string>();

  /** Deletes the victims, their condition and event first. Rejects where one could not be deleted. */
  async function evict(info: PodInfo, { node, victims }: Candidate, signal: AbortSignal): Promise<void> {
    const pods = handle.client.of(PODS);
    const scheduler = info.pod.spec.schedulerName ?? '';
    await Promise.all(victims.filter((v) => !v.terminating).map(async ({ pod: victim }) => {
      try {
        await handle.patchStatus(victim, { condition: { type: DISRUPTION_TARGET, status: 'True', reason: BY_SCHEDULER, message: `${scheduler}: preempting to accommodate a higher priority pod` } }, signal);
        await pods.delete(namespaceOf(victim), nameOf(victim), { preconditions: { uid: uidOf(victim) } }, signal);
      } catch (err) {
        if (isReason(err, 'NotFound')) return;
        throw err;
      }
      handle.recorder.event(victim, { type: 'Normal', reason: 'Preempted', action: 'Preempting', note: `Preempted by pod ${info.uid} on node ${node.name}` });
    }));
  }
  function prepare(info: PodInfo, candidate: Candidate): void {
    const lower = handle.nominator.podsOn(candidate.node.name).filter((p) => p.priority < info.priority);
    preempting.add(info.uid);
    handle.background(async (signal) => {
      let failed = false;
      try {
        // They counted on room that is no longer theirs.
        await Promise.all(lower.map((p) => handle.patchStatus(p.pod, { nominatedNodeName: '' }, signal)));
        await evict(info, candidate, signal);
      } catch (err) {
        failed = true;
        if (!signal.aborted) log.warn({ pod: info.key, err }, 'preemption failed');
      }
      preempting.delete(info.uid);
      if (!signal.aborted) handle.reconsider(info.uid, failed);
    });
  }

  return {
    name: NAME,
    preEnqueue: (pod) => (preempting.has(uidOf(pod)) ? UNDER_WAY : undefined),
    postFilter(state, info, statuses) {
      const snapshot = handle.snapshot();
      const refuse = (why: string) => unschedulable(NAME, `preemption: ${why}`);
      const reason = ineligible(info, statuses, snapshot.get(info.pod.status?.nominatedNodeName ?? ''));
      if (reason !== undefined) return { status: refuse(reason) };

      const potential = statuses.preemptable();
      const wanted = Math.min(potential.length, Math.max(Math.trunc((potential.length * MIN_CANDIDATES_PERCENTAGE) / 100), MIN_CANDIDATES));
      const offset = Math.floor(handle.random() * potential.length);
      const budgets = potential.length > 0 ? handle.listers.podDisruptionBudgets.list() : [];
      const diagnosis = new Diagnosis(snapshot.nodes);
      diagnosis.nodes.absent = NOT_HELPFUL;
      const candidates: Candidate[] = [];
      for (let i = 0; i < potential.length && (candidates.length < wanted || candidates.every((c) => c.violations > 0)); i++) {
        const node = potential[(offset + i) % potential.length]!;
        const found = selectVictims(handle, state.clone(), info, node, budgets);
        if ('victims' in found) candidates.push(found);
        else diagnosis.nodes.set(node.name, found);
      }
      const best = pickCandidate(candidates);
      if (!best) return { status: refuse(fitErrorMessage(snapshot.nodes.length, diagnosis)), nominatedNodeName: '' };
      prepare(info, best);
      return { nominatedNodeName: best.node.name };
    },
    events: () => [],
  };
}
