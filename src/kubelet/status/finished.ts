/**
 * The last word on a Pod of which nothing runs any more. A container that left no trace has failed, for nobody knows better, and so has a Pod that
 * came to no end of its own: a Job with `podReplacementPolicy: Failed` waits for that. Source: concepts/workloads/pods/pod-lifecycle#pod-phase
 * ("all pods … transition to a terminal phase", KEP-3329); upstream's counterpart: TerminatePod.
 */
import type { ContainerStatus, Pod, PodStatus } from '#api/gen/core-v1.ts';
import { isRestartableInit } from '../pods/containers.ts';
import { isStaticPod } from '../static-pods/manifest.ts';

export const LOST = { exitCode: 137, reason: 'ContainerStatusUnknown', message: 'The container could not be located when the pod was terminated' } as const;

export function finishedStatus(pod: Pod, status: PodStatus): PodStatus {
  const { initContainerStatuses: init, containerStatuses: main, phase } = status;
  const isFinal = phase === 'Succeeded' || phase === 'Failed' || isStaticPod(pod);
  return {
    ...status,
    ...(isFinal ? {} : { phase: 'Failed' }),
    ...(init ? { initContainerStatuses: init.map((s, i) => (i < startedOf(init) ? ended(s) : s)) } : {}),
    ...(main && wasInitialised(pod, status) ? { containerStatuses: main.map(ended) } : {}),
  };
}

function ended(status: ContainerStatus): ContainerStatus {
  return status.state?.terminated ? status : { ...status, state: { terminated: LOST } };
}
/** Of the first so many init containers at least one was started; the first always counts. */
function startedOf(init: readonly ContainerStatus[]): number {
  return Math.max(1, init.findLastIndex(hasStarted) + 1);
}
function hasStarted({ state, lastState }: ContainerStatus): boolean {
  return Boolean(lastState?.terminated) || !state?.waiting;
}
/** Without a sign of that no main container was ever due: it stays waiting. */
function wasInitialised({ spec }: Pod, { initContainerStatuses = [], containerStatuses = [] }: PodStatus): boolean {
  const last = spec.initContainers?.at(-1);
  if (!last || containerStatuses.some(hasStarted)) return true;
  const { state, lastState, started } = initContainerStatuses.at(-1) ?? {};
  if (isRestartableInit(last)) return Boolean(state?.running && started);
  return [state, lastState].some((s) => s?.terminated?.exitCode === 0);
}
