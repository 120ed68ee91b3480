/**
 * A Pod's status as the API shows it, from its spec, what the runtime has, the probes and why containers wait: pure but for reading
 * termination messages. Source: API reference PodStatus; concepts/workloads/pods/pod-lifecycle; upstream's counterpart: generateAPIPodStatus.
 */
import type { Container, ContainerState, ContainerStatus, Pod, PodCondition, PodStatus } from '#api/gen/core-v1.ts';
import { rfc3339 } from '#base/clock.ts';
import type { AnyContainer } from '../interfaces.ts';
import { isHostNetwork, isRestartableInit, shouldRestart } from '../pods/containers.ts';
import { qosOf } from '../pods/qos.ts';
import type { RuntimeContainer, RuntimePod } from '../runtime/runtime-cache.ts';

export interface StatusInputs {
  readonly pod: Pod;
  readonly runtime: RuntimePod | undefined;
  /** Termination messages of ended containers, by container ID. */
  readonly messages: ReadonlyMap<string, string>;
  /** Why a container that does not run waits, by container name. */
  readonly waiting: ReadonlyMap<string, { reason: string; message: string }>;
  isReady(name: string, id: string): boolean;
  isStarted(name: string, id: string): boolean;
  readonly nodeIPs: readonly string[];
  readonly now: number;
  /** When the kubelet first saw the Pod: its startTime unless the API has one. */
  readonly firstSeen: number;
  /** The Pod is being stopped: containers that have no run left are shown as ended. */
  readonly terminating: boolean;
  /** The Pod was ended by the kubelet itself: rejected, evicted, past its deadline. */
  readonly ended?: { readonly reason: string; readonly message: string; readonly condition?: PodCondition | undefined } | undefined;
}

type Phase = NonNullable<PodStatus['phase']>;

const time = (nanos: number): string | undefined => (nanos ? rfc3339(Math.floor(nanos / 1e6)) : undefined);

export function podStatus(inputs: StatusInputs): PodStatus {
  const { pod, runtime } = inputs;
  const init = (pod.spec.initContainers ?? []).map((c) => containerStatus(inputs, c, true));
  const initialised = isInitialised(pod, init) || hasRun(pod, runtime);
  const main = pod.spec.containers.map((c) => containerStatus(inputs, c, false));
  const ephemeral = (pod.spec.ephemeralContainers ?? []).map((c) => containerStatus(inputs, c, false));
  const phase = inputs.ended ? 'Failed' : phaseOf(pod, init, main, initialised, inputs.terminating);
  const podIPs = addresses(inputs);
  return {
    phase,
    ...(inputs.ended ? { reason: inputs.ended.reason, message: inputs.ended.message } : {}),
    ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    conditions: conditions(inputs, phase, init, main, initialised),
    ...(inputs.nodeIPs.length ? { hostIP: inputs.nodeIPs[0], hostIPs: inputs.nodeIPs.map((ip) => ({ ip })) } : {}),
    ...(podIPs.length ? { podIP: podIPs[0], podIPs: podIPs.map((ip) => ({ ip })) } : {}),
    startTime: pod.status?.startTime ?? rfc3339(inputs.firstSeen),
    ...(init.length ? { initContainerStatuses: init } : {}),
    ...(main.length ? { containerStatuses: main } : {}),
    ...(ephemeral.length ? { ephemeralContainerStatuses: ephemeral } : {}),
    qosClass: pod.status?.qosClass ?? qosOf(pod),
  };
}

function addresses({ pod, runtime, nodeIPs }: StatusInputs): readonly string[] {
  const [sandbox] = runtime?.sandboxes ?? [];
  if (isHostNetwork(pod)) return sandbox ? nodeIPs : [];
  const network = sandbox?.network;
  const current = network?.ip ? [network.ip, ...network.additionalIps.map((a) => a.ip)] : [];
  // An ended Pod keeps the address it had, for those who look at it afterwards.
  return current.length ? current : (pod.status?.podIPs ?? []).map((p) => p.ip);
}

/* -------------------------------------------------------------- containers */

function containerStatus(inputs: StatusInputs, container: AnyContainer, isInit: boolean): ContainerStatus {
  const { pod, runtime } = inputs;
  const runs = (runtime?.containers ?? []).filter((c) => c.name === container.name);
  const [last, before] = runs;
  const known = knownStatus(pod, container.name);
  const why = inputs.waiting.get(container.name);
  const running = last?.state === 'CONTAINER_RUNNING';
  let state = last ? runState(inputs, last) : stateWithoutRun(inputs, known);
  let lastState = lastStateOf(inputs, known, last, before);
  // An ended container that waits for its next run shows that, and its end as the last state.
  if (!running && why && !inputs.terminating && (!last || last.state !== 'CONTAINER_EXITED' || shouldRestart(pod, container, last.exitCode))) {
    if (state.terminated) lastState = state;
    state = { waiting: { reason: why.reason, ...(why.message ? { message: why.message } : {}) } };
  }
  const started = running && inputs.isStarted(container.name, last.id);
  const ready = isInit && !isRestartableInit(container as Container)
    ? last?.state === 'CONTAINER_EXITED' && last.exitCode === 0
    : running && inputs.isReady(container.name, last.id);
  return {
    name: container.name,
    state,
    lastState,
    ready: last ? ready : (isInit && known?.state?.terminated?.exitCode === 0) || false,
    restartCount: last?.restartCount ?? known?.restartCount ?? 0,
    image: last?.image?.userSpecifiedImage || container.image || '',
    imageID: last ? last.imageRef || last.imageId : (known?.imageID ?? ''),
    ...(last ? { containerID: `containerd://${last.id}` } : known?.containerID ? { containerID: known.containerID } : {}),
    started: running ? started : false,
    ...allocated(container, last),
    ...volumeMounts(container),
  };
}
function volumeMounts(container: AnyContainer): Pick<ContainerStatus, 'volumeMounts'> {
  const mounts = container.volumeMounts ?? [];
  if (mounts.length === 0) return {};
  return {
    volumeMounts: mounts.map(({ name, mountPath, readOnly, recursiveReadOnly }) => ({
      name, mountPath, ...(readOnly ? { readOnly, recursiveReadOnly: recursiveReadOnly === 'Enabled' ? 'Enabled' : 'Disabled' } : {}),
    })),
  };
}
/** In-place resize shows what the node has given to a container and what it runs with (KEP-1287). */
function allocated(container: AnyContainer, run: RuntimeContainer | undefined): Pick<ContainerStatus, 'allocatedResources' | 'resources'> {
  const { requests, limits } = container.resources ?? {};
  if (!run || (!requests && !limits)) return run ? { resources: {} } : {};
  return { ...(requests ? { allocatedResources: requests } : {}), resources: { ...(limits ? { limits } : {}), ...(requests ? { requests } : {}) } };
}
function knownStatus(pod: Pod, name: string): ContainerStatus | undefined {
  const { initContainerStatuses = [], containerStatuses = [], ephemeralContainerStatuses = [] } = pod.status ?? {};
  return [...initContainerStatuses, ...containerStatuses, ...ephemeralContainerStatuses].find((s) => s.name === name);
}
function runState(inputs: StatusInputs, run: RuntimeContainer): ContainerState {
  if (run.state === 'CONTAINER_RUNNING') return { running: { startedAt: time(run.startedAt) } };
  if (run.state === 'CONTAINER_CREATED') {
    const why = inputs.waiting.get(run.name);
    return { waiting: { reason: why?.reason ?? 'ContainerCreating', ...(why?.message ? { message: why.message } : {}) } };
  }
  if (run.state === 'CONTAINER_UNKNOWN') return { waiting: { reason: 'ContainerStatusUnknown', message: 'The container could not be located when the pod was terminated' } };
  const message = inputs.messages.get(run.id) ?? '';
  return {
    terminated: {
      exitCode: run.exitCode,
      reason: run.reason || (run.exitCode === 0 ? 'Completed' : 'Error'),
      ...(message ? { message } : {}),
      startedAt: time(run.startedAt),
      finishedAt: time(run.finishedAt),
      containerID: `containerd://${run.id}`,
    },
  };
}
/** A container of which the runtime has nothing: not made yet, cleaned up after its end, or lost while the kubelet was away. */
function stateWithoutRun(inputs: StatusInputs, known: ContainerStatus | undefined): ContainerState {
  // Removed after it ended: the API remembers it.
  if (known?.state?.terminated) return known.state;
  if (known && inputs.terminating) return known.state?.running ? { terminated: lostEnd(known) } : (known.state ?? {});
  return { waiting: { reason: inputs.pod.spec.initContainers?.length ? 'PodInitializing' : 'ContainerCreating' } };
}
function lostEnd(known: ContainerStatus): NonNullable<ContainerState['terminated']> {
  return {
    exitCode: 137,
    reason: 'ContainerStatusUnknown',
    message: 'The container could not be located when the pod was terminated',
    ...(known.containerID ? { containerID: known.containerID } : {}),
  };
}
function lastStateOf(inputs: StatusInputs, known: ContainerStatus | undefined, last: RuntimeContainer | undefined, before: RuntimeContainer | undefined): ContainerState {
  if (before) return runState(inputs, before);
  if (last) return known?.restartCount === last.restartCount ? (known.lastState ?? {}) : known?.state?.terminated ? known.state : {};
  return known?.state?.running && !inputs.terminating ? { terminated: lostEnd(known) } : (known?.lastState ?? {});
}

/* -------------------------------------------------------------- phase and conditions */

function hasRun(pod: Pod, runtime: RuntimePod | undefined): boolean {
  return pod.spec.containers.some((c) => runtime?.containers.some((r) => r.name === c.name));
}
function isInitialised(pod: Pod, init: readonly ContainerStatus[]): boolean {
  return (pod.spec.initContainers ?? []).every((c, i) => (isRestartableInit(c) ? init[i]!.started === true : init[i]!.state?.terminated?.exitCode === 0));
}

function phaseOf(pod: Pod, init: readonly ContainerStatus[], main: readonly ContainerStatus[], initialised: boolean, terminating: boolean): Phase {
  const before = pod.status?.phase;
  if (before === 'Failed' || before === 'Succeeded') return before;
  const failedInit = (pod.spec.initContainers ?? []).some((c, i) => {
    const end = init[i]!.state?.terminated;
    return !isRestartableInit(c) && end && end.exitCode !== 0 && !shouldRestart(pod, c, end.exitCode);
  });
  if (failedInit) return 'Failed';
  if (!initialised) return 'Pending';
  const ends = main.map((s) => s.state?.terminated);
  if (main.some((s) => s.state?.running)) return 'Running';
  const again = pod.spec.containers.some((c, i) => ends[i] && shouldRestart(pod, c, ends[i]!.exitCode));
  if (ends.every((e) => e !== undefined)) {
    if ((again && !terminating) || init.some((s) => s.state?.running)) return 'Running';
    return ends.every((e) => e!.exitCode === 0) ? 'Succeeded' : 'Failed';
  }
  // A container that has ended and waits for its back-off: the Pod has been running.
  return main.some((s) => s.state?.waiting && s.lastState?.terminated) || ends.some((e) => e) ? 'Running' : 'Pending';
}

function conditions(inputs: StatusInputs, phase: string, init: readonly ContainerStatus[], main: readonly ContainerStatus[], initialised: boolean): PodCondition[] {
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
  const initializedStatus = initialised || (ended && phase === 'Succeeded')
    ? { status: 'True', ...(phase === 'Succeeded' ? { reason: 'PodCompleted' } : {}) }
    : { status: 'False', reason: 'ContainersNotInitialized', message: `containers with incomplete status: [${pendingInit.join(' ')}]` };
  const wanted: Omit<PodCondition, 'lastTransitionTime'>[] = [
    { type: 'PodReadyToStartContainers', status: sandboxReady ? 'True' : 'False' },
    { type: 'Initialized', ...initializedStatus },
    { type: 'Ready', ...ready },
    { type: 'ContainersReady', ...containersReady },
    { type: 'PodScheduled', status: 'True' },
    ...(inputs.ended?.condition ? [inputs.ended.condition] : []),
  ];
  return wanted.map((w) => withTransition(inputs, w));
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
