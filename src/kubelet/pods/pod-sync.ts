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
import type { PodSandboxConfig, UserNamespace } from '#cri/types.ts';
import type { KubeletConfig } from '../config.ts';
import type { ContainerManager } from '../container-manager.ts';
import type { ClaimManager } from '../dra/claim-manager.ts';
import { StartError, type AnyContainer, type CgroupManager, type PodEnd, type Prober, type ReadyVolume, type VolumeManager } from '../interfaces.ts';
import { checkHostname, podResolver } from '../network/dns.ts';
import type { ContainerStarter } from '../runtime/container-starter.ts';
import type { Killer } from '../runtime/killer.ts';
import { computePodActions, runsToReset, type ContainerToKill, type PodActions } from '../runtime/pod-actions.ts';
import { finishing } from '../runtime/finishing.ts';
import { withEnds, type RuntimeCache, type RuntimePod } from '../runtime/runtime-cache.ts';
import { sandboxConfig } from '../runtime/sandbox-config.ts';
import type { Slots } from '../runtime/slots.ts';
import { terminationMessage } from '../runtime/termination-message.ts';
import { podStatus } from '../status/pod-status.ts';
import { OWN_CONDITIONS, type StatusManager } from '../status/status-manager.ts';
import { isHostNetwork } from './containers.ts';
import { endedIn, haveSucceeded, startsAhead, tellingEnds } from './ends-ahead.ts';
import { podDir, podLogDir } from './paths.ts';
import type { Resizer } from './resize.ts';
import { wantsUserNamespace, type UserNamespaces } from './user-namespaces.ts';

const RESIZE_RETRY_MS = 10_000;
/** Starts that are broken off end within a second; nothing tells when. */
const STARTS_RETRY_MS = 250;

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
  ended?: PodEnd | undefined;
  terminating: boolean;
  /** The sandbox that containers were last started in, and what they were told of it. */
  sandbox?: { readonly id: string; readonly config: Init<PodSandboxConfig> } | undefined;
  /** The sandbox whose network is prepared. */
  networkOf?: string | undefined;
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
  readonly resizer: Resizer;
  readonly grants: Pick<ContainerManager, 'release' | 'health'>;
  readonly claims: Pick<ClaimManager, 'prepare' | 'unprepare' | 'holds'>;
  /** Pods that are being brought up in the runtime at the same time. */
  readonly starts: Slots;
  /** No container runs before its Pod's policies hold, and whoever is told that a Pod runs can reach it: its hostPorts are open by then, as with upstream's network plugins. */
  readonly preparePodNetwork?: ((pod: Pod, podIP: string, signal: AbortSignal) => Promise<void>) | undefined;
  readonly userNamespaces: UserNamespaces;
  /** The runtime's handler for the Pod's RuntimeClass; '' is the runtime's default. */
  runtimeHandler(pod: Pod, signal: AbortSignal): Promise<string>;
}

export class PodSync {
  readonly #o: PodSyncOptions;
  constructor(options: PodSyncOptions) {
    this.#o = options;
  }

  /**
   * Generates and publishes the Pod's status from what is known now; resolves with what it comes to, though that may not be told yet.
   * With `endsAhead`, containers whose process has ended are told as ended, though the runtime's status does not say so yet.
   */
  async publishStatus(record: PodRecord, { endsAhead = false }: { endsAhead?: boolean } = {}): Promise<PodStatus> {
    const { cache, resizer } = this.#o;
    const { uid, pod: asked } = record;
    // Who reads that the node has seen a new generation also sees what came of the resize that it asks for.
    if (!record.terminating) await resizer.allocate(asked);
    const runtime = endsAhead ? withEnds(cache.get(uid)) : cache.get(uid);
    for (const c of runtime?.containers ?? []) {
      if (c.state === 'CONTAINER_EXITED' && !record.messages.has(c.id)) record.messages.set(c.id, await terminationMessage(c));
    }
    for (const id of record.messages.keys()) if (!runtime?.containers.some((c) => c.id === id)) record.messages.delete(id);
    return this.#publish(record, asked, runtime);
  }
  /** Tells what the probes say, as soon as they say it: a stop that is under way publishes nothing more before its end. */
  publishReadiness(record: PodRecord): void {
    this.#publish(record, record.pod, this.#o.cache.get(record.uid));
  }
  #publish(record: PodRecord, asked: Pod, runtime: RuntimePod | undefined): PodStatus {
    const { prober, statuses, config, clock, grants, resizer, claims } = this.#o;
    const { uid } = record;
    const known = statuses.statusOf(asked);
    const pod: Pod = known ? { ...asked, status: withForeignConditions(known, asked.status) } : asked;
    const status = podStatus({
      pod, runtime, messages: record.messages, waiting: record.waiting, nodeIPs: config.nodeIPs, now: clock.now(), firstSeen: record.firstSeen,
      terminating: record.terminating, ended: record.ended, resize: resizer.view(asked, runtime),
      isReady: (name, id) => prober.isReady(uid, name, id),
      isStarted: (name, id) => prober.isStarted(uid, name, id),
      deviceHealth: (container) => grants.health(asked, container),
    });
    statuses.set(asked, withForeignConditions(claims.holds(uid) ? heldBack(status, known) : status, asked.status));
    return status;
  }

  /** Brings the Pod up. Resolves with when to look again although nothing changes. */
  async sync(record: PodRecord, signal: AbortSignal): Promise<{ afterMs: number } | undefined> {
    const { cgroups, volumes, prober, cache, killer, config, resizer } = this.#o;
    const { uid } = record;
    if (!(await cache.settleStarts(uid))) return { afterMs: STARTS_RETRY_MS };
    const pod = await resizer.allocate(record.pod);
    const runtime = cache.get(uid);
    const ahead = startsAhead(pod, runtime, (soon) => this.#actions(pod, soon), (c, soon) => this.#o.starter.backOffLeft(pod, c, soon).leftMs);
    const prepared = Promise.all([cgroups.ensurePod(resizer.actuatedPod(pod)), mkdir(podDir(config, uid), { recursive: true, mode: 0o750 })]);
    prepared.catch(() => {});
    // Where a container ran a moment ago there is all that the next one needs: it is made sure of beside the start.
    if (!ahead) await prepared;
    // Goes on beside what follows: neither a kill nor a new sandbox needs the volumes.
    const ready = volumes.setUp(pod, signal);
    ready.catch(() => {});
    prober.addPod(pod);
    const reset = runsToReset(pod, runtime);
    if (reset.length > 0) {
      // Told before it is done: what is missing afterwards was removed, not lost.
      await this.publishStatus(record);
      await killer.reset(pod, reset, signal);
      await ready;
      return { afterMs: 0 };
    }
    const computed = ahead ?? this.#actions(pod, runtime);
    const actions = computed.killPod ? computed : withRestarts(pod, computed, await resizer.actuate(pod, withEnds(cache.get(uid)), signal));
    if (actions.killPod) {
      if (actions.createSandbox && actions.attempt > 0) this.#event(pod, 'Normal', 'SandboxChanged', 'Pod sandbox changed, it will be killed and re-created.');
      await killer.killPod(pod, undefined, signal);
      if (!actions.createSandbox) return void (await ready);
    }
    await Promise.all(actions.containersToKill.map(async (kill) => {
      const run = cache.get(uid)?.containers.find((c) => c.id === kill.id);
      const probe = kill.reason === 'livenessProbe' ? 'liveness' : kill.reason === 'startupProbe' ? 'startup' : undefined;
      if (run) await killer.killContainer(pod, run, { message: kill.message, probe }, signal);
    }));
    const toStart = actions.ephemeralToStart.length + actions.initToStart.length + actions.containersToStart.length;
    if (ahead && haveSucceeded(runtime)) await this.publishStatus(record, { endsAhead: true });
    const again = actions.createSandbox || toStart > 0 ? await tellingEnds(cache, ahead ? endedIn(runtime) : [], () => this.publishStatus(record), () => this.#start(record, pod, actions, prepared, ready, signal), signal) : undefined;
    // Whoever waits for this start need not wait for what is tidied up after it.
    if (toStart > 0 && !signal.aborted) await this.publishStatus(record);
    await prepared;
    // What was restarted for less has given it back by now.
    await cgroups.ensurePod(resizer.actuatedPod(pod));
    await ready;
    await killer.prune(uid, signal);
    return resizer.hasFailed(pod) ? { afterMs: Math.min(again?.afterMs ?? Infinity, RESIZE_RETRY_MS) } : again;
  }

  /** Stops everything of the Pod. */
  async terminate(record: PodRecord, graceSeconds: number | undefined, signal: AbortSignal): Promise<void> {
    const { prober, killer } = this.#o;
    prober.stopLivenessAndStartup(record.uid);
    await killer.killPod(record.pod, graceSeconds, signal);
    prober.removePod(record.uid);
    // Whoever reads that the Pod has ended may give its devices to another.
    await this.#o.claims.unprepare(record.uid, signal);
    await this.publishStatus(record);
  }
  /** Takes down what a stopped Pod still holds on the host; its containers and logs stay until {@link remove}. */
  async cleanUp(record: PodRecord): Promise<void> {
    await this.#o.volumes.tearDown(record.uid);
    await this.#o.cgroups.removePod(record.uid);
    await this.#o.grants.release(record.uid);
    this.finish(record);
  }
  /** Tells the API that the Pod may leave it, once it is asked to. */
  finish(record: PodRecord): void {
    this.#o.statuses.finish(record.pod);
  }
  /** Removes the last traces of a Pod that has left the API. */
  async remove(pod: Pod, signal: AbortSignal): Promise<void> {
    const { killer, volumes, cgroups, config, statuses, starter } = this.#o;
    const uid = pod.metadata.uid!;
    starter.forget(uid);
    this.#o.resizer.forget(uid);
    await killer.removePod(uid, signal);
    await volumes.tearDown(uid);
    await cgroups.removePod(uid);
    await rm(podDir(config, uid), { recursive: true, force: true });
    await rm(podLogDir(config, pod), { recursive: true, force: true });
    statuses.forget(uid);
  }

  #actions(pod: Pod, runtime: RuntimePod | undefined): PodActions {
    const { prober } = this.#o;
    const uid = pod.metadata.uid!;
    return computePodActions(pod, runtime, { isStarted: (name, id) => prober.isStarted(uid, name, id), mustKill: (name, id) => prober.mustKill(uid, name, id) });
  }
  async #start(record: PodRecord, pod: Pod, actions: PodActions, prepared: Promise<readonly [cgroupParent: string, ...unknown[]]>, volumes: Promise<ReadonlyMap<string, ReadyVolume>>, signal: AbortSignal): Promise<{ afterMs: number } | undefined> {
    const { starts } = this.#o;
    const known = record.sandbox && record.sandbox.id === actions.sandboxId ? record.sandbox.config : undefined;
    const sandbox = known ?? (await this.#sandboxConfig(record, pod, actions, (await prepared)[0], signal));
    if (actions.createSandbox) await this.#prepareClaims(pod, signal);
    const sandboxId = actions.sandboxId ?? (await starts.run(() => this.#createSandbox(record, sandbox, signal), { signal }));
    record.sandbox = { id: sandboxId, config: sandbox };
    const ready = await volumes;
    await this.#prepareNetwork(record, pod, sandboxId, signal);
    let retryMs: number | undefined;
    const start = async (container: AnyContainer) => {
      const later = await this.#startContainer(record, pod, container, sandboxId, sandbox, ready, signal);
      if (later !== undefined) retryMs = Math.min(retryMs ?? later, later);
    };
    for (const c of actions.ephemeralToStart) await start(c);
    for (const c of actions.initToStart) await start(c);
    for (const c of actions.containersToStart) await start(c);
    return retryMs === undefined ? undefined : { afterMs: retryMs };
  }
  /** Once for each sandbox, and once more in a new process: who made it may have ended before it was prepared. */
  async #prepareNetwork(record: PodRecord, pod: Pod, sandboxId: string, signal: AbortSignal): Promise<void> {
    const address = this.#o.cache.get(record.uid)?.sandboxes.find((s) => s.id === sandboxId)?.network?.ip;
    if (!address || record.networkOf === sandboxId) return;
    await this.#o.preparePodNetwork?.(pod, address, signal);
    record.networkOf = sandboxId;
  }
  async #sandboxConfig(record: PodRecord, pod: Pod, actions: PodActions, cgroupParent: string, signal: AbortSignal): Promise<Init<PodSandboxConfig>> {
    const { config } = this.#o;
    const resolver = await podResolver(pod, config, (message, reason = 'DNSConfigForming') => this.#event(pod, 'Warning', reason, message));
    const userNamespace = wantsUserNamespace(pod) ? await this.#userNamespace(pod, signal) : undefined;
    return sandboxConfig(pod, { config, attempt: actions.createSandbox ? actions.attempt : actions.attempt - 1, resolver, cgroupParent, firstSeen: record.firstSeen, userNamespace });
  }
  async #prepareClaims(pod: Pod, signal: AbortSignal): Promise<void> {
    try {
      await this.#o.claims.prepare(pod, signal);
    } catch (err) {
      if (!signal.aborted) this.#event(pod, 'Warning', 'FailedPrepareDynamicResources', `Failed to prepare dynamic resources: ${(err as Error).message}`);
      throw err;
    }
  }
  async #userNamespace(pod: Pod, signal: AbortSignal): Promise<UserNamespace> {
    try {
      await this.#o.runtimeHandler(pod, signal);
      return await this.#o.userNamespaces.of(pod);
    } catch (err) {
      if (!signal.aborted) this.#event(pod, 'Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${(err as Error).message}`);
      throw err;
    }
  }
  async #createSandbox(record: PodRecord, sandbox: Init<PodSandboxConfig>, signal: AbortSignal): Promise<string> {
    const { runtime, cache, config } = this.#o;
    const { pod } = record;
    try {
      checkHostname(pod, config.clusterDomain);
      const [runtimeHandler] = await Promise.all([this.#o.runtimeHandler(pod, signal), mkdir(podLogDir(config, pod), { recursive: true, mode: 0o755 })]);
      signal.throwIfAborted();
      const { podSandboxId } = await finishing(this.#o.clock, runtime.runPodSandbox({ config: sandbox, runtimeHandler }), signal);
      await cache.refreshSandbox(podSandboxId);
      signal.throwIfAborted();
      return podSandboxId;
    } catch (err) {
      if (!signal.aborted) this.#event(pod, 'Warning', 'FailedCreatePodSandBox', `Failed to create pod sandbox: ${(err as Error).message}`);
      throw err;
    }
  }
  /** Resolves with when to try again, or undefined when the container was started. */
  async #startContainer(record: PodRecord, pod: Pod, container: AnyContainer, sandboxId: string, sandbox: Init<PodSandboxConfig>, ready: ReadonlyMap<string, ReadyVolume>, signal: AbortSignal): Promise<number | undefined> {
    const { starter, cache, resizer } = this.#o;
    const { uid } = record;
    const current = withEnds(cache.get(uid));
    const network = current?.sandboxes.find((s) => s.id === sandboxId)?.network;
    const podIPs = isHostNetwork(pod) ? this.#o.config.nodeIPs : network?.ip ? [network.ip, ...network.additionalIps.map((a) => a.ip)] : [];
    try {
      await starter.start({ pod, container, sandboxId, sandbox, podIPs, volumes: ready, current }, signal);
      record.waiting.delete(container.name);
      await resizer.started(pod, container.name);
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

/** Containers that a resize restarts are stopped and started as those are whose definition changed. */
function withRestarts(pod: Pod, actions: PodActions, restarts: readonly ContainerToKill[]): PodActions {
  const fresh = restarts.filter((r) => !actions.containersToKill.some((k) => k.id === r.id));
  if (fresh.length === 0) return actions;
  const main = pod.spec.containers.filter((c) => fresh.some((r) => r.name === c.name));
  return { ...actions, containersToKill: [...actions.containersToKill, ...fresh], containersToStart: [...actions.containersToStart, ...main] };
}
/** A status that does not say yet that the Pod has ended: something of the node's is still to be given back. */
function heldBack(status: PodStatus, told: PodStatus | undefined): PodStatus {
  if (status.phase !== 'Succeeded' && status.phase !== 'Failed') return status;
  const { reason: _r, message: _m, ...rest } = status;
  return { ...rest, phase: told?.phase ?? 'Pending', ...(told?.reason ? { reason: told.reason } : {}), ...(told?.message ? { message: told.message } : {}) };
}
/** A status with the conditions that others wrote as the API has them now: scheduling, readiness gates. */
function withForeignConditions(status: PodStatus, api: PodStatus | undefined): PodStatus {
  const own = (status.conditions ?? []).filter((c) => OWN_CONDITIONS.has(c.type) || !api?.conditions?.some((a) => a.type === c.type));
  const foreign = (api?.conditions ?? []).filter((c) => !OWN_CONDITIONS.has(c.type) && !own.some((o) => o.type === c.type));
  return { ...status, conditions: [...own, ...foreign] };
}
