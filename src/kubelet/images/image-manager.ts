/** Makes sure that a container's image is there, by its pull policy. Upstream's counterpart: the kubelet's images package. */
import { referenceTo, type EventRecorder, type EventType } from '#client/events.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { abortable } from '#base/abort.ts';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import type { PullProgress } from '#cri/pull-progress.ts';
import type { Image } from '#cri/types.ts';
import { StartError, type AnyContainer, type ImageManager, type PulledImage } from '../interfaces.ts';
import { containerFieldPath } from '../pods/containers.ts';
import { BackOff } from '../runtime/back-off.ts';
import { parseImageReference, type ImageReference } from '../runtime/image-name.ts';
import { Slots } from '../runtime/slots.ts';
import type { Credential } from './keyring.ts';
import type { PullRecords } from './pull-records.ts';

const log = logger('kubelet');
const PROGRESS_FIRST_MS = 5000;
const PROGRESS_MAX_MS = 60_000;

export interface Credentials {
  /** Credentials to try in turn for an image of the Pod; empty: anonymously. */
  lookup(pod: Pod, image: string): Promise<readonly Credential[]>;
}
export interface ImageManagerOptions {
  readonly runtime: ContainerRuntime;
  readonly recorder: EventRecorder;
  readonly clock: Clock;
  readonly credentials: Credentials;
  /** Pulls under way at the same time; others wait their turn. */
  readonly maxParallelPulls: number;
  /** What images were pulled with; absent: an image that is here is for every Pod. */
  readonly records?: Pick<PullRecords, 'mustPull' | 'begin' | 'end'> | undefined;
  /** How far the pull of `registry/repository` has come, where the runtime tells. */
  readonly progress?: ((registry: string, repository: string, signal: AbortSignal) => Promise<PullProgress | undefined>) | undefined;
}

/** How soon a Pod that backs off is looked at again: its image may have been loaded by hand, or by another Pod. */
const LOOK_AGAIN_MS = 10_000;

interface PullResult {
  readonly ref: string;
  readonly tookMs: number;
}
interface SharedPull {
  readonly done: Promise<PullResult>;
  readonly abort: AbortController;
  /** Told now and then how far it has come; one for each Pod that waits. */
  readonly followers: Set<(progress: PullProgress) => void>;
}

const megabytes = (bytes: number): string => (bytes / 1e6).toFixed(1);
/** `1.234s` or `456ms`: Go's durations in the Pulled event. */
function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)}ms` : `${Math.round(ms) / 1000}s`;
}

export function newImageManager(options: ImageManagerOptions): ImageManager {
  const { runtime, recorder, clock, credentials, records } = options;
  const backOff = new BackOff(clock);
  const slots = new Slots(options.maxParallelPulls);
  /** One pull of an image at a time, shared by whoever wants it; the last one to lose interest ends it. */
  const pulling = new Map<string, SharedPull>();

  const statusOf = async (image: string, signal: AbortSignal): Promise<Image | undefined> => (await runtime.imageStatus({ image: { image } }, { signal })).image;

  async function pullWithCredentials(pod: Pod, image: string, signal: AbortSignal): Promise<string> {
    const found = await credentials.lookup(pod, image);
    await records?.begin(image);
    let failure: unknown;
    for (const credential of found.length ? found : [undefined]) {
      try {
        const { imageRef } = await runtime.pullImage({ image: { image }, ...(credential ? { auth: credential.auth } : {}) }, { signal });
        await records?.end(image, imageRef, credential);
        return imageRef;
      } catch (err) {
        failure = err;
        if (signal.aborted) break;
      }
    }
    await records?.end(image, undefined, undefined);
    throw failure;
  }
  function pull(pod: Pod, image: ImageReference, follow: (progress: PullProgress) => void, signal: AbortSignal): Promise<PullResult> {
    // Whoever shares a pull has the same credentials: the Pod's secrets, and what programs give to its service account.
    const key = `${image.full} ${pod.metadata.namespace}/${pod.spec.serviceAccountName} ${(pod.spec.imagePullSecrets ?? []).map((s) => `${pod.metadata.namespace}/${s.name}`).join(',')}`;
    const shared = pulling.get(key) ?? begin(key, pod, image);
    shared.followers.add(follow);
    return abortable(shared.done, signal).finally(() => {
      shared.followers.delete(follow);
      if (shared.followers.size > 0) return;
      if (pulling.get(key) === shared) pulling.delete(key);
      shared.abort.abort(new Error('nobody waits for the image any more'));
    });
  }
  function begin(key: string, pod: Pod, image: ImageReference): SharedPull {
    const abort = new AbortController();
    const { signal } = abort;
    const work = async (): Promise<PullResult> => {
      const started = clock.monotonic();
      const over = new AbortController();
      void tellProgress(image, shared.followers, AbortSignal.any([signal, over.signal]));
      try {
        return { ref: await pullWithCredentials(pod, image.full, signal), tookMs: clock.monotonic() - started };
      } finally {
        over.abort(new Error('the pull is over'));
      }
    };
    const done = slots.run(work, { signal }).finally(() => {
      if (pulling.get(key) === shared) pulling.delete(key);
    });
    done.catch(() => {});
    const shared: SharedPull = { done, abort, followers: new Set() };
    pulling.set(key, shared);
    return shared;
  }
  /** The runtime does not speak of a pull until it ends: it is asked, less and less often. */
  async function tellProgress(image: ImageReference, followers: ReadonlySet<(progress: PullProgress) => void>, signal: AbortSignal): Promise<void> {
    if (!options.progress) return;
    try {
      for (let waitMs = PROGRESS_FIRST_MS; ; waitMs = Math.min(waitMs * 2, PROGRESS_MAX_MS)) {
        await sleep(clock, waitMs, signal);
        const progress = await options.progress(image.registry, image.repository, signal);
        if (progress) for (const tell of followers) tell(progress);
      }
    } catch (err) {
      if (!signal.aborted) log.debug({ err, image: image.full }, 'the runtime does not tell how far a pull has come');
    }
  }

  async function ensureImageExists(pod: Pod, container: AnyContainer, signal: AbortSignal): Promise<PulledImage> {
    const image = container.image ?? '';
    const note = (type: EventType, reason: string, message: string) => recorder.eventFor(referenceTo(pod, containerFieldPath(pod, container.name)), type, reason, message);
    const refuse = (reason: string, message: string, more: { cause?: unknown; retryAfterMs?: number } = {}): StartError => {
      note('Warning', 'Failed', `Error: ${reason}`);
      return new StartError(reason, message, more);
    };
    const reference = parseImageReference(image);
    if (typeof reference === 'string') {
      const message = `Failed to apply default image tag "${image}": couldn't parse image name "${image}": ${reference}`;
      note('Warning', 'InspectFailed', message);
      throw refuse('InvalidImageName', message);
    }
    const policy = container.imagePullPolicy ?? (reference.tag === 'latest' ? 'Always' : 'IfNotPresent');
    const present = await statusOf(reference.full, signal).catch((err: unknown) => {
      const message = `Failed to inspect image "${image}": ${(err as Error).message}`;
      note('Warning', 'InspectFailed', message);
      throw refuse('ImageInspectError', message, { cause: err });
    });
    if (present && policy !== 'Always' && !(await records?.mustPull(reference.full, present.id, () => credentials.lookup(pod, reference.full)))) {
      note('Normal', 'Pulled', `Container image "${image}" already present on machine and can be accessed by the pod`);
      return pulled(present);
    }
    if (policy === 'Never') {
      const message = `Container image "${image}" is not present with pull policy of Never`;
      note('Warning', 'ErrImageNeverPull', message);
      throw refuse('ErrImageNeverPull', message);
    }
    const key = `${pod.metadata.uid}_${image}`;
    const leftMs = backOff.remainingSinceUpdate(key);
    if (leftMs > 0) {
      const last = lastErrors.get(key);
      note('Normal', 'BackOff', `Back-off pulling image "${image}"`);
      throw refuse('ImagePullBackOff', `Back-off pulling image "${image}"${last ? `: ErrImagePull: ${last}` : ''}`, { retryAfterMs: Math.min(leftMs, LOOK_AGAIN_MS) });
    }
    note('Normal', 'Pulling', `Pulling image "${image}"`);
    const asked = clock.monotonic();
    try {
      const { ref, tookMs } = await pull(pod, reference, ({ doneBytes, totalBytes }) => note('Normal', 'Pulling', `Pulling image "${image}": ${megabytes(doneBytes)} of ${megabytes(totalBytes)} MB (${Math.floor((doneBytes * 100) / totalBytes)}%)`), signal);
      const got = await statusOf(ref, signal);
      note('Normal', 'Pulled', `Successfully pulled image "${image}" in ${seconds(tookMs)} (${seconds(clock.monotonic() - asked)} including waiting). Image size: ${got?.size ?? 0} bytes.`);
      backOff.forget(key);
      lastErrors.delete(key);
      return got ? pulled(got) : { imageRef: ref, imageId: ref };
    } catch (err) {
      if (signal.aborted) throw err;
      const text = (err as Error).message;
      backOff.next(key, clock.now());
      remember(key, text);
      note('Warning', 'Failed', `Failed to pull image "${image}": ${text}`);
      // Seen again before the back-off ends, so that the wait itself is shown.
      throw refuse('ErrImagePull', text, { cause: err, retryAfterMs: 3000 });
    }
  }
  const lastErrors = new Map<string, string>();
  function remember(key: string, message: string): void {
    lastErrors.delete(key);
    lastErrors.set(key, message);
    if (lastErrors.size > 1000) lastErrors.delete(lastErrors.keys().next().value!);
  }
  return {
    ensureImageExists,
    forget(uid) {
      backOff.forget(`${uid}_`);
      for (const key of lastErrors.keys()) if (key.startsWith(`${uid}_`)) lastErrors.delete(key);
    },
  };
}

/** `docker.io/library/nginx@sha256:…` where the image was pulled, its config digest where it was loaded from a file. */
function pulled(image: Image): PulledImage {
  return { imageRef: image.id, imageId: image.repoDigests[0] ?? image.id, uid: image.uid?.value, username: image.username || undefined };
}
