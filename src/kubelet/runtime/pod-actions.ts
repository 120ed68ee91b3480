/**
 * What one sync of a Pod has to do, decided from what the Pod says and what the runtime has: a pure function.
 * Upstream's counterpart: kuberuntime's computePodActions.
 */
import type { Container, Pod } from '#api/gen/core-v1.ts';
import { restartPolicyOf, restartsAll, shouldRestart } from '#machinery/container-restart.ts';
import { containerHash, isHostNetwork, isRestartableInit } from '../pods/containers.ts';
import type { AnyContainer } from '../interfaces.ts';
import type { RuntimeContainer, RuntimePod } from './runtime-cache.ts';

export interface ContainerToKill {
  readonly id: string;
  readonly name: string;
  /** For the Killing event: `Container web failed liveness probe, will be restarted`. */
  readonly message: string;
  readonly reason: 'livenessProbe' | 'startupProbe' | 'specChanged' | 'unknown' | 'noLongerNeeded';
}
export interface PodActions {
  /** Stop every container and the sandbox: the sandbox must be replaced, or nothing is left to run. */
  readonly killPod: boolean;
  readonly createSandbox: boolean;
  /** The sandbox to start containers in, when it needs no replacement. */
  readonly sandboxId: string | undefined;
  /** Attempt number of the sandbox that is to be created. */
  readonly attempt: number;
  readonly containersToKill: readonly ContainerToKill[];
  /** In order; of init containers, those that may start now. */
  readonly initToStart: readonly Container[];
  readonly containersToStart: readonly Container[];
  readonly ephemeralToStart: readonly AnyContainer[];
}
/** What the probes say of a running container. */
export interface ProbeView {
  isStarted(name: string, id: string): boolean;
  mustKill(name: string, id: string): 'liveness' | 'startup' | undefined;
}

/** The newest run of each container in the Pod's current sandbox. */
export function currentContainers(runtime: RuntimePod | undefined, sandboxId: string | undefined): ReadonlyMap<string, RuntimeContainer> {
  const out = new Map<string, RuntimeContainer>();
  for (const c of runtime?.containers ?? []) if (c.sandboxId === sandboxId && !out.has(c.name)) out.set(c.name, c);
  return out;
}

/**
 * The runs to stop and remove, in this order, when the end of a container restarts the whole Pod in its sandbox (KEP-5532); empty when none does.
 * Those that ask for it go last: as long as one is there, what is left of the work can be told.
 */
export function runsToReset(pod: Pod, runtime: RuntimePod | undefined): RuntimeContainer[] {
  const { containers = [] } = runtime ?? {};
  const asks = (c: Container, run: RuntimeContainer | undefined): boolean => run?.state === 'CONTAINER_EXITED' && restartsAll(c, run.exitCode);
  const groups = [pod.spec.containers, pod.spec.initContainers ?? []];
  if (!groups.flat().some((c) => asks(c, containers.find((r) => r.name === c.name)))) return [];
  const runs = groups.flat().flatMap((c) => containers.filter((r) => r.name === c.name).map((run) => ({ run, source: asks(c, run) })));
  return [...runs.filter((r) => !r.source), ...runs.filter((r) => r.source)].map((r) => r.run);
}

export function computePodActions(pod: Pod, runtime: RuntimePod | undefined, probes: ProbeView): PodActions {
  const sandbox = sandboxState(pod, runtime);
  if (sandbox.replace) return actionsForNewSandbox(pod, runtime, sandbox.attempt);
  const current = currentContainers(runtime, sandbox.id);
  const init = initActions(pod, current, probes);
  const main = init.done ? mainActions(pod, current, probes) : { start: [], kill: [], keep: 0 };
  // Nothing runs and nothing will: the Pod has ended, its sandbox goes.
  const over = (init.failed || (init.done && main.keep === 0 && main.start.length === 0)) && main.kill.length === 0;
  return {
    killPod: over,
    createSandbox: false,
    sandboxId: sandbox.id,
    attempt: sandbox.attempt,
    containersToKill: over ? [] : [...init.kill, ...main.kill],
    initToStart: over ? [] : init.start,
    containersToStart: main.start,
    ephemeralToStart: over ? [] : (pod.spec.ephemeralContainers ?? []).filter((c) => !current.has(c.name)),
  };
}

function sandboxState(pod: Pod, runtime: RuntimePod | undefined): { replace: boolean; id: string | undefined; attempt: number } {
  const [newest] = runtime?.sandboxes ?? [];
  if (!newest) return { replace: true, id: undefined, attempt: 0 };
  const attempt = (newest.metadata?.attempt ?? 0) + 1;
  const network = newest.linux?.namespaces?.options?.network ?? 'POD';
  const wrongNetwork = (network === 'NODE') !== isHostNetwork(pod);
  const noAddress = !isHostNetwork(pod) && !newest.network?.ip;
  const ready = runtime!.sandboxes.filter((s) => s.state === 'SANDBOX_READY').length;
  const replace = ready !== 1 || newest.state !== 'SANDBOX_READY' || wrongNetwork || noAddress;
  return { replace, id: replace ? undefined : newest.id, attempt };
}

function actionsForNewSandbox(pod: Pod, runtime: RuntimePod | undefined, attempt: number): PodActions {
  const none = { killPod: true, createSandbox: false, sandboxId: undefined, attempt, containersToKill: [], initToStart: [], containersToStart: [], ephemeralToStart: [] };
  // A Pod that has run and may not be restarted stays as it ended.
  if (attempt > 0 && pod.spec.restartPolicy === 'Never' && runtime!.containers.some((c) => pod.spec.containers.some((x) => x.name === c.name))) return none;
  const last = new Map<string, RuntimeContainer>();
  for (const c of runtime?.containers ?? []) if (!last.has(c.name)) last.set(c.name, c);
  const ended = (c: Container) => {
    const run = last.get(c.name);
    return run?.state === 'CONTAINER_EXITED' && !shouldRestart(pod, c, run.exitCode);
  };
  const toStart = pod.spec.containers.filter((c) => !ended(c));
  if (toStart.length === 0) return none;
  const init = pod.spec.initContainers ?? [];
  return { ...none, createSandbox: true, initToStart: init.slice(0, 1), containersToStart: init.length === 0 ? toStart : [] };
}

interface InitPlan {
  readonly done: boolean;
  /** An init container failed and may not be restarted. */
  readonly failed: boolean;
  readonly start: Container[];
  readonly kill: ContainerToKill[];
}

function initActions(pod: Pod, current: ReadonlyMap<string, RuntimeContainer>, probes: ProbeView): InitPlan {
  const start: Container[] = [];
  const kill: ContainerToKill[] = [];
  // Once main containers exist the init containers have done their work; their remains may be gone by now.
  const initialised = pod.spec.containers.some((c) => current.has(c.name));
  for (const c of pod.spec.initContainers ?? []) {
    const run = current.get(c.name);
    if (isRestartableInit(c)) {
      const killing = run?.state === 'CONTAINER_RUNNING' ? runningAction(pod, c, run, probes) : undefined;
      if (killing) kill.push(killing);
      else if (run?.state !== 'CONTAINER_RUNNING') start.push(c);
      const started = run?.state === 'CONTAINER_RUNNING' && !killing && probes.isStarted(c.name, run.id);
      if (!started && !initialised) return { done: false, failed: false, start, kill };
      continue;
    }
    if (initialised) continue;
    if (!run || run.state === 'CONTAINER_UNKNOWN' || run.state === 'CONTAINER_CREATED') return { done: false, failed: false, start: [...start, c], kill };
    if (run.state === 'CONTAINER_RUNNING') return { done: false, failed: false, start, kill };
    if (run.exitCode === 0) continue;
    const again = shouldRestart(pod, c, run.exitCode);
    return { done: false, failed: !again, start: again ? [...start, c] : start, kill };
  }
  return { done: true, failed: false, start, kill };
}

function mainActions(pod: Pod, current: ReadonlyMap<string, RuntimeContainer>, probes: ProbeView): { start: Container[]; kill: ContainerToKill[]; keep: number } {
  const start: Container[] = [];
  const kill: ContainerToKill[] = [];
  let keep = 0;
  for (const c of pod.spec.containers) {
    const run = current.get(c.name);
    if (run?.state === 'CONTAINER_RUNNING') {
      const killing = runningAction(pod, c, run, probes);
      if (killing) kill.push(killing);
      else keep++;
      // Its restart policy speaks of ends of its own; a changed definition runs in any case.
      if (killing?.reason === 'specChanged') start.push(c);
    } else if (!run || run.state !== 'CONTAINER_EXITED' || shouldRestart(pod, c, run.exitCode)) {
      if (run?.state === 'CONTAINER_UNKNOWN') kill.push({ id: run.id, name: c.name, reason: 'unknown', message: `Container ${c.name} is in an unknown state, try killing it before restart` });
      start.push(c);
    }
  }
  return { start, kill, keep };
}

/** Why a running container must be killed, if it must. The sync that sees it ended starts it again, by its restart policy. */
function runningAction(pod: Pod, c: Container, run: RuntimeContainer, probes: ProbeView): ContainerToKill | undefined {
  if (run.hash !== '' && run.hash !== containerHash(c)) {
    return { id: run.id, name: c.name, reason: 'specChanged', message: `Container ${c.name} definition changed, will be restarted` };
  }
  const probe = probes.mustKill(c.name, run.id);
  if (!probe) return undefined;
  const after = restartPolicyOf(pod, c) === 'Never' ? '' : ', will be restarted';
  return { id: run.id, name: c.name, reason: probe === 'liveness' ? 'livenessProbe' : 'startupProbe', message: `Container ${c.name} failed ${probe} probe${after}` };
}
