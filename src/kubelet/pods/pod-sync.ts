/**
 * One step of a Pod's life on the node: bring it up and keep it so, stop it, clean up after it. Called by the pod worker, one
 * step of a Pod at a time. Upstream's counterpart: SyncPod, SyncTerminatingPod, SyncTerminatedPod.
 */
import { mkdir, rm } from 'node:fs/promises';
import type { Pod, PodStatus } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import { referenceTo, type EventRecorder } from '#client/events.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { Init } from '#cri/schema.ts';
import type { PodSandboxConfig } from '#cri/types.ts';
import type { KubeletConfig } from '../config.ts';
import { StartError, type AnyContainer, type CgroupManager, type Prober, type ReadyVolume, type VolumeManager } from '../interfaces.ts';
import { Slots } from '../images/image-manager.ts';
import { podResolver } from '../network/dns.ts';
import type { ContainerStarter } from '../runtime/container-starter.ts';
import type { Killer } from '../runtime/killer.ts';
import { computePodActions, type PodActions } from '../runtime/pod-actions.ts';
import type { RuntimeCache } from '../runtime/runtime-cache.ts';
import { sandboxConfig } from '../runtime/sandbox-config.ts';
import { terminationMessage } from '../runtime/termination-message.ts';
import { podStatus } from '../status/pod-status.ts';
import type { StatusManager } from '../status/status-manager.ts';
import { isHostNetwork } from './containers.ts';
import { podDir, podLogDir } from './paths.ts';

/** What the worker keeps of a Pod between its syncs. */
export interface PodRecord {
  readonly uid: string;
  /** The newest the API said, or the last before it was deleted there. */
  pod: Pod;
  readonly firstSeen: number;
  /** Why containers wait, by container name. */
  readonly waiting: Map<string, { reason: string; message: string }>;
  /** Termination messages by container ID. */
  readonly messages: Map<string, string>;
  ended?: { readonly reason: string; readonly message: string } | undefined;
  terminating: boolean;
}

export interface PodSyncOptions {
  readonly config: KubeletConfig;
  readonly clock: Clock;
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly recorder: EventRecorder;
  readonly statuses: StatusManager;
  readonly starter: ContainerStarter;
  readonly killer: Killer;
  readonly prober: Prober;
  readonly volumes: VolumeManager;
  readonly cgroups: CgroupManager;
}

export class PodSync {
  readonly #o: PodSyncOptions;
  readonly #starts: Slots;
  constructor(options: PodSyncOptions) {
    this.#o = options;
    this.#starts = new Slots(options.config.maxParallelPodStarts);
  }

  /** Generates and publishes the Pod's status from what is known now. */
  async publishStatus(record: PodRecord): Promise<PodStatus> {
    const { cache, prober, statuses, config, clock } = this.#o;
    const { uid } = record;
    const known = statuses.statusOf(record.pod);
    const pod: Pod = known ? { ...record.pod, status: known } : record.pod;
    const runtime = cache.get(uid);
    for (const c of runtime?.containers ?? []) {
      if (c.state === 'CONTAINER_EXITED' && !record.messages.has(c.id)) record.messages.set(c.id, await terminationMessage(c));
    }
    const status = podStatus({
      pod, runtime, messages: record.messages, waiting: record.waiting, nodeIPs: config.nodeIPs, now: clock.now(), firstSeen: record.firstSeen,
      terminating: record.terminating, ended: record.ended,
      isReady: (name, id) => prober.isReady(uid, name, id),
      isStarted: (name, id) => prober.isStarted(uid, name, id),
    });
    // Scheduling and other people's conditions stay as the API has them.
    const foreign = (record.pod.status?.conditions ?? []).filter((c) => !status.conditions?.some((s) => s.type === c.type));
    statuses.set(record.pod, { ...status, conditions: [...(status.conditions ?? []), ...foreign] });
    return status;
  }

  /** Brings the Pod up. Resolves with when to look again although nothing changes. */
  async sync(record: PodRecord, signal: AbortSignal): Promise<{ afterMs: number } | undefined> {
    const { cgroups, volumes, prober, cache, killer, config } = this.#o;
    const { pod, uid } = record;
    await mkdir(podDir(config, uid), { recursive: true, mode: 0o750 });
    const [cgroupParent, ready] = await Promise.all([cgroups.ensurePod(pod), volumes.setUp(pod, signal)]);
    prober.addPod(pod);
    const actions = computePodActions(pod, cache.get(uid), {
      isStarted: (name, id) => prober.isStarted(uid, name, id),
      mustKill: (name, id) => prober.mustKill(uid, name, id),
    });
    if (actions.killPod) {
      if (actions.createSandbox && actions.attempt > 0) this.#event(pod, 'Normal', 'SandboxChanged', 'Pod sandbox changed, it will be killed and re-created.');
      await killer.killPod(pod, undefined, signal);
      if (!actions.createSandbox) return undefined;
    }
    await Promise.all(actions.containersToKill.map(async (kill) => {
      const run = cache.get(uid)?.containers.find((c) => c.id === kill.id);
      const probe = kill.reason === 'livenessProbe' ? 'liveness' : kill.reason === 'startupProbe' ? 'startup' : undefined;
      if (run) await killer.killContainer(pod, run, { message: kill.message, probe }, signal);
    }));
    const toStart = actions.ephemeralToStart.length + actions.initToStart.length + actions.containersToStart.length;
    if (!actions.createSandbox && toStart === 0) return undefined;
    return await this.#starts.run(() => this.#start(record, actions, cgroupParent, ready, signal));
  }

  /** Stops everything of the Pod. */
  async terminate(record: PodRecord, graceSeconds: number | undefined, signal: AbortSignal): Promise<void> {
    const { prober, killer } = this.#o;
    prober.stopLivenessAndStartup(record.uid);
    await killer.killPod(record.pod, graceSeconds, signal);
    prober.removePod(record.uid);
    await this.publishStatus(record);
  }
  /** Takes down what a stopped Pod still holds on the host; its containers and logs stay until {@link remove}. */
  async cleanUp(record: PodRecord): Promise<void> {
    await this.#o.volumes.tearDown(record.uid);
    await this.#o.cgroups.removePod(record.uid);
    this.#o.statuses.finish(record.pod);
  }
  /** Removes the last traces of a Pod that has left the API. */
  async remove(pod: Pod, signal: AbortSignal): Promise<void> {
    const { killer, volumes, cgroups, config, statuses } = this.#o;
    const uid = pod.metadata.uid!;
    await killer.removePod(uid, signal);
    await volumes.tearDown(uid);
    await cgroups.removePod(uid);
    await rm(podDir(config, uid), { recursive: true, force: true });
    await rm(podLogDir(config, pod), { recursive: true, force: true });
    statuses.forget(uid);
  }

  async #start(record: PodRecord, actions: PodActions, cgroupParent: string, ready: ReadonlyMap<string, ReadyVolume>, signal: AbortSignal): Promise<{ afterMs: number } | undefined> {
    const { config } = this.#o;
    const { pod } = record;
    const resolver = await podResolver(pod, config, (message) => this.#event(pod, 'Warning', 'DNSConfigForming', message));
    const sandbox = sandboxConfig(pod, { config, attempt: actions.createSandbox ? actions.attempt : actions.attempt - 1, resolver, cgroupParent });
    const sandboxId = actions.sandboxId ?? (await this.#createSandbox(record, sandbox, signal));
    let retryMs: number | undefined;
    const start = async (container: AnyContainer) => {
      const later = await this.#startContainer(record, container, sandboxId, sandbox, ready, signal);
      if (later !== undefined) retryMs = Math.min(retryMs ?? later, later);
    };
    for (const c of actions.ephemeralToStart) await start(c);
    for (const c of actions.initToStart) await start(c);
    for (const c of actions.containersToStart) await start(c);
    return retryMs === undefined ? undefined : { afterMs: retryMs };
  }
  async #createSandbox(record: PodRecord, sandbox: Init<PodSandboxConfig>, signal: AbortSignal): Promise<string> {
    const { runtime, cache, config } = this.#o;
    const { pod } = record;
    try {
      await mkdir(podLogDir(config, pod), { recursive: true, mode: 0o755 });
      const { podSandboxId } = await runtime.runPodSandbox({ config: sandbox, runtimeHandler: runtimeHandler(pod) }, { signal });
      await cache.refreshSandbox(podSandboxId);
      return podSandboxId;
    } catch (err) {
      if (!signal.aborted) this.#event(pod, 'Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${(err as Error).message}`);
      throw err;
    }
  }
  /** Resolves with when to try again, or undefined when the container was started. */
  async #startContainer(record: PodRecord, container: AnyContainer, sandboxId: string, sandbox: Init<PodSandboxConfig>, ready: ReadonlyMap<string, ReadyVolume>, signal: AbortSignal): Promise<number | undefined> {
    const { starter, cache } = this.#o;
    const { pod, uid } = record;
    const current = cache.get(uid);
    const network = current?.sandboxes.find((s) => s.id === sandboxId)?.network;
    const podIPs = isHostNetwork(pod) ? this.#o.config.nodeIPs : network?.ip ? [network.ip, ...network.additionalIps.map((a) => a.ip)] : [];
    try {
      await starter.start({ pod, container, sandboxId, sandbox, podIPs, volumes: ready, current }, signal);
      record.waiting.delete(container.name);
      return undefined;
    } catch (err) {
      if (!(err instanceof StartError) || signal.aborted) throw err;
      record.waiting.set(container.name, { reason: err.reason, message: err.message });
      return err.retryAfterMs;
    }
  }
  #event(pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string): void {
    this.#o.recorder.eventFor(referenceTo(pod), type, reason, message);
  }
}

/** The runtime's handler for the Pod's RuntimeClass; '' is the runtime's default. The API server resolves the class at admission. */
function runtimeHandler(pod: Pod): string {
  return pod.spec.runtimeClassName ?? '';
}
