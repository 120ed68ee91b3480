/** Stops containers and sandboxes: preStop, grace, SIGTERM then SIGKILL (by the runtime), and removes what is no longer needed. */
import type { Lifecycle, Pod } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { referenceTo, type EventRecorder } from '#client/events.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import { isCriError } from '#cri/error.ts';
import { ANNOTATIONS, type AnyContainer, type HookRunner, type Prober } from '../interfaces.ts';
import { containerFieldPath, findContainer, isRestartableInit } from '../pods/containers.ts';
import type { RuntimeCache, RuntimeContainer } from './runtime-cache.ts';

const log = logger('kubelet');
/** Every container gets this long after its preStop, however little of the grace period is left. */
const MIN_GRACE_SECONDS = 2;
const DEFAULT_GRACE_SECONDS = 30;

export interface KillerOptions {
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly recorder: EventRecorder;
  readonly clock: Clock;
  readonly hooks: HookRunner;
  readonly prober: Prober;
}
export interface KillReason {
  readonly message: string;
  /** Which probe demands it: its own grace period then holds. */
  readonly probe?: 'liveness' | 'startup' | undefined;
  /** Seconds that override every other grace period. */
  readonly graceOverride?: number | undefined;
}

export class Killer {
  readonly #o: KillerOptions;
  constructor(options: KillerOptions) {
    this.#o = options;
  }

  /** Stops one container and waits for its end. `pod` may be what is left of it in the runtime, when the API has it no more. */
  async killContainer(pod: Pod, run: RuntimeContainer, reason: KillReason, signal: AbortSignal): Promise<void> {
    const { recorder, runtime, clock, hooks } = this.#o;
    const container = findContainer(pod, run.name)?.container ?? remembered(run);
    let grace = graceSeconds(pod, container, run, reason);
    recorder.eventFor(referenceTo(pod, containerFieldPath(pod, run.name)), 'Normal', 'Killing', reason.message || `Stopping container ${run.name}`);
    if (container.lifecycle?.preStop && grace > 0 && run.state === 'CONTAINER_RUNNING') {
      const started = clock.monotonic();
      const failure = await hooks.run(pod, container, run.id, 'preStop', grace * 1000, signal);
      if (failure !== '') recorder.eventFor(referenceTo(pod, containerFieldPath(pod, run.name)), 'Warning', 'FailedPreStopHook', 'PreStopHook failed');
      grace -= Math.floor((clock.monotonic() - started) / 1000);
    }
    const timeout = reason.graceOverride ?? Math.max(grace, MIN_GRACE_SECONDS);
    await ignoreMissing(runtime.stopContainer({ containerId: run.id, timeout }, { signal }));
    await this.#o.cache.refreshContainer(run.id, run.sandboxId);
  }

  /**
   * Stops every container that runs, main ones first, then sidecars in the reverse of their order, then the sandboxes.
   * Resolves when nothing runs any more. Upstream's counterpart: killPodWithSyncResult.
   */
  async killPod(pod: Pod, graceOverride: number | undefined, signal: AbortSignal): Promise<void> {
    const { cache, runtime } = this.#o;
    const uid = pod.metadata.uid!;
    const running = (cache.get(uid)?.containers ?? []).filter((c) => c.state === 'CONTAINER_RUNNING');
    const sidecars = (pod.spec.initContainers ?? []).filter(isRestartableInit).map((c) => c.name);
    const kill = (run: RuntimeContainer) => this.killContainer(pod, run, { message: `Stopping container ${run.name}`, graceOverride }, signal);
    await Promise.all(running.filter((c) => !sidecars.includes(c.name)).map(kill));
    for (const name of sidecars.toReversed()) await Promise.all(running.filter((c) => c.name === name).map(kill));
    for (const sandbox of cache.get(uid)?.sandboxes ?? []) {
      await ignoreMissing(runtime.stopPodSandbox({ podSandboxId: sandbox.id }, { signal }));
      await cache.refreshSandbox(sandbox.id);
    }
  }

  /** Removes the remains of a Pod from the runtime: its ended containers (and their logs' owners) and its sandboxes. */
  async removePod(uid: string, signal: AbortSignal): Promise<void> {
    const { cache, runtime } = this.#o;
    const pod = cache.get(uid);
    for (const c of pod?.containers ?? []) {
      await ignoreMissing(runtime.removeContainer({ containerId: c.id }, { signal }));
      cache.forget(c.id);
    }
    for (const s of pod?.sandboxes ?? []) {
      await ignoreMissing(runtime.stopPodSandbox({ podSandboxId: s.id }, { signal }));
      await ignoreMissing(runtime.removePodSandbox({ podSandboxId: s.id }, { signal }));
      cache.forget(s.id);
    }
  }
  /** Removes runs of each container but the newest two (the last one is kept for `logs --previous`), and sandboxes without containers. */
  async prune(uid: string, signal: AbortSignal): Promise<void> {
    const { cache, runtime } = this.#o;
    const pod = cache.get(uid);
    const seen = new Map<string, number>();
    for (const c of pod?.containers ?? []) {
      const count = (seen.get(c.name) ?? 0) + 1;
      seen.set(c.name, count);
      if (count <= 2 || c.state !== 'CONTAINER_EXITED') continue;
      await ignoreMissing(runtime.removeContainer({ containerId: c.id }, { signal }));
      cache.forget(c.id);
    }
    for (const s of pod?.sandboxes.slice(1) ?? []) {
      if (s.state === 'SANDBOX_READY' || cache.get(uid)?.containers.some((c) => c.sandboxId === s.id)) continue;
      await ignoreMissing(runtime.removePodSandbox({ podSandboxId: s.id }, { signal }));
      cache.forget(s.id);
    }
  }
}

function graceSeconds(pod: Pod, container: Pick<AnyContainer, 'livenessProbe' | 'startupProbe'>, run: RuntimeContainer, reason: KillReason): number {
  if (reason.graceOverride !== undefined) return reason.graceOverride;
  if (pod.metadata.deletionGracePeriodSeconds !== undefined) return pod.metadata.deletionGracePeriodSeconds;
  const probe = reason.probe === 'liveness' ? container.livenessProbe : reason.probe === 'startup' ? container.startupProbe : undefined;
  const kept = run.annotations[ANNOTATIONS.podTerminationGracePeriod];
  return probe?.terminationGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? (kept === undefined ? DEFAULT_GRACE_SECONDS : Number(kept));
}
/** What a container's annotations keep of its definition, for Pods that have left the API. */
function remembered(run: RuntimeContainer): AnyContainer {
  const preStop = run.annotations[ANNOTATIONS.containerPreStop];
  try {
    return { name: run.name, ...(preStop ? { lifecycle: { preStop: JSON.parse(preStop) as NonNullable<Lifecycle['preStop']> } } : {}) };
  } catch (err) {
    log.warn({ container: run.id, err }, 'unreadable preStop annotation');
    return { name: run.name };
  }
}
async function ignoreMissing(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (err) {
    if (!isCriError(err, 'NotFound')) throw err;
  }
}
