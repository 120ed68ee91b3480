/** How a Pod looks while the end of one container restarts all of them in its sandbox (KEP-5532). */
import type { ContainerStatus, Pod, PodCondition } from '#api/gen/core-v1.ts';
import { mayRestartAll } from '#machinery/container-restart.ts';
import { runsToReset } from '../runtime/pod-actions.ts';
import type { RuntimePod } from '../runtime/runtime-cache.ts';

/** Reason of a container that was removed to be started again with all others. */
export const RESTARTING_ALL = 'RestartingAllContainers';
const CONDITION = 'AllContainersRestarting';
const MESSAGE = 'The container is removed because RestartAllContainers in place';

/** Only Pods with such a rule have the condition. */
export function restartingAllCondition(pod: Pod, runtime: RuntimePod | undefined, phase: string): Omit<PodCondition, 'lastTransitionTime'>[] {
  if (!mayRestartAll(pod)) return [];
  const ended = phase === 'Succeeded' ? 'PodCompleted' : phase === 'Failed' ? 'PodFailed' : undefined;
  if (ended) return [{ type: CONDITION, status: 'False', reason: ended }];
  if (runsToReset(pod, runtime).length === 0) return [{ type: CONDITION, status: 'False' }];
  return [{ type: CONDITION, status: 'True', reason: 'RestartAllContainersStarted', message: 'container exited with restart policy rule' }];
}
/** What a container that the runtime has no longer looks like, when it was removed for that. `known` is what was told of it last. */
export function removedToRestart(pod: Pod, known: ContainerStatus | undefined): Pick<ContainerStatus, 'state' | 'lastState' | 'ready' | 'restartCount'> | undefined {
  const restarting = pod.status?.conditions?.some((c) => c.type === CONDITION && c.status === 'True');
  if (!restarting || !known || known.state?.waiting) return undefined;
  return {
    state: { waiting: { reason: RESTARTING_ALL, message: MESSAGE } },
    lastState: { terminated: { reason: RESTARTING_ALL, message: MESSAGE, exitCode: 137 } },
    ready: false,
    restartCount: known.restartCount + 1,
  };
}
