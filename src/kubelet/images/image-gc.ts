/** Removes images that nothing uses when their file system fills up, longest unused first. Upstream's counterpart: image GC manager. */
import { statfs } from 'node:fs/promises';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { EventRecorder } from '#client/events.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { Image } from '#cri/types.ts';

const log = logger('kubelet');
/** An image this young may be wanted by a container that is about to be made. */
const MIN_AGE_MS = 120_000;

export interface ImageGcOptions {
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly recorder: EventRecorder;
  readonly nodeName: string;
  readonly highThresholdPercent: number;
  readonly lowThresholdPercent: number;
  /** Told which images there are, and when that was asked. */
  readonly onListed?: (ids: ReadonlySet<string>, askedAt: number) => Promise<void>;
  /** Bytes of the file system that holds a directory. */
  readonly fileSystem?: (dir: string) => Promise<{ readonly capacityBytes: number; readonly availableBytes: number }>;
}

export class ImageGc {
  readonly #o: ImageGcOptions;
  readonly #seen = new Map<string, { readonly since: number; lastUsed: number }>();
  #sandboxImage: string | undefined;
  /** Where the runtime keeps images; undefined until it was asked. */
  imageDir: string | undefined;

  constructor(options: ImageGcOptions) {
    this.#o = options;
  }
  /** Learns where images are and which one sandboxes are made from; before that nothing is removed. A runtime that cannot tell yet is asked again later. */
  async start(signal?: AbortSignal): Promise<void> {
    await this.#learn(signal).catch((err: unknown) => log.warn({ err }, 'the runtime does not tell about its images'));
  }
  async #learn(signal?: AbortSignal): Promise<void> {
    const { runtime } = this.#o;
    const [fs, { info }] = await Promise.all([runtime.imageFsInfo({}, { signal }), runtime.status({ verbose: true }, { signal })]);
    this.imageDir = fs.imageFilesystems[0]?.fsId?.mountpoint;
    this.#sandboxImage = sandboxImageOf(info);
  }
  /** Frees down to the low threshold when usage is above the high one. */
  async collect(signal: AbortSignal): Promise<void> {
    if (!this.imageDir) await this.start(signal);
    const images = await this.#note(signal);
    if (!this.imageDir) return;
    const { capacityBytes, availableBytes } = await (this.#o.fileSystem ?? fileSystemOf)(this.imageDir);
    const usedPercent = 100 - Math.floor((availableBytes * 100) / capacityBytes);
    if (usedPercent < this.#o.highThresholdPercent) return;
    const toFree = (capacityBytes * (100 - this.#o.lowThresholdPercent)) / 100 - availableBytes;
    log.info({ usedPercent, toFree }, 'image file system is above its threshold, removing unused images');
    const freed = await this.#remove(images, toFree, signal);
    if (freed < toFree) {
      const message = `Failed to garbage collect required amount of images. Attempted to free ${Math.round(toFree)} bytes, but only found ${freed} bytes eligible to free.`;
      this.#o.recorder.eventFor({ kind: 'Node', name: this.#o.nodeName, uid: this.#o.nodeName }, 'Warning', 'FreeDiskSpaceFailed', message);
    }
  }
  /** Removes every image that nothing uses: the node is short of disk. */
  async removeUnused(signal: AbortSignal): Promise<void> {
    await this.#remove(await this.#note(signal), Infinity, signal);
  }

  /** Lists images and notes which are in use; the rest is free to go. */
  async #note(signal: AbortSignal): Promise<Image[]> {
    const { runtime, clock } = this.#o;
    const askedAt = clock.now();
    const [{ images }, { containers }] = await Promise.all([runtime.listImages({}, { signal }), runtime.listContainers({}, { signal })]);
    await this.#o.onListed?.(new Set(images.map((i) => i.id)), askedAt);
    const now = clock.monotonic();
    const used = new Set(containers.flatMap((c) => [c.imageRef, c.imageId, c.image?.image ?? '']));
    for (const id of this.#seen.keys()) if (!images.some((i) => i.id === id)) this.#seen.delete(id);
    return images.filter((image) => {
      const record = this.#seen.get(image.id) ?? { since: now, lastUsed: 0 };
      this.#seen.set(image.id, record);
      const names = [image.id, ...image.repoTags, ...image.repoDigests];
      const inUse = names.some((n) => used.has(n));
      if (inUse) record.lastUsed = now;
      return !inUse && !image.pinned && !names.some((n) => n === this.#sandboxImage);
    });
  }
  async #remove(images: readonly Image[], toFree: number, signal: AbortSignal): Promise<number> {
    if (this.#sandboxImage === undefined) return 0;
    const now = this.#o.clock.monotonic();
    const order = images.map((image) => ({ image, ...this.#seen.get(image.id)! })).toSorted((a, b) => a.lastUsed - b.lastUsed || a.since - b.since);
    let freed = 0;
    for (const { image, since } of order) {
      if (freed >= toFree) break;
      if (now - since < MIN_AGE_MS) continue;
      log.info({ image: image.repoTags[0] ?? image.id, bytes: image.size }, 'removing an unused image');
      await this.#o.runtime.removeImage({ image: { image: image.id } }, { signal });
      this.#seen.delete(image.id);
      freed += image.size;
    }
    return freed;
  }
}

/** The image that sandboxes are made from, out of the runtime's own configuration; '' where the runtime pins it by itself. */
export function sandboxImageOf(info: Readonly<Record<string, string>>): string {
  try {
    const config = JSON.parse(info['config'] ?? '{}') as { sandboxImage?: string };
    return config.sandboxImage ?? '';
  } catch {
    return '';
  }
}
async function fileSystemOf(dir: string): Promise<{ capacityBytes: number; availableBytes: number }> {
  const fs = await statfs(dir);
  return { capacityBytes: fs.blocks * fs.bsize, availableBytes: fs.bavail * fs.bsize };
}
