import { sleep, type Clock } from '#base/clock.ts';
import type { CallOptions } from './call.ts';
import { CriError } from './error.ts';
import { criMessage, type Init } from './schema.ts';
import type { Image, ImageService, PullImageRequest } from './types.ts';

/** What pulling an image does. Absent means that it succeeds at once. */
export interface PullScript {
  readonly error?: CriError | undefined;
  readonly delayMs?: number | undefined;
  readonly sizeBytes?: number | undefined;
}

/** `nginx` → `docker.io/library/nginx:latest`, as containerd's CRI plugin reads references. */
export function normaliseImageName(name: string): string {
  const [first = '', ...rest] = name.split('/');
  const hasHost = rest.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  const full = hasHost ? name : `docker.io/${rest.length ? name : `library/${name}`}`;
  return full.includes('@') || full.slice(full.lastIndexOf('/')).includes(':') ? full : `${full}:latest`;
}

/** The images of a {@link FakeRuntime}: in memory, pulled by script. */
export class FakeImages {
  readonly #images = new Map<string, Image>();
  readonly #clock: Clock;
  readonly #pull: (image: string, request: Init<PullImageRequest>) => PullScript | undefined;
  #pulls = 0;

  constructor(clock: Clock, pull: (image: string, request: Init<PullImageRequest>) => PullScript | undefined) {
    this.#clock = clock;
    this.#pull = pull;
  }

  /** Number of pulls that were asked for. */
  get pulls(): number {
    return this.#pulls;
  }

  /** Puts an image there without a pull; returns its id. */
  add(name: string, sizeBytes = 1_000_000): string {
    const full = normaliseImageName(name);
    const known = this.#images.get(full);
    if (known) return known.id;
    const id = `sha256:${hash(full)}`;
    this.#images.set(full, criMessage('Image', { id, repoTags: [full], repoDigests: [`${full.replace(/[:@][^/]*$/, '')}@sha256:${hash(`${full}@`)}`], size: sizeBytes, spec: { image: full } }));
    return id;
  }

  /** By name or id. */
  find(ref: string): Image | undefined {
    for (const [name, image] of this.#images) {
      if (image.id === ref || name === normaliseImageName(ref) || image.repoDigests.includes(ref)) return image;
    }
    return undefined;
  }

  readonly service: ImageService = {
    listImages: async ({ filter }) => {
      const wanted = filter?.image?.image;
      const images = wanted ? [this.find(wanted)].filter((image) => image !== undefined) : [...this.#images.values()];
      return { images };
    },
    streamImages: (request) => once(async () => criMessage('StreamImagesResponse', { ...await this.service.listImages({ filter: request.filter }) })),
    imageStatus: async ({ image }) => {
      const found = this.find(image?.image ?? '');
      return { info: {}, ...(found && { image: found }) };
    },
    pullImage: (request, options) => this.#pullImage(request, options),
    removeImage: async ({ image }) => {
      const found = this.find(image?.image ?? '');
      for (const [name, other] of this.#images) if (other === found) this.#images.delete(name);
      return {};
    },
    imageFsInfo: async () => {
      const used = [...this.#images.values()].reduce((sum, image) => sum + image.size, 0);
      const filesystem = { timestamp: this.#clock.now() * 1e6, fsId: { mountpoint: '/var/lib/fake-images' }, usedBytes: { value: used }, inodesUsed: { value: this.#images.size } };
      return criMessage('ImageFsInfoResponse', { imageFilesystems: [filesystem], containerFilesystems: [filesystem] });
    },
  };

  async #pullImage(request: Init<PullImageRequest>, options: CallOptions = {}): Promise<{ imageRef: string }> {
    const name = request.image?.image ?? '';
    this.#pulls++;
    const script = this.#pull(name, request);
    if (script?.delayMs) await sleep(this.#clock, script.delayMs, options.signal);
    if (script?.error) throw script.error;
    return { imageRef: this.add(name, script?.sizeBytes) };
  }
}

/** A stream of one message. */
export async function* once<T>(make: () => Promise<T>): AsyncGenerator<T> {
  yield await make();
}

/** 64 hexadecimal digits that follow from the text: ids must look like ids, and be the same in each run. */
function hash(text: string): string {
  let h = 0x811c9dc5;
  let out = '';
  for (let round = 0; out.length < 64; round++) {
    for (const c of `${round}${text}`) h = Math.imul(h ^ c.codePointAt(0)!, 0x01000193) >>> 0;
    out += h.toString(16).padStart(8, '0');
  }
  return out;
}
