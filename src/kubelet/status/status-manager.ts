/**
 * Writes Pods' statuses to the API: the newest one per Pod, one write at a time per Pod, only what changed.
 * Upstream's counterpart: the kubelet's status manager.
 */
import type { ContainerStateTerminated, Pod, PodCondition, PodStatus } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { Client, ResourceClient } from '#client/client.ts';
import { PODS } from '#client/kinds.ts';
import { Reconciler } from '#client/reconciler.ts';
import { isReason } from '#machinery/status-error.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { finishedStatus } from './finished.ts';

const log = logger('kubelet');
/** Conditions that the kubelet writes; others belong to whoever wrote them. */
export const OWN_CONDITIONS: ReadonlySet<string> = new Set(['PodScheduled', 'PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'DisruptionTarget', 'PodResizePending', 'PodResizeInProgress', 'AllContainersRestarting']);
/** Written by whoever ends the Pod, the kubelet among others: of those it takes nothing away. */
const SHARED_CONDITION = 'DisruptionTarget';

export interface StatusManagerOptions {
  readonly client: Client;
  readonly clock: Clock;
  /** The Pod as the informer knows it, undefined when it has left the API. */
  podOf(uid: string): Pod | undefined;
  /** True for a Pod that runs without the API, whose mirror may come or come back. */
  isStatic?(uid: string): boolean;
  /** An end of a container is told for the first time. */
  onTerminated?(type: ContainerType, end: ContainerStateTerminated): void;
}
export type ContainerType = 'container' | 'init_container' | 'ephemeral_container';
const STATUSES = [['init_container', 'initContainerStatuses'], ['container', 'containerStatuses'], ['ephemeral_container', 'ephemeralContainerStatuses']] as const;

export class StatusManager {
  readonly #pods: ResourceClient<Pod>;
  readonly #options: StatusManagerOptions;
  readonly #wanted = new Map<string, PodStatus>();
  /** Answers of our own writes: newer than the informer until it has seen them. */
  readonly #written = new Map<string, Pod>();
  /** Pods whose last containers are gone, so that the object may go too. */
  readonly #finished = new Set<string>();
  readonly #writer: Reconciler;
  #nodeReady = true;
  #nextWrite = Promise.withResolvers<void>();

  constructor(options: StatusManagerOptions) {
    this.#options = options;
    this.#pods = options.client.of(PODS);
    this.#writer = new Reconciler({ name: 'kubelet-status', clock: options.clock, logger: log, workers: 16, baseDelayMs: 50, maxDelayMs: 10_000, reconcile: async (uid, signal) => {
      await this.#write(uid, signal);
      this.#nextWrite.resolve();
      this.#nextWrite = Promise.withResolvers();
      return undefined;
    } });
  }
  start(): void {
    this.#writer.start();
  }
  stop(): Promise<void> {
    return this.#writer.stop();
  }
  /** The status that holds for a Pod: the one last set, else the API's. */
  statusOf(pod: Pod): PodStatus | undefined {
    const uid = uidOf(pod);
    return this.#wanted.get(uid) ?? this.#written.get(uid)?.status ?? this.#options.podOf(uid)?.status ?? pod.status;
  }
  set(pod: Pod, status: PodStatus): void {
    const before = this.statusOf(pod);
    for (const [type, list] of STATUSES) {
      for (const { name, state } of status[list] ?? []) {
        if (state?.terminated && !before?.[list]?.some((c) => c.name === name && c.state?.terminated)) this.#options.onTerminated?.(type, state.terminated);
      }
    }
    const said = this.#wanted.get(uidOf(pod));
    this.#wanted.set(uidOf(pod), status);
    // The word of the control plane stands while the node is not Ready: what was said before is no news.
    if (!this.#nodeReady && said && semanticEqual(said, status)) return;
    this.#writer.queue.add(uidOf(pod));
  }
  /**
   * The API has told of the Pod anew. Where somebody else has changed what is ours to say, it is said again: while a node is not Ready the control
   * plane marks its Pods as not ready, and only their kubelet can take that back. Not before the node is Ready, or the two would go on for ever.
   */
  observed(uid: string): void {
    if (this.#nodeReady && this.#isContradicted(uid)) this.#writer.queue.add(uid);
  }
  /** The node became Ready, or is no longer. */
  nodeReady(ready: boolean): void {
    this.#nodeReady = ready;
    if (ready) for (const uid of this.#wanted.keys()) this.observed(uid);
  }
  #isContradicted(uid: string): boolean {
    const told = this.#newest(uid)?.status?.conditions ?? [];
    return (this.#wanted.get(uid)?.conditions ?? []).some((c) => OWN_CONDITIONS.has(c.type) && told.some((t) => t.type === c.type && t.status !== c.status));
  }
  /** Resolves when the API has been told all that was set so far. */
  async told(): Promise<void> {
    const isTold = (uid: string): boolean => {
      const [newest, status] = [this.#newest(uid), this.#wanted.get(uid)];
      return !newest || !status || !statusPatch(newest.status ?? {}, status);
    };
    while (![...this.#wanted.keys()].every(isTold)) await this.#nextWrite.promise;
  }
  /** Everything of the Pod has ended and is cleaned up: a Pod with a deletionTimestamp now leaves the API. */
  finish(pod: Pod): void {
    const status = this.statusOf(pod);
    if (status) this.set(pod, finishedStatus(pod, status));
    this.#finished.add(uidOf(pod));
    this.#writer.queue.add(uidOf(pod));
  }
  /** The Pod has left the API. */
  forget(uid: string): void {
    this.#wanted.delete(uid);
    this.#written.delete(uid);
    this.#finished.delete(uid);
  }

  async #write(uid: string, signal: AbortSignal): Promise<undefined> {
    const pod = this.#newest(uid);
    if (!pod) return this.#options.isStatic?.(uid) ? undefined : void this.forget(uid);
    const status = this.#wanted.get(uid);
    const patch = status && statusPatch(pod.status ?? {}, status);
    try {
      if (patch) {
        this.#written.set(uid, await this.#pods.patch(namespaceOf(pod), nameOf(pod), 'application/strategic-merge-patch+json', { metadata: { uid: pod.metadata.uid }, status: patch }, { subresource: 'status', signal }));
      }
      // The write's answer may be the first to say that the Pod is to go.
      const after = this.#newest(uid) ?? pod;
      if (this.#finished.has(uid) && after.metadata.deletionTimestamp) {
        await this.#pods.delete(namespaceOf(pod), nameOf(pod), { gracePeriodSeconds: 0, preconditions: { uid: pod.metadata.uid } }, signal);
      }
    } catch (err) {
      // Gone, or replaced by another Pod of its name: there is nothing to write any more.
      if (isReason(err, 'NotFound') || (isReason(err, 'Conflict') && (err as Error).message.includes('UID'))) return void this.forget(uid);
      throw err;
    }
    return undefined;
  }
  #newest(uid: string): Pod | undefined {
    const seen = this.#options.podOf(uid);
    const written = this.#written.get(uid);
    if (!seen || !written) return seen;
    // Another object of the name: a mirror that was made anew.
    if (seen.metadata.uid !== written.metadata.uid) this.#written.delete(uid);
    else if (BigInt(seen.metadata.resourceVersion ?? '0') < BigInt(written.metadata.resourceVersion ?? '0')) return written;
    this.#written.delete(uid);
    return seen;
  }
}

/** A strategic merge patch from one status to another; undefined when they say the same. Foreign conditions stay. */
export function statusPatch(from: PodStatus, to: PodStatus): Record<string, unknown> | undefined {
  const patch: Record<string, unknown> = {};
  for (const key of new Set([...Object.keys(from), ...Object.keys(to)]) as Set<keyof PodStatus>) {
    if (key === 'conditions' || semanticEqual(from[key], to[key])) continue;
    // What the kubelet does not set is somebody else's: nominatedNodeName, resize, resourceClaimStatuses …
    if (to[key] === undefined && !OWN_FIELDS.has(key)) continue;
    patch[key] = to[key] ?? null;
  }
  if (patch['podIPs']) patch['podIPs'] = [{ $patch: 'replace' }, ...(to.podIPs ?? [])];
  if (patch['hostIPs']) patch['hostIPs'] = [{ $patch: 'replace' }, ...(to.hostIPs ?? [])];
  const conditions = changedConditions(from.conditions ?? [], to.conditions ?? []);
  if (conditions.length) patch['conditions'] = conditions;
  return Object.keys(patch).length ? patch : undefined;
}
const OWN_FIELDS = new Set<keyof PodStatus>(['phase', 'reason', 'message', 'podIP', 'podIPs', 'containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses', 'startTime']);

function changedConditions(from: readonly PodCondition[], to: readonly PodCondition[]): Record<string, unknown>[] {
  const out: Record<string, unknown>[] = [];
  for (const c of to) {
    const before = from.find((b) => b.type === c.type);
    if (before && !OWN_CONDITIONS.has(c.type) && before.status === c.status) continue;
    if (before && semanticEqual(before, c)) continue;
    // A key that is left out of a patch stays: what is to go must be named.
    out.push({ reason: null, message: null, ...c });
  }
  for (const c of from) if (OWN_CONDITIONS.has(c.type) && c.type !== SHARED_CONDITION && !to.some((t) => t.type === c.type)) out.push({ $patch: 'delete', type: c.type });
  return out;
}
