/** A Pod's phase, from its containers' statuses. Source: concepts/workloads/pods/pod-lifecycle#pod-phase; upstream's counterpart: getPhase. */
import type { Container, ContainerStatus, Pod, PodStatus } from '#api/gen/core-v1.ts';
import { shouldRestart } from '#machinery/container-restart.ts';
import { isRestartableInit } from '../pods/containers.ts';
import { RESTARTING_ALL } from './restarting-all.ts';

export type Phase = NonNullable<PodStatus['phase']>;

/** The API has the Pod as ended: that is never taken back. */
export function isOver(pod: Pod): boolean {
  return pod.status?.phase === 'Failed' || pod.status?.phase === 'Succeeded';
}
/** Every init container has done its work, every sidecar has started. */
export function isInitialised(pod: Pod, init: readonly ContainerStatus[]): boolean {
  return (pod.spec.initContainers ?? []).every((c, i) => (isRestartableInit(c) ? init[i]!.started === true : init[i]!.state?.terminated?.exitCode === 0));
}

function startsAgain(pod: Pod, container: Container, { exitCode, reason }: { readonly exitCode: number; readonly reason?: string | undefined }): boolean {
  return reason === RESTARTING_ALL || shouldRestart(pod, container, exitCode);
}
interface InitCounts {
  pending: number;
  pendingSidecars: number;
  running: number;
  /** Ended badly and not to be started again. */
  failed: boolean;
}
function countInit(pod: Pod, init: readonly ContainerStatus[]): InitCounts {
  const out: InitCounts = { pending: 0, pendingSidecars: 0, running: 0, failed: false };
  for (const [i, c] of (pod.spec.initContainers ?? []).entries()) {
    const { state, lastState, started } = init[i]!;
    if (isRestartableInit(c)) {
      if (state?.running) out.running++;
      if (state?.running ? !started : !state?.terminated && !(state?.waiting && lastState?.terminated)) out.pendingSidecars++;
      continue;
    }
    const end = state?.terminated ?? (state?.waiting ? lastState?.terminated : undefined);
    if (!end) out.pending++;
    else if (end.exitCode !== 0 && !startsAgain(pod, c, end)) out.failed = true;
  }
  return out;
}

/** `terminating`: the Pod is being stopped, nothing will be started again. */
export function phaseOf(pod: Pod, init: readonly ContainerStatus[], main: readonly ContainerStatus[], initialised: boolean, terminating: boolean): Phase {
  if (isOver(pod)) return pod.status!.phase as Phase;
  const counts = countInit(pod, init);
  let { running } = counts;
  if (counts.failed && !initialised) return 'Failed';
  if (!initialised && (counts.pending > 0 || counts.pendingSidecars > 0)) return 'Pending';
  const ends: number[] = [];
  let restarts = false;
  for (const [i, c] of pod.spec.containers.entries()) {
    const { state, lastState } = main[i]!;
    const end = state?.terminated ?? (state?.waiting ? lastState?.terminated : undefined);
    if (state?.running) running++;
    else if (!end) return 'Pending';
    else {
      ends.push(end.exitCode);
      restarts ||= startsAgain(pod, c, end);
    }
  }
  if (running > 0) return 'Running';
  if (restarts && !terminating) return 'Running';
  return ends.every((code) => code === 0) ? 'Succeeded' : 'Failed';
}
