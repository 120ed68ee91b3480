/**
 * Follows a directory of manifests: their Pods run whatever the API server says, which shows a mirror of each.
 *
 * ```
 *   file appears ──▶ run(pod) ──▶ mirror created        mirror deleted by somebody ──▶ mirror created anew
 *   file changes ──▶ another uid: stop(old), run(new), mirror replaced
 *   file goes ─────▶ stop(pod) ──▶ mirror deleted
 * ```
 */
import { watch, type FSWatcher } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import type { Node, Pod } from '#api/gen/core-v1.ts';
import { keyOf } from '#api/object.ts';
import { rfc3339, sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { Client } from '#client/client.ts';
import { PODS } from '#client/kinds.ts';
import { Reconciler } from '#client/reconciler.ts';
import { isReason } from '#machinery/status-error.ts';
import { CONFIG, isMirrorPod, readManifests } from './manifest.ts';

const log = logger('kubelet');
/** The directory is read this often whatever the file system tells. */
const CHECK_EVERY_MS = 20_000;
/** Editors write files in steps: wait for the last one. */
const SETTLE_MS = 100;

export interface StaticPodsOptions {
  readonly dir: string;
  readonly nodeName: string;
  readonly client: Client;
  readonly clock: Clock;
  node(): Node | undefined;
  /** The API's Pod of this name, as the informer has it. */
  podOf(namespace: string, name: string): Pod | undefined;
  run(pod: Pod): void;
  stop(pod: Pod): void;
}

export class StaticPods {
  readonly #o: StaticPodsOptions;
  readonly #abort = new AbortController();
  readonly #mirrors: Reconciler;
  /** What should run, by uid. */
  #pods = new Map<string, Pod>();
  #watcher: FSWatcher | undefined;
  #loop: Promise<void> = Promise.resolve();
  #reading: Promise<void> = Promise.resolve();

  constructor(options: StaticPodsOptions) {
    this.#o = options;
    this.#mirrors = new Reconciler({ name: 'kubelet-mirror-pods', clock: options.clock, logger: log, workers: 2, baseDelayMs: 500, maxDelayMs: 60_000, reconcile: (key, signal) => this.#mirror(key, signal) });
  }
  /** Resolves when the manifests that are there run. */
  async start(): Promise<void> {
    await mkdir(this.#o.dir, { recursive: true, mode: 0o755 });
    this.#mirrors.start();
    await this.read();
    let settle: { cancel(): void } | undefined;
    this.#watcher = watch(this.#o.dir, () => {
      settle?.cancel();
      settle = this.#o.clock.after(SETTLE_MS, () => void this.read());
    });
    this.#watcher.on('error', (err) => log.warn({ err }, 'directory of static pods is not watched; it is read now and then'));
    this.#loop = this.#checkForEver();
  }
  async stop(): Promise<void> {
    this.#abort.abort(new Error('the kubelet is stopping'));
    this.#watcher?.close();
    await Promise.all([this.#loop, this.#reading, this.#mirrors.stop()]);
  }
  get(uid: string): Pod | undefined {
    return this.#pods.get(uid);
  }
  /** Something happened to a mirror in the API. */
  mirrorChanged(pod: Pod): void {
    this.#mirrors.queue.add(keyOf(pod));
  }
  /** Reads the directory anew; one reading at a time. */
  read(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#read()).catch((err: unknown) => log.warn({ err }, 'static pods not read'));
    return this.#reading;
  }

  async #read(): Promise<void> {
    if (this.#abort.signal.aborted) return;
    const found = await readManifests(this.#o.dir, this.#o.nodeName, rfc3339(this.#o.clock.now()));
    const before = this.#pods;
    this.#pods = new Map(Array.from(found, ([uid, pod]) => [uid, before.get(uid) ?? pod]));
    for (const [uid, pod] of before) {
      if (found.has(uid)) continue;
      this.#o.stop(pod);
      this.#mirrors.queue.add(keyOf(pod));
    }
    for (const [uid, pod] of this.#pods) {
      if (before.has(uid)) continue;
      this.#o.run(pod);
      this.#mirrors.queue.add(keyOf(pod));
    }
  }
  async #checkForEver(): Promise<void> {
    const { signal } = this.#abort;
    for (;;) {
      await sleep(this.#o.clock, CHECK_EVERY_MS, signal).catch(() => {});
      if (signal.aborted) return;
      await this.read();
    }
  }
  /** Makes the API's mirror of a name what the directory says. */
  async #mirror(key: string, signal: AbortSignal): Promise<undefined> {
    const [namespace = '', name = ''] = key.split('/');
    const wanted = [...this.#pods.values()].find((p) => keyOf(p) === key);
    const pods = this.#o.client.of(PODS);
    const seen = this.#o.podOf(namespace, name);
    if (seen && !isMirrorPod(seen)) return undefined;
    const hash = wanted?.metadata.annotations?.[CONFIG.hash];
    if (seen && (seen.metadata.annotations?.[CONFIG.mirror] !== hash || seen.metadata.deletionTimestamp)) {
      await pods.delete(namespace, name, { gracePeriodSeconds: 0, preconditions: { uid: seen.metadata.uid } }, signal).catch(ignore('NotFound'));
    } else if (seen) return undefined;
    if (wanted) await pods.create(mirrorOf(wanted, this.#o.node()), { signal }).catch(ignore('AlreadyExists'));
    return undefined;
  }
}

/** What the API is shown of a static Pod. */
function mirrorOf(pod: Pod, node: Node | undefined): Pod {
  const { uid: _, resourceVersion: __, creationTimestamp: ___, ...metadata } = pod.metadata;
  const owner = node && { apiVersion: 'v1', kind: 'Node', name: node.metadata.name!, uid: node.metadata.uid!, controller: true };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, annotations: { ...metadata.annotations, [CONFIG.mirror]: metadata.annotations![CONFIG.hash]! }, ...(owner ? { ownerReferences: [owner] } : {}) },
    spec: pod.spec,
  };
}
function ignore(reason: 'NotFound' | 'AlreadyExists'): (err: unknown) => void {
  return (err) => {
    if (!isReason(err, reason)) throw err;
  };
}
