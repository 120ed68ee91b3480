/** What the kubelet does now and then: rotate logs, remove what belongs to nobody, free disk. Each task fails by itself. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod } from '#api/gen/core-v1.ts';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { KubeletConfig } from './config.ts';
import type { ClaimManager } from './dra/claim-manager.ts';
import type { CgroupManager, VolumeManager } from './interfaces.ts';
import type { ImageGc } from './images/image-gc.ts';
import { podDir } from './pods/paths.ts';
import type { PodWorkers } from './pods/pod-workers.ts';
import type { Killer } from './runtime/killer.ts';
import { rotateLogs } from './runtime/log-rotation.ts';
import type { RuntimeCache } from './runtime/runtime-cache.ts';

const log = logger('kubelet');
const LOG_ROTATION_MS = 10_000;
const ORPHANS_MS = 60_000;
const IMAGE_GC_MS = 300_000;

export interface HousekeepingOptions {
  readonly config: KubeletConfig;
  readonly clock: Clock;
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly killer: Killer;
  readonly workers: PodWorkers;
  readonly volumes: VolumeManager;
  readonly cgroups: CgroupManager;
  readonly imageGc: ImageGc;
  readonly claims: Pick<ClaimManager, 'releaseEnded'>;
}

export class Housekeeping {
  readonly #o: HousekeepingOptions;
  readonly #abort = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();

  constructor(options: HousekeepingOptions) {
    this.#o = options;
  }
  start(): void {
    const { config, runtime, clock, cache, imageGc } = this.#o;
    const { signal } = this.#abort;
    const running = () => cache.uids().flatMap((uid) => cache.get(uid)?.containers.filter((c) => c.state === 'CONTAINER_RUNNING') ?? []);
    const rotation = { runtime, clock, maxBytes: config.containerLogMaxBytes, maxFiles: config.containerLogMaxFiles };
    this.#loops = Promise.all([
      this.#every('rotate logs', LOG_ROTATION_MS, () => rotateLogs(rotation, running(), signal)),
      this.#every('remove orphans', ORPHANS_MS, () => this.removeOrphans()),
      this.#every('image garbage collection', IMAGE_GC_MS, () => imageGc.collect(signal)),
    ]);
  }
  async stop(): Promise<void> {
    this.#abort.abort(new Error('the kubelet is stopping'));
    await this.#loops;
  }
  /** Frees disk at once: dead containers, then images that nothing uses. */
  async reclaimDisk(signal: AbortSignal): Promise<void> {
    for (const uid of this.#o.cache.uids()) await this.#o.killer.prune(uid, signal);
    await this.#o.imageGc.removeUnused(signal);
  }
  /** Pods that are in the runtime or on the disk, but not in the API: their time is over. */
  async removeOrphans(): Promise<void> {
    const { workers, cache, cgroups, claims } = this.#o;
    const runs = (uid: string): boolean => cache.get(uid)?.containers.some((c) => c.state === 'CONTAINER_RUNNING') ?? false;
    await Promise.all(cache.uids().filter((uid) => !workers.has(uid)).map((uid) => this.#attempt('remove an orphan', () => this.#removeFromRuntime(uid))));
    await this.#attempt('give back claims', () => claims.releaseEnded((uid) => workers.isOver(uid) && !runs(uid), this.#abort.signal));
    await this.#attempt('clean up the disk', () => this.#cleanDisk());
    await this.#attempt('shares of the classes', async () => void (await cgroups.updateQos?.(workers.activePods())));
  }

  async #removeFromRuntime(uid: string): Promise<void> {
    const { cache, killer } = this.#o;
    const { signal } = this.#abort;
    const left = cache.get(uid);
    if (!left) return;
    const pod: Pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: left.name, namespace: left.namespace, uid }, spec: { containers: [] } };
    log.info({ pod: `${left.namespace}/${left.name}`, uid }, 'removing a pod that the API does not have');
    await killer.killPod(pod, 1, signal);
    await killer.removePod(uid, signal);
  }
  async #cleanDisk(): Promise<void> {
    const { config, workers, cache, volumes, cgroups } = this.#o;
    const isLeft = (uid: string): boolean => !workers.has(uid) && !cache.get(uid);
    const onDisk = [...(await readdir(join(config.rootDir, 'pods'))), ...(await readdir(config.secretsDir)), ...(await cgroups.listPods())];
    for (const uid of new Set(onDisk)) {
      if (!isLeft(uid)) continue;
      await this.#attempt('remove the rest of a pod', async () => {
        await volumes.tearDown(uid);
        await cgroups.removePod(uid);
        await rm(podDir(config, uid), { recursive: true, force: true });
      });
    }
    // `<namespace>_<name>_<uid>`: neither of the first two has an underscore.
    for (const dir of await readdir(config.podLogsDir)) if (isLeft(dir.split('_')[2] ?? '')) await rm(join(config.podLogsDir, dir), { recursive: true, force: true });
  }
  async #every(what: string, ms: number, task: () => Promise<void>): Promise<void> {
    const { signal } = this.#abort;
    for (;;) {
      await sleep(this.#o.clock, ms, signal).catch(() => {});
      if (signal.aborted) return;
      await this.#attempt(what, task);
    }
  }
  async #attempt(what: string, task: () => Promise<void>): Promise<void> {
    await task().catch((err: unknown) => void (this.#abort.signal.aborted || log.warn({ err, what }, 'housekeeping failed, trying again later')));
  }
}
