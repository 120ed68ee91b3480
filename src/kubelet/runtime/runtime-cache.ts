/**
 * What the container runtime has of each Pod: filled by one full list, kept by its events, checked by a slow relist.
 * Upstream's counterpart: PLEG and the kubelet's pod cache.
 *
 * ```
 *   events ──▶ refresh(container) ─┐
 *   relist ──▶ compare ids, states ─┼──▶ RuntimePod changed ──▶ listener(uid) ──▶ pod worker
 *   end of a process ──▶ noted ─────┤
 *   own calls ──▶ refresh ──────────┘
 * ```
 * Only sandboxes and containers with the kubelet's labels are seen: what others run on the same runtime is not there.
 */
import { rm, stat } from 'node:fs/promises';
import { logger } from '#base/logger.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import { isCriError } from '#cri/error.ts';
import type { Container, ContainerStatus, PodSandbox, PodSandboxStatus } from '#cri/types.ts';
import { ANNOTATIONS, LABELS } from '../interfaces.ts';

const log = logger('kubelet');

/** A container as the runtime knows it. Times are nanoseconds since the epoch, 0 when unset. */
export interface RuntimeContainer extends ContainerStatus {
  readonly sandboxId: string;
  readonly name: string;
  readonly restartCount: number;
  readonly hash: string;
  /** Its process has ended, though `state` does not say so yet. */
  readonly end?: ProcessEnd | undefined;
}
/** An end as the runtime's own events tell it, ahead of its status. */
export interface ProcessEnd {
  readonly exitCode: number;
  /** Nanoseconds since the epoch. */
  readonly finishedAt: number;
}
export interface RuntimePod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  /** Newest first. */
  readonly sandboxes: readonly PodSandboxStatus[];
  /** Of all sandboxes; of one name the newest run first. */
  readonly containers: readonly RuntimeContainer[];
}

interface MutablePod {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly sandboxes: Map<string, PodSandboxStatus>;
  readonly containers: Map<string, RuntimeContainer>;
}

export class RuntimeCache {
  readonly #runtime: ContainerRuntime;
  readonly #pods = new Map<string, MutablePod>();
  readonly #owner = new Map<string, string>();
  #listener: (uid: string) => void = () => {};
  readonly #stopWatchers = new Map<string, Set<() => void>>();
  /** Containers of which an earlier process asked the start, and whose start is not over. */
  readonly #starting = new Set<string>();

  constructor(runtime: ContainerRuntime) {
    this.#runtime = runtime;
  }
  /** Called with the uid of a Pod whose sandboxes or containers changed. */
  onChange(listener: (uid: string) => void): void {
    this.#listener = listener;
  }
  /** Calls back once, when a container has ended or is gone; at once when it has already. Returns the unsubscriber. */
  onContainerStopped(id: string, listener: () => void): () => void {
    if (this.#pods.get(this.#owner.get(id) ?? '')?.containers.get(id)?.state !== 'CONTAINER_RUNNING') {
      listener();
      return () => {};
    }
    const set = this.#stopWatchers.get(id) ?? new Set();
    this.#stopWatchers.set(id, set.add(listener));
    return () => void set.delete(listener);
  }
  get(uid: string): RuntimePod | undefined {
    const pod = this.#pods.get(uid);
    if (!pod) return undefined;
    return {
      uid, name: pod.name, namespace: pod.namespace,
      sandboxes: [...pod.sandboxes.values()].toSorted((a, b) => (b.metadata?.attempt ?? 0) - (a.metadata?.attempt ?? 0) || b.createdAt - a.createdAt),
      // By number, not by time: a clock that jumps back must not make an old run the newest.
      containers: [...pod.containers.values()].toSorted((a, b) => b.restartCount - a.restartCount || b.createdAt - a.createdAt),
    };
  }
  /** Pods of which anything is left in the runtime. */
  uids(): string[] {
    return [...this.#pods.keys()];
  }

  /** Lists everything, takes in what differs and tells the listener. */
  async relist(signal?: AbortSignal): Promise<void> {
    // What is created while the list is under way may be missing from it: only what was known before can be found gone.
    const before = [...this.#owner];
    const [{ items }, { containers }] = await Promise.all([this.#runtime.listPodSandbox({}, { signal }), this.#runtime.listContainers({}, { signal })]);
    const changed = new Set<string>();
    const seen = new Set<string>();
    const refreshes: Promise<unknown>[] = [];
    for (const sandbox of items.filter(isOurs)) {
      seen.add(sandbox.id);
      const known = this.#pods.get(sandbox.labels[LABELS.podUid]!)?.sandboxes.get(sandbox.id);
      if (known?.state !== sandbox.state) refreshes.push(this.#refreshSandbox(sandbox.id).then((uid) => uid && changed.add(uid)));
    }
    for (const container of containers.filter(isOurs)) {
      seen.add(container.id);
      const known = this.#pods.get(container.labels[LABELS.podUid]!)?.containers.get(container.id);
      if (known?.state !== container.state) refreshes.push(this.#refreshContainer(container.id, container.podSandboxId).then((uid) => uid && changed.add(uid)));
    }
    // One that cannot be read must not hide the others.
    const failed = (await Promise.allSettled(refreshes)).find((r) => r.status === 'rejected');
    for (const [id, uid] of before) {
      if (seen.has(id) || !this.#owner.has(id)) continue;
      this.forget(id);
      changed.add(uid);
    }
    for (const uid of changed) this.#listener(uid);
    if (failed) throw failed.reason as Error;
  }
  /** Reads one container anew, after an event or our own call. `sandboxId` is needed for one that is not known yet. */
  async refreshContainer(id: string, sandboxId?: string): Promise<void> {
    const uid = await this.#refreshContainer(id, sandboxId);
    if (uid) this.#listener(uid);
  }
  async refreshSandbox(id: string): Promise<void> {
    const uid = await this.#refreshSandbox(id);
    if (uid) this.#listener(uid);
  }
  /** A container's process has ended: what waits for that need not wait for the runtime's status. */
  processEnded(id: string, end: ProcessEnd): void {
    const pod = this.#pods.get(this.#owner.get(id) ?? '');
    const known = pod?.containers.get(id);
    if (known?.state !== 'CONTAINER_RUNNING' || known.end) return;
    pod!.containers.set(id, { ...known, end });
    this.#listener(pod!.uid);
  }
  /** Time to say so is over for the runtime: what its status still denies of an end is taken from the event. */
  settleEnd(id: string): void {
    const pod = this.#pods.get(this.#owner.get(id) ?? '');
    const known = pod?.containers.get(id);
    if (!known?.end) return;
    pod!.containers.set(id, asEnded(known));
    this.#tellStopped(id);
    this.#listener(pod!.uid);
  }
  /** True for a sandbox or container of ours that is known. */
  owns(id: string): boolean {
    return this.#owner.has(id);
  }
  isSandbox(id: string): boolean {
    return this.#pods.get(this.#owner.get(id) ?? '')?.sandboxes.has(id) ?? false;
  }
  /** A sandbox or container was removed. */
  forget(id: string): void {
    this.#tellStopped(id);
    this.#starting.delete(id);
    const uid = this.#owner.get(id);
    this.#owner.delete(id);
    const pod = this.#pods.get(uid ?? '');
    if (!pod) return;
    pod.sandboxes.delete(id);
    pod.containers.delete(id);
    if (pod.sandboxes.size === 0 && pod.containers.size === 0) this.#pods.delete(pod.uid);
  }

  async #refreshSandbox(id: string): Promise<string | undefined> {
    try {
      const { status } = await this.#runtime.podSandboxStatus({ podSandboxId: id });
      if (!status || !isOurs(status)) return undefined;
      const pod = this.#podOf(status.labels);
      pod.sandboxes.set(id, status);
      this.#owner.set(id, pod.uid);
      return pod.uid;
    } catch (err) {
      return this.#gone(id, err);
    }
  }
  async #refreshContainer(id: string, sandboxId?: string): Promise<string | undefined> {
    try {
      const { status } = await this.#runtime.containerStatus({ containerId: id });
      if (!status || !isOurs(status)) return undefined;
      if (startWasBrokenOff(status)) return await this.#discard(id, status);
      const pod = this.#podOf(status.labels);
      const known = pod.containers.get(id);
      const sandbox = sandboxId ?? known?.sandboxId ?? (await this.#sandboxOf(id));
      // An older answer must not undo a newer one: a container never goes back from EXITED.
      if (known?.state === 'CONTAINER_EXITED' && status.state !== 'CONTAINER_EXITED') return undefined;
      pod.containers.set(id, {
        ...status,
        sandboxId: sandbox,
        name: status.labels[LABELS.containerName] ?? status.metadata?.name ?? '',
        restartCount: Number(status.annotations[ANNOTATIONS.restartCount] ?? status.metadata?.attempt ?? 0),
        hash: status.annotations[ANNOTATIONS.hash] ?? '',
        ...(known?.end && status.state === 'CONTAINER_RUNNING' ? { end: known.end } : {}),
      });
      this.#owner.set(id, pod.uid);
      if (status.state === 'CONTAINER_EXITED') this.#tellStopped(id);
      return pod.uid;
    } catch (err) {
      return this.#gone(id, err);
    }
  }
  /**
   * Removes the containers that were created and never started. Only for a kubelet that starts: what an earlier process left like this
   * nobody will start, and it must not count as a run.
   */
  async discardUnstarted(signal: AbortSignal): Promise<void> {
    const unstarted = [...this.#pods.values()].flatMap((p) => [...p.containers.values()].filter((c) => c.state === 'CONTAINER_CREATED'));
    for (const c of unstarted) {
      // One whose start is just being broken off refuses.
      await this.#discard(c.id, c).catch((err: unknown) => {
        log.info({ err, container: c.id }, 'a container is being started on behalf of an earlier process');
        this.#starting.add(c.id);
      });
      signal.throwIfAborted();
    }
  }
  /**
   * Whether starts in this Pod that an earlier process asked for are over. What comes of such a one the runtime alone decides: it runs, or it is
   * broken off though its process may have begun. Until then no next run may start beside it.
   */
  async settleStarts(uid: string): Promise<boolean> {
    const pod = this.#pods.get(uid);
    if (this.#starting.size === 0 || !pod) return true;
    for (const { id } of [...pod.containers.values()].filter((c) => this.#starting.has(c.id))) {
      await this.#refreshContainer(id);
      const now = pod.containers.get(id);
      if (now?.state !== 'CONTAINER_CREATED') this.#starting.delete(id);
      else await this.#discard(id, now).catch((err: unknown) => log.debug({ err, container: id }, 'a container is still being started'));
    }
    return ![...pod.containers.keys()].some((id) => this.#starting.has(id));
  }
  /** Removes what never ran, with the log that would be counted as one of a run; the uid of its Pod, which has to be synced again. */
  async #discard(id: string, status: ContainerStatus): Promise<string> {
    await this.#runtime.removeContainer({ containerId: id });
    this.forget(id);
    const printed = status.logPath === '' ? undefined : await stat(status.logPath).catch(() => undefined);
    if (printed?.size === 0) await rm(status.logPath, { force: true });
    return status.labels[LABELS.podUid]!;
  }
  /** A sandbox was removed, and all that was in it. */
  forgetSandbox(id: string): void {
    const pod = this.#pods.get(this.#owner.get(id) ?? '');
    for (const c of pod?.containers.values() ?? []) if (c.sandboxId === id) this.forget(c.id);
    this.forget(id);
  }
  #tellStopped(id: string): void {
    const watchers = this.#stopWatchers.get(id);
    this.#stopWatchers.delete(id);
    for (const tell of watchers ?? []) tell();
  }
  async #sandboxOf(containerId: string): Promise<string> {
    const { containers } = await this.#runtime.listContainers({ filter: { id: containerId } });
    return containers[0]?.podSandboxId ?? '';
  }
  #gone(id: string, err: unknown): string | undefined {
    if (!isCriError(err, 'NotFound')) throw err;
    const uid = this.#owner.get(id);
    this.forget(id);
    return uid;
  }
  #podOf(labels: Readonly<Record<string, string>>): MutablePod {
    const uid = labels[LABELS.podUid]!;
    let pod = this.#pods.get(uid);
    if (!pod) {
      pod = { uid, name: labels[LABELS.podName] ?? '', namespace: labels[LABELS.podNamespace] ?? '', sandboxes: new Map(), containers: new Map() };
      this.#pods.set(uid, pod);
    }
    return pod;
  }
}

/** The Pod as the runtime will tell it in a moment: what has ended is taken for exited. The same object where nothing has. */
export function withEnds<T extends RuntimePod | undefined>(pod: T): T {
  return pod?.containers.some((c) => c.end) ? { ...pod, containers: pod.containers.map(asEnded) } : pod;
}
function asEnded(container: RuntimeContainer): RuntimeContainer {
  const { end, ...status } = container;
  return end ? { ...status, state: 'CONTAINER_EXITED', ...end } : container;
}

/**
 * True for a container whose start ended because the caller went away, as when the kubelet is killed: not an end of the container's own, so
 * neither its restart policy nor its restart count may see it.
 */
function startWasBrokenOff({ state, startedAt, reason, message }: ContainerStatus): boolean {
  return state === 'CONTAINER_EXITED' && startedAt === 0 && reason === 'StartError' && /\bcontext canceled\b|\bfailed to start shim: .*\bsignal: killed\b/.test(message);
}
function isOurs(item: Pick<PodSandbox | Container | ContainerStatus, 'labels'>): boolean {
  return Boolean(item.labels[LABELS.podUid]);
}
