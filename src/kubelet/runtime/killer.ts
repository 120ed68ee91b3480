/** Stops containers and sandboxes: preStop, grace, SIGTERM then SIGKILL (by the runtime), and removes what is no longer needed. */
import { readdir, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Lifecycle, Pod } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { referenceTo, type EventRecorder } from '#client/events.ts';
import type { Channel } from '#cri/channel.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import { isCriError } from '#cri/error.ts';
import { ANNOTATIONS, type AnyContainer, type HookRunner, type Prober } from '../interfaces.ts';
import { containerFieldPath, findContainer } from '../pods/containers.ts';
import { finishing } from './finishing.ts';
import type { RuntimeCache, RuntimeContainer } from './runtime-cache.ts';
import { isStuckTask, removeTasks } from './stuck-tasks.ts';
import { TerminationOrder } from './termination-order.ts';

const log = logger('kubelet');
/** Every container gets this long after its preStop, however little of the grace period is left. */
const MIN_GRACE_SECONDS = 2;
const DEFAULT_GRACE_SECONDS = 30;

export interface KillerOptions {
  /** With a channel where it is containerd. */
  readonly runtime: ContainerRuntime & { readonly channel?: Pick<Channel, 'unary'> };
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
  /** Sandboxes that were stopped and are still there. */
  readonly #stopped = new Set<string>();
  constructor(options: KillerOptions) {
    this.#o = options;
  }

  /** Stops one container and waits for its end. `pod` may be what is left of it in the runtime, when the API has it no more. */
  async killContainer(pod: Pod, run: RuntimeContainer, reason: KillReason, signal: AbortSignal, order?: TerminationOrder): Promise<void> {
    const { recorder, runtime, clock, hooks } = this.#o;
    const container = findContainer(pod, run.name)?.container ?? remembered(run);
    let grace = graceSeconds(pod, container, run, reason);
    const reference = referenceTo(pod, containerFieldPath(pod, run.name));
    recorder.eventFor(reference, 'Normal', 'Killing', reason.message || `Stopping container ${run.name}`);
    try {
      if (container.lifecycle?.preStop && grace > 0 && run.state === 'CONTAINER_RUNNING') {
        const started = clock.monotonic();
        const failure = await hooks.run(pod, container, run.id, 'preStop', grace * 1000, signal);
        if (failure !== '') recorder.eventFor(reference, 'Warning', 'FailedPreStopHook', 'PreStopHook failed');
        grace -= Math.floor((clock.monotonic() - started) / 1000);
      }
      if (order) grace -= await order.waitForTurn(run.name, grace, signal);
      const least = reason.graceOverride === undefined ? MIN_GRACE_SECONDS : Math.min(reason.graceOverride, MIN_GRACE_SECONDS);
      await ignoreMissing(runtime.stopContainer({ containerId: run.id, timeout: Math.max(grace, least) }, { signal }));
    } finally {
      order?.ended(run.name);
    }
    await this.#o.cache.refreshContainer(run.id, run.sandboxId);
  }

  /**
   * Stops every container that runs, main ones at once, sidecars in the reverse of their order, then the sandboxes, also where a container
   * does not end. Resolves when nothing runs any more; rejects with all that failed, which an event tells of. Upstream's counterpart: killPodWithSyncResult.
   */
  async killPod(pod: Pod, graceOverride: number | undefined, signal: AbortSignal): Promise<void> {
    const { cache, clock, recorder } = this.#o;
    const uid = pod.metadata.uid!;
    const failures: string[] = [];
    const running = (cache.get(uid)?.containers ?? []).filter((c) => c.state === 'CONTAINER_RUNNING' || c.state === 'CONTAINER_UNKNOWN');
    const order = new TerminationOrder(clock, pod, running.map((c) => c.name));
    const kills = running.map((run) => this.killContainer(pod, run, { message: `Stopping container ${run.name}`, graceOverride }, signal, order).catch((err: Error) => void failures.push(failure('KillContainer', run.name, err))));
    await Promise.all(kills);
    signal.throwIfAborted();
    for (const sandbox of cache.get(uid)?.sandboxes ?? []) await this.#stopSandbox(sandbox.id, signal).catch((err: Error) => void failures.push(failure('KillPodSandbox', uid, err)));
    signal.throwIfAborted();
    if (failures.length === 0) return;
    const message = failures.length === 1 ? failures[0]! : `[${failures.join(', ')}]`;
    recorder.eventFor(referenceTo(pod), 'Warning', 'FailedKillPod', `error killing pod: ${message}`);
    throw new Error(`error killing terminating pod: ${message}`);
  }
  /** Stops a sandbox and gives its address back; once is enough, it costs the network plugin's time. */
  async #stopSandbox(id: string, signal: AbortSignal): Promise<void> {
    if (this.#stopped.has(id)) return;
    await ignoreMissing(finishing(this.#o.clock, this.#o.runtime.stopPodSandbox({ podSandboxId: id }), signal));
    this.#stopped.add(id);
    await this.#o.cache.refreshSandbox(id);
  }

  /** Removes the remains of a Pod from the runtime: its sandboxes, and with them its ended containers. */
  async removePod(uid: string, signal: AbortSignal): Promise<void> {
    const { cache } = this.#o;
    const pod = cache.get(uid);
    for (const s of pod?.sandboxes ?? []) await this.#removeSandbox(s.id, signal);
    for (const c of cache.get(uid)?.containers ?? []) await this.#removeContainer(c.id, signal);
  }
  /** Stops and removes runs one after the other, without grace; their logs stay until the Pod goes. */
  async reset(pod: Pod, runs: readonly RuntimeContainer[], signal: AbortSignal): Promise<void> {
    for (const run of runs) {
      if (run.state !== 'CONTAINER_EXITED') await this.killContainer(pod, run, { message: 'killing', graceOverride: 0 }, signal);
      await this.#removeContainer(run.id, signal);
    }
  }
  async #removeSandbox(id: string, signal: AbortSignal): Promise<void> {
    const { cache, runtime } = this.#o;
    await this.#stopSandbox(id, signal);
    const inside = () => cache.uids().flatMap((uid) => cache.get(uid)?.containers.filter((c) => c.sandboxId === id) ?? []);
    await this.#insist(() => finishing(this.#o.clock, runtime.removePodSandbox({ podSandboxId: id }), signal), () => inside().map((c) => c.id), signal);
    this.#stopped.delete(id);
    cache.forgetSandbox(id);
  }
  async #removeContainer(id: string, signal: AbortSignal): Promise<void> {
    const { cache, runtime } = this.#o;
    await this.#insist(() => finishing(this.#o.clock, runtime.removeContainer({ containerId: id }), signal), () => [id], signal);
    cache.forget(id);
  }
  /** Removes something, freeing it first from tasks that the runtime lost sight of where these are in the way. */
  async #insist(remove: () => Promise<unknown>, containers: () => readonly string[], signal: AbortSignal): Promise<void> {
    const { channel } = this.#o.runtime;
    try {
      await ignoreMissing(remove());
    } catch (err) {
      if (!channel || !isStuckTask(err)) throw err;
      await removeTasks(channel, this.#o.clock, containers(), signal);
      await ignoreMissing(remove());
    }
  }
  /**
   * Removes ended runs of each container but the last (kept for `logs --previous`) with their logs, what was made and never
   * started, and older sandboxes that hold nothing any more. Upstream's counterpart: the container garbage collector with one dead container kept.
   */
  async prune(uid: string, signal: AbortSignal): Promise<void> {
    const { cache } = this.#o;
    const pod = cache.get(uid);
    const kept = new Set<string>();
    const newer = new Set<string>();
    for (const c of pod?.containers ?? []) {
      const isNewest = !newer.has(c.name);
      newer.add(c.name);
      if (c.state === 'CONTAINER_RUNNING' || (isNewest && c.state !== 'CONTAINER_EXITED')) continue;
      if (c.state === 'CONTAINER_EXITED' && !kept.has(c.name)) {
        kept.add(c.name);
        continue;
      }
      await this.#removeContainer(c.id, signal);
      if (c.logPath) await removeLogs(c.logPath);
    }
    for (const s of pod?.sandboxes.slice(1) ?? []) {
      if (s.state === 'SANDBOX_READY' || cache.get(uid)?.containers.some((c) => c.sandboxId === s.id)) continue;
      await this.#removeSandbox(s.id, signal);
    }
  }
}

/** A step of a Pod's end that failed, in upstream's words. */
function failure(action: 'KillContainer' | 'KillPodSandbox', target: string, err: Error): string {
  return `failed to "${action}" for ${JSON.stringify(target)} with ${action}Error: ${JSON.stringify(err.message)}`;
}
/** A container's log and what rotation made of it. */
async function removeLogs(path: string): Promise<void> {
  const name = basename(path);
  for (const f of await readdir(dirname(path)).catch(() => [])) if (f === name || f.startsWith(`${name}.`)) await rm(join(dirname(path), f), { force: true });
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
