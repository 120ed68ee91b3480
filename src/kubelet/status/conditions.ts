/** A Pod's conditions as the kubelet tells them. Source: concepts/workloads/pods/pod-lifecycle#pod-conditions. */
import type { ContainerStatus, Pod, PodCondition } from '#api/gen/core-v1.ts';
import { rfc3339 } from '#base/clock.ts';
import { isHostNetwork, isRestartableInit } from '../pods/containers.ts';
import type { StatusInputs } from './pod-status.ts';
import { restartingAllCondition } from './restarting-all.ts';

export function podConditions(inputs: StatusInputs, phase: string, init: readonly ContainerStatus[], main: readonly ContainerStatus[], initialised: boolean): PodCondition[] {
  const { pod, runtime } = inputs;
  const [sandbox] = runtime?.sandboxes ?? [];
  const sandboxReady = sandbox?.state === 'SANDBOX_READY' && (isHostNetwork(pod) || Boolean(sandbox.network?.ip));
  const ended = phase === 'Succeeded' || phase === 'Failed';
  const containersReady = readyCondition(pod, phase, init, main);
  const gates = failedGates(pod);
  const ready = containersReady.status === 'True' && gates.length
    ? { status: 'False', reason: 'ReadinessGatesNotReady', message: gates.join(', ') }
    : containersReady;
  const pendingInit = (pod.spec.initContainers ?? []).filter((c, i) => !(isRestartableInit(c) ? init[i]!.started : init[i]!.ready)).map((c) => c.name);
  // A restart of all containers runs init containers anew; a Pod that was initialised stays so.
  const was = pod.status?.conditions?.some((c) => c.type === 'Initialized' && c.status === 'True');
  const initializedStatus = initialised || was || (ended && phase === 'Succeeded')
    ? { status: 'True', ...(phase === 'Succeeded' ? { reason: 'PodCompleted' } : {}) }
    : { status: 'False', reason: 'ContainersNotInitialized', message: `containers with incomplete status: [${pendingInit.join(' ')}]` };
  const wanted: Omit<PodCondition, 'lastTransitionTime'>[] = [
    { type: 'PodReadyToStartContainers', status: sandboxReady ? 'True' : 'False' },
    { type: 'Initialized', ...initializedStatus },
    { type: 'Ready', ...ready },
    { type: 'ContainersReady', ...containersReady },
    { type: 'PodScheduled', status: 'True' },
    ...restartingAllCondition(pod, runtime, phase),
    ...(inputs.resize?.conditions ?? []),
    ...(inputs.ended?.condition ? [inputs.ended.condition] : keptDisruption(pod)),
  ];
  return wanted.map((w) => withTransition(inputs, w));
}
/** Why the Pod was ended stays told, whoever asks later. */
function keptDisruption(pod: Pod): PodCondition[] {
  return (pod.status?.conditions ?? []).filter((c) => c.type === 'DisruptionTarget');
}
function withTransition(inputs: StatusInputs, wanted: Omit<PodCondition, 'lastTransitionTime'>): PodCondition {
  const before = inputs.pod.status?.conditions?.find((c) => c.type === wanted.type);
  const same = before?.status === wanted.status && before.lastTransitionTime;
  const generation = inputs.pod.metadata.generation;
  return { ...wanted, ...(generation === undefined ? {} : { observedGeneration: generation }), lastTransitionTime: same ? before.lastTransitionTime : rfc3339(inputs.now) };
}
function readyCondition(pod: Pod, phase: string, init: readonly ContainerStatus[], main: readonly ContainerStatus[]): { status: string; reason?: string; message?: string } {
  if (phase === 'Succeeded') return { status: 'False', reason: 'PodCompleted' };
  if (phase === 'Failed') return { status: 'False', reason: 'PodFailed' };
  const sidecars = (pod.spec.initContainers ?? []).flatMap((c, i) => (isRestartableInit(c) ? [init[i]!] : []));
  const unready = [...sidecars, ...main].filter((s) => !s.ready).map((s) => s.name);
  if (unready.length === 0) return { status: 'True' };
  return { status: 'False', reason: 'ContainersNotReady', message: `containers with unready status: [${unready.join(' ')}]` };
}
function failedGates(pod: Pod): string[] {
  return (pod.spec.readinessGates ?? []).flatMap(({ conditionType }) => {
    const c = pod.status?.conditions?.find((x) => x.type === conditionType);
    if (!c) return [`corresponding condition of pod readiness gate "${conditionType}" does not exist.`];
    return c.status === 'True' ? [] : [`the status of pod readiness gate "${conditionType}" is not "True", but ${c.status}`];
  });
}
