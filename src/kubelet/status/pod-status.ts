/**
 * A Pod's status as the API shows it, from its spec, what the runtime has, the probes and why containers wait: pure but for reading
 * termination messages. Source: API reference PodStatus; concepts/workloads/pods/pod-lifecycle; upstream's counterpart: generateAPIPodStatus.
 */
import type { Container, ContainerState, ContainerStatus, Pod, PodStatus, ResourceStatus } from '#api/gen/core-v1.ts';
import { rfc3339 } from '#base/clock.ts';
import { shouldRestart } from '#machinery/container-restart.ts';
import type { AnyContainer, PodEnd } from '../interfaces.ts';
import { isHostNetwork, isRestartableInit } from '../pods/containers.ts';
import { qosOf } from '../pods/qos.ts';
import type { ResizeView } from '../pods/resize.ts';
import type { RuntimeContainer, RuntimePod } from '../runtime/runtime-cache.ts';
import { podConditions } from './conditions.ts';
import { LOST } from './finished.ts';
import { isInitialised, isOver, phaseOf } from './phase.ts';
import { podLevelStatus } from './pod-resources.ts';
import { removedToRestart } from './restarting-all.ts';

export interface StatusInputs {
  readonly pod: Pod;
  readonly runtime: RuntimePod | undefined;
  /** Termination messages of ended containers, by container ID. */
  readonly messages: ReadonlyMap<string, string>;
  /** Why a container that does not run waits, by container name. */
  readonly waiting: ReadonlyMap<string, { reason: string; message: string }>;
  isReady(name: string, id: string): boolean;
  isStarted(name: string, id: string): boolean;
  /** How the devices of a container are; absent: none has any. */
  deviceHealth?(container: AnyContainer): readonly ResourceStatus[];
  readonly nodeIPs: readonly string[];
  readonly now: number;
  /** When the kubelet first saw the Pod: its startTime unless the API has one. */
  readonly firstSeen: number;
  /** The Pod is being stopped: containers that have no run left are shown as ended. */
  readonly terminating: boolean;
  /** What a resize in place has come to. */
  readonly resize?: ResizeView | undefined;
  /** The Pod was ended by the kubelet itself. */
  readonly ended?: PodEnd | undefined;
}

const time = (nanos: number): string | undefined => (nanos ? rfc3339(Math.floor(nanos / 1e6)) : undefined);

export function podStatus(inputs: StatusInputs): PodStatus {
  const { pod, runtime, ended } = inputs;
  if (ended?.rejected) return rejectedStatus(inputs, ended);
  // What ended in an earlier life of the kubelet, and of which nothing is left, stays as it was told then.
  if (isOver(pod) && !runtime && !ended) return pod.status!;
  const init = (pod.spec.initContainers ?? []).map((c) => containerStatus(inputs, c, true));
  const initialised = isInitialised(pod, init) || hasRun(pod, runtime);
  const main = pod.spec.containers.map((c) => withDeviceHealth(containerStatus(inputs, c, false), c, inputs));
  // Nobody waits for them: they are neither started nor ready.
  const ephemeral = (pod.spec.ephemeralContainers ?? []).map((c) => ({ ...containerStatus(inputs, c, false), ready: false, started: false }));
  // An end is told when it has come: no phase is final while a container runs.
  const stillRuns = (runtime?.containers ?? []).some((c) => c.state === 'CONTAINER_RUNNING');
  const phase = ended && !stillRuns ? 'Failed' : phaseOf(pod, init, main, initialised, inputs.terminating);
  const why = ended && phase === 'Failed' ? ended : isOver(pod) ? pod.status : undefined;
  const podIPs = addresses(inputs);
  return {
    phase,
    ...(why?.reason ? { reason: why.reason } : {}),
    ...(why?.message ? { message: why.message } : {}),
    ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    conditions: podConditions(inputs, phase, init, main, initialised),
    ...(inputs.nodeIPs.length ? { hostIP: inputs.nodeIPs[0], hostIPs: inputs.nodeIPs.map((ip) => ({ ip })) } : {}),
    ...(podIPs.length ? { podIP: podIPs[0], podIPs: podIPs.map((ip) => ({ ip })) } : {}),
    startTime: pod.status?.startTime ?? rfc3339(inputs.firstSeen),
    ...(init.length ? { initContainerStatuses: init } : {}),
    ...(main.length ? { containerStatuses: main } : {}),
    ...(ephemeral.length ? { ephemeralContainerStatuses: ephemeral } : {}),
    ...podLevelStatus(inputs.resize, phase),
    qosClass: pod.status?.qosClass ?? qosOf(pod),
  };
}

/** A Pod that was never let in has a phase and a reason, and nothing else. */
function rejectedStatus({ pod, firstSeen }: StatusInputs, { reason, message }: PodEnd): PodStatus {
  return {
    phase: 'Failed', reason, message,
    ...(pod.metadata.generation === undefined ? {} : { observedGeneration: pod.metadata.generation }),
    ...(pod.status?.conditions ? { conditions: pod.status.conditions } : {}),
    startTime: pod.status?.startTime ?? rfc3339(firstSeen),
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
  // What is made when the Pod is to end will not be started: it is no run.
  const runs = (runtime?.containers ?? []).filter((c) => c.name === container.name && !(inputs.terminating && c.state === 'CONTAINER_CREATED'));
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
    restartCount: last?.restartCount ?? (known?.restartCount ?? 0) + (wasLost(inputs, known) ? 1 : 0),
    image: last?.image?.image || container.image || '',
    imageID: last ? last.imageRef || last.imageId : (known?.imageID ?? ''),
    ...(last ? { containerID: `containerd://${last.id}` } : known?.containerID ? { containerID: known.containerID } : {}),
    started: running ? started : false,
    ...allocated(inputs, container, last),
    ...volumeMounts(container),
    ...(last || inputs.terminating ? {} : removedToRestart(pod, known)),
    ...(last?.user?.linux ? { user: { linux: { uid: last.user.linux.uid, gid: last.user.linux.gid, supplementalGroups: last.user.linux.supplementalGroups } } } : {}),
  };
}
function withDeviceHealth(status: ContainerStatus, container: AnyContainer, { deviceHealth }: StatusInputs): ContainerStatus {
  const health = deviceHealth?.(container) ?? [];
  return health.length === 0 ? status : { ...status, allocatedResourcesStatus: health };
}
/** The API has the container running, the runtime has nothing of it: it was removed behind the kubelet's back. */
function wasLost(inputs: StatusInputs, known: ContainerStatus | undefined): boolean {
  return Boolean(known?.state?.running) && !inputs.terminating;
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
function allocated({ resize }: StatusInputs, container: AnyContainer, run: RuntimeContainer | undefined): Pick<ContainerStatus, 'allocatedResources' | 'resources'> {
  if (!run) return {};
  const granted = resize?.allocatedOf(container.name) ?? container.resources;
  const { requests, limits } = resize?.actuatedOf(container.name) ?? granted ?? {};
  return { ...(granted?.requests ? { allocatedResources: granted.requests } : {}), resources: { ...(limits ? { limits } : {}), ...(requests ? { requests } : {}) } };
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
  if (run.state === 'CONTAINER_UNKNOWN') return { waiting: { reason: LOST.reason, message: LOST.message } };
  const message = inputs.messages.get(run.id) ?? '';
  return {
    terminated: {
      exitCode: run.exitCode,
      reason: run.reason || (run.exitCode === 0 ? 'Completed' : 'Error'),
      ...(message ? { message } : {}),
      // A container that could not be started has no such time: upstream shows the epoch.
      startedAt: time(run.startedAt) ?? rfc3339(0),
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
  return { ...LOST, ...(known.containerID ? { containerID: known.containerID } : {}) };
}
function lastStateOf(inputs: StatusInputs, known: ContainerStatus | undefined, last: RuntimeContainer | undefined, before: RuntimeContainer | undefined): ContainerState {
  if (before) return runState(inputs, before);
  if (last) return known?.restartCount === last.restartCount ? (known.lastState ?? {}) : known?.state?.terminated ? known.state : {};
  if (wasLost(inputs, known)) return { terminated: { ...lostEnd(known!), message: 'The container could not be located when the pod was deleted.  The container used to be Running' } };
  return known?.lastState ?? {};
}

function hasRun(pod: Pod, runtime: RuntimePod | undefined): boolean {
  return pod.spec.containers.some((c) => runtime?.containers.some((r) => r.name === c.name));
}
