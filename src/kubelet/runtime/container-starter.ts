/** Starts one container of a Pod: image, configuration, create, start, postStart. Records upstream's events. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import { referenceTo, type EventRecorder, type EventType } from '#client/events.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import { isCriError } from '#cri/error.ts';
import type { Init } from '#cri/schema.ts';
import type { PodSandboxConfig, UserNamespace } from '#cri/types.ts';
import type { KubeletConfig } from '../config.ts';
import type { ContainerManager } from '../container-manager.ts';
import { StartError, type AnyContainer, type EnvironmentMaker, type HookRunner, type ImageManager, type PulledImage, type ReadyVolume, type VolumeManager } from '../interfaces.ts';
import { containerFieldPath, podFullName } from '../pods/containers.ts';
import { podLogDir } from '../pods/paths.ts';
import type { BackOff } from './back-off.ts';
import { containerConfig, type ContainerInputs } from './container-config.ts';
import { finishing } from './finishing.ts';
import type { Killer } from './killer.ts';
import type { RuntimeCache, RuntimePod } from './runtime-cache.ts';
import { verifyRunAsNonRoot } from './security.ts';
import type { Slots } from './slots.ts';

const POST_START_TIMEOUT_MS = 2 ** 31 - 1;

export interface StarterOptions {
  readonly config: KubeletConfig;
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly recorder: EventRecorder;
  readonly clock: Clock;
  readonly images: ImageManager;
  readonly environment: EnvironmentMaker;
  readonly volumes: VolumeManager;
  readonly hooks: HookRunner;
  readonly grants: Pick<ContainerManager, 'runOptions'>;
  readonly backOff: BackOff;
  /** Stops a container whose postStart hook failed. */
  readonly killer: Pick<Killer, 'killContainer'>;
  /** Bounds the runtime's work: creating and starting is quick, and waits for nothing but the runtime. */
  readonly starts: Slots;
  readonly memoryCapacityBytes: number;
  readonly cgroups: ContainerInputs['cgroups'];
  /** What the default handler of the runtime and the host can do. */
  features(): Pick<ContainerInputs, 'recursiveReadOnly' | 'hugePageSizes' | 'appArmor' | 'imageVolumes'>;
}
export interface StartRequest {
  readonly pod: Pod;
  readonly container: AnyContainer;
  readonly sandboxId: string;
  readonly sandbox: Init<PodSandboxConfig>;
  readonly podIPs: readonly string[];
  readonly volumes: ReadonlyMap<string, ReadyVolume>;
  /** What the runtime has of the Pod. */
  readonly current: RuntimePod | undefined;
}

export class ContainerStarter {
  readonly #o: StarterOptions;
  constructor(options: StarterOptions) {
    this.#o = options;
  }
  /** The key under which a container's restarts back off. */
  backOffKey(pod: Pod, container: AnyContainer): string {
    return `${pod.metadata.uid}_${container.name}_${container.image}`;
  }
  /** Milliseconds until the container may be started again, 0 when it may be now; and the whole delay that holds. */
  backOffLeft(pod: Pod, container: AnyContainer, current: RuntimePod | undefined): { leftMs: number; delayMs: number } {
    const last = current?.containers.find((c) => c.name === container.name && c.state === 'CONTAINER_EXITED');
    if (!last) return { leftMs: 0, delayMs: 0 };
    const key = this.backOffKey(pod, container);
    return { leftMs: this.#o.backOff.remaining(key, last.finishedAt / 1e6), delayMs: this.#o.backOff.get(key) };
  }

  /** Rejects with {@link StartError}; the caller shows its reason as the container's waiting state. */
  async start(request: StartRequest, signal: AbortSignal): Promise<void> {
    const { pod, container } = request;
    this.#checkBackOff(request);
    // Pulls and hooks take as long as they take: they hold up nobody else's start.
    const image = await this.#o.images.ensureImageExists(pod, container, signal);
    const volumeImages = await this.#volumeImages(request, signal);
    const volumes = await this.#mountImages(request, volumeImages, signal);
    const id = await this.#o.starts.run(() => this.#run({ ...request, volumes }, image, volumeImages, signal), { urgent: true, signal });
    if (container.lifecycle?.postStart) await this.#postStart(request, id, signal);
  }
  /** The Pod is gone: its back-offs are forgotten. */
  forget(uid: string): void {
    this.#o.backOff.forget(`${uid}_`);
    this.#o.images.forget(uid);
  }

  /** Pulls the images of the image volumes that the container mounts. */
  async #volumeImages({ pod, container }: StartRequest, signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const out = new Map<string, string>();
    if (!this.#o.features().imageVolumes && !this.#o.volumes.mountImage) return out;
    for (const { name, image } of pod.spec.volumes ?? []) {
      if (!image || !container.volumeMounts?.some((m) => m.name === name)) continue;
      const { imageRef } = await this.#o.images.ensureImageExists(pod, { name: container.name, image: image.reference, imagePullPolicy: image.pullPolicy }, signal);
      out.set(name, imageRef);
    }
    return out;
  }
  /** The volumes of the request, with those of images mounted where the runtime does not do it. */
  async #mountImages({ pod, volumes }: StartRequest, images: ReadonlyMap<string, string>, signal: AbortSignal): Promise<ReadonlyMap<string, ReadyVolume>> {
    const { mountImage } = this.#o.volumes;
    if (!mountImage || this.#o.features().imageVolumes) return volumes;
    const out = new Map(volumes);
    for (const [name, imageRef] of images) {
      const volume = volumes.get(name);
      if (volume) out.set(name, await mountImage(pod, volume, imageRef, signal).catch((err: Error) => {
        throw signal.aborted ? err : new StartError('CreateContainerError', `failed to mount image volume "${name}": ${err.message}`, { cause: err });
      }));
    }
    return out;
  }
  async #run(request: StartRequest, image: PulledImage, volumeImages: ReadonlyMap<string, string>, signal: AbortSignal): Promise<string> {
    const { runtime, cache } = this.#o;
    const id = await this.#create(request, image, volumeImages, signal);
    this.#event(request, 'Normal', 'Created', 'Container created');
    try {
      await finishing(this.#o.clock, runtime.startContainer({ containerId: id }), signal);
    } catch (err) {
      if (signal.aborted) throw err;
      await cache.refreshContainer(id, request.sandboxId);
      this.#event(request, 'Warning', 'Failed', `Error: ${errorText(err)}`);
      throw new StartError('RunContainerError', errorText(err), { cause: err });
    }
    try {
      await cache.refreshContainer(id, request.sandboxId);
    } finally {
      // What the status says of it is waited for by others: it is not kept waiting by the event.
      this.#event(request, 'Normal', 'Started', 'Container started');
    }
    signal.throwIfAborted();
    return id;
  }

  #checkBackOff(request: StartRequest): void {
    const { pod, container, current } = request;
    const last = current?.containers.find((c) => c.name === container.name && c.state === 'CONTAINER_EXITED');
    if (!last) return;
    const key = this.backOffKey(pod, container);
    const { leftMs, delayMs } = this.backOffLeft(pod, container, current);
    if (leftMs > 0) {
      this.#event(request, 'Warning', 'BackOff', `Back-off restarting failed container ${container.name} in pod ${podFullName(pod)}`);
      throw new StartError('CrashLoopBackOff', `back-off ${goDuration(delayMs)} restarting failed container=${container.name} pod=${podFullName(pod)}`, { retryAfterMs: leftMs });
    }
    this.#o.backOff.next(key, last.finishedAt / 1e6);
  }
  async #create(request: StartRequest, image: PulledImage, volumeImages: ReadonlyMap<string, string>, signal: AbortSignal): Promise<string> {
    const { pod, container, sandboxId, sandbox, current } = request;
    const { runtime, config, volumes } = this.#o;
    const runs = (current?.containers ?? []).filter((c) => c.name === container.name);
    let restartCount = runs.length ? Math.max(...runs.map((c) => c.restartCount)) + 1 : Math.max(nextRun(pod, container.name), await nextLog(config, pod, container.name));
    try {
      verifyRunAsNonRoot(pod, container, image);
      const [granted, environment] = await Promise.all([this.#o.grants.runOptions(pod, container, signal), this.#o.environment.environmentOf(pod, container, request.podIPs, signal)]);
      for (;;) {
        const created = await containerConfig(pod, container, {
          config, image, volumeImages, restartCount, environment, granted, volumes: request.volumes, volumeManager: volumes, podIPs: request.podIPs,
          memoryCapacityBytes: this.#o.memoryCapacityBytes, cgroups: this.#o.cgroups, targetId: targetId(container, request), userNamespace: sandbox.linux?.securityContext?.namespaceOptions?.usernsOptions as UserNamespace | undefined, ...this.#o.features(),
        });
        try {
          signal.throwIfAborted();
          const { containerId } = await finishing(this.#o.clock, runtime.createContainer({ podSandboxId: sandboxId, config: created, sandboxConfig: sandbox }), signal);
          signal.throwIfAborted();
          return containerId;
        } catch (err) {
          // A run that we lost sight of still holds its name: take the next number.
          if (!/failed to reserve container name/.test((err as Error).message) || restartCount > 1000) throw err;
          restartCount++;
        }
      }
    } catch (err) {
      if (signal.aborted) throw err;
      const reason = err instanceof StartError ? err.reason : 'CreateContainerError';
      this.#event(request, 'Warning', 'Failed', `Error: ${errorText(err)}`);
      throw new StartError(reason, errorText(err), { cause: err });
    }
  }
  async #postStart(request: StartRequest, id: string, signal: AbortSignal): Promise<void> {
    const failure = await this.#o.hooks.run(request.pod, request.container, id, 'postStart', POST_START_TIMEOUT_MS, signal);
    if (failure === '') return;
    this.#event(request, 'Warning', 'FailedPostStartHook', 'PostStartHook failed');
    const run = this.#o.cache.get(request.pod.metadata.uid!)?.containers.find((c) => c.id === id);
    if (run) await this.#o.killer.killContainer(request.pod, run, { message: 'FailedPostStartHook' }, signal);
    throw new StartError('PostStartHookError', failure);
  }
  #event(request: StartRequest, type: EventType, reason: string, message: string): void {
    this.#o.recorder.eventFor(referenceTo(request.pod, containerFieldPath(request.pod, request.container.name)), type, reason, message);
  }
}

/** Number of the next run by what the API knows, when the runtime has nothing of the container any more: a run that was lost is counted when that is told. */
function nextRun(pod: Pod, name: string): number {
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  const status = [...containerStatuses, ...initContainerStatuses].find((s) => s.name === name);
  return status ? status.restartCount + (status.state?.running || status.state?.terminated ? 1 : 0) : 0;
}
/** Number of the next run by the logs of those before it: a new run never writes into the log of another. */
async function nextLog(config: KubeletConfig, pod: Pod, name: string): Promise<number> {
  const files = await readdir(join(podLogDir(config, pod), name)).catch(() => []);
  return Math.max(-1, ...files.flatMap((f) => /^(\d+)\.log/.exec(f)?.[1] ?? []).map(Number)) + 1;
}
function targetId(container: AnyContainer, request: StartRequest): string | undefined {
  const name = 'targetContainerName' in container ? container.targetContainerName : undefined;
  if (!name) return undefined;
  const target = request.current?.containers.find((c) => c.name === name && c.state === 'CONTAINER_RUNNING');
  if (!target) throw new StartError('CreateContainerError', `unable to find target container ${name}`);
  return target.id;
}
/** The text of an error as the kubelet shows it: the part after gRPC's frame. */
export function errorText(err: unknown): string {
  if (isCriError(err, 'DeadlineExceeded')) return 'context deadline exceeded';
  const desc = (err as { desc?: unknown }).desc;
  return typeof desc === 'string' ? desc : (err as Error).message;
}
/** `10s`, `1m20s`: a delay as Go prints it. */
export function goDuration(ms: number): string {
  const s = Math.round(ms / 1000);
  return s < 60 ? `${s}s` : `${Math.floor(s / 60)}m${s % 60}s`;
}
