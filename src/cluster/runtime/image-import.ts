/** Images that come as files: OCI and Docker archives, put into containerd by its own tool. */
import { sleep, type Clock } from '#base/clock.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import { run } from './command.ts';
import { parseContainerdVersion } from './config.ts';
import { holding } from './hold.ts';

export interface ImageImportOptions {
  /** Absolute path of containerd's socket. */
  readonly socket: string;
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly signal?: AbortSignal | undefined;
}

const NAMESPACE = 'k8s.io';
const VISIBLE_TIMEOUT_MS = 10_000;

/**
 * Imports an archive (`docker save`, `podman save`, an OCI layout in a tar; gzip or zstd too) and gives the names of its
 * images, complete: `docker.io/library/nginx:1.28`. Resolves when the runtime's image service shows them.
 */
export async function importImages(path: string, options: ImageImportOptions): Promise<string[]> {
  const { socket, runtime, clock, signal } = options;
  const version = parseContainerdVersion((await run('ctr', ['--version'], { signal })).stdout);
  // From 2.0 on ctr by default asks another service, which reports for people's eyes only.
  const local = Number(version.split('.')[0]) >= 2 ? ['--local'] : [];
  const { stdout } = await run('ctr', ['--address', socket, '--namespace', NAMESPACE, 'images', 'import', ...local, path], { signal });
  // ctr: `unpacking docker.io/library/nginx:1.28 (sha256:…)...done`
  const names = [...stdout.matchAll(/^unpacking (\S+) \(sha256:/gm)].map((m) => m[1]!);
  if (names.length === 0) throw new Error(`importing images from "${path}": the archive names none; save it with a tag`);
  await holding(Promise.all(names.map((name) => visible(name, runtime, clock, signal))));
  return names;
}

/** The CRI plugin hears of an import by an event of its own, a moment later. */
async function visible(name: string, runtime: ContainerRuntime, clock: Clock, signal: AbortSignal | undefined): Promise<void> {
  const deadline = clock.monotonic() + VISIBLE_TIMEOUT_MS;
  for (;;) {
    if ((await runtime.imageStatus({ image: { image: name } }, { signal })).image) return;
    if (clock.monotonic() > deadline) throw new Error(`importing image "${name}": the runtime does not show it after ${VISIBLE_TIMEOUT_MS / 1000} s`);
    await sleep(clock, 10, signal);
  }
}

export interface ImageSummary {
  /** Complete names; empty for an image whose name was given to another. */
  readonly names: readonly string[];
  /** Digest of its configuration. */
  readonly id: string;
  readonly sizeBytes: number;
}

/** The images of the node, by name. */
export async function listImages(runtime: ContainerRuntime, signal?: AbortSignal): Promise<ImageSummary[]> {
  const { images } = await runtime.listImages({}, { signal });
  const summaries = images.map((image) => ({ names: image.repoTags.toSorted(), id: image.id, sizeBytes: image.size }));
  return summaries.toSorted((a, b) => (a.names[0] ?? a.id).localeCompare(b.names[0] ?? b.id));
}
