/** Making container images (OCI image specification 1.0) in memory: layers, configuration, manifest, and an archive of several. */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { tar, type TarEntry } from './tar.ts';

export interface Descriptor {
  readonly mediaType: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest: string;
  readonly size: number;
}
/** A layer, ready to be shared by several images. */
export interface Layer {
  readonly descriptor: Descriptor;
  readonly blob: Buffer;
  /** Digest of the archive before compression. */
  readonly diffId: string;
}
/** The part of an image's configuration that says how to run it. */
export interface ImageConfig {
  readonly Entrypoint?: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly User?: string;
  readonly WorkingDir?: string;
  readonly StopSignal?: string;
  readonly ExposedPorts?: Readonly<Record<string, object>>;
  readonly Labels?: Readonly<Record<string, string>>;
}
export interface OciImage {
  readonly manifest: Descriptor;
  /** The digest of the configuration is the image's id. */
  readonly config: Descriptor;
  readonly blobs: ReadonlyMap<string, Buffer>;
}

/** The architecture names of Go, which images use. */
export type Architecture = 'amd64' | 'arm64';
export function hostArchitecture(): Architecture {
  if (process.arch === 'x64') return 'amd64';
  if (process.arch === 'arm64') return 'arm64';
  throw new Error(`making an image: the processor architecture "${process.arch}" is neither x64 nor arm64`);
}

const OCI = 'application/vnd.oci.image';
const MANIFEST = `${OCI}.manifest.v1+json`;
const CREATED = '1970-01-01T00:00:00Z';

export function digestOf(blob: Uint8Array): string {
  return `sha256:${createHash('sha256').update(blob).digest('hex')}`;
}
function describe(mediaType: string, blob: Buffer): Descriptor {
  return { mediaType, digest: digestOf(blob), size: blob.length };
}

/** The same entries give the same digest. */
export function makeLayer(entries: Iterable<TarEntry>): Layer {
  const archive = tar(entries);
  const blob = gzipSync(archive, { level: 6 });
  return { descriptor: describe(`${OCI}.layer.v1.tar+gzip`, blob), blob, diffId: digestOf(archive) };
}

export function makeImage(options: { readonly layers: readonly Layer[]; readonly config: ImageConfig; readonly architecture: Architecture }): OciImage {
  const { layers, config, architecture } = options;
  const rootfs = { type: 'layers', diff_ids: layers.map((l) => l.diffId) };
  const configBlob = Buffer.from(JSON.stringify({ created: CREATED, architecture, os: 'linux', config, rootfs, history: layers.map(() => ({ created: CREATED })) }));
  const configDescriptor = describe(`${OCI}.config.v1+json`, configBlob);
  const manifestBlob = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, config: configDescriptor, layers: layers.map((l) => l.descriptor) }));
  const manifest = describe(MANIFEST, manifestBlob);
  const blobs = new Map([[configDescriptor.digest, configBlob], [manifest.digest, manifestBlob], ...layers.map((l) => [l.descriptor.digest, l.blob] as const)]);
  return { manifest, config: configDescriptor, blobs };
}

/** An OCI layout in one tar, as `ctr images import` and `podman load` take it. Names are complete: `docker.io/library/busybox:1.37`. */
export function imageArchive(images: ReadonlyMap<string, OciImage>): Buffer {
  const blobs = new Map<string, Buffer>();
  const manifests: object[] = [];
  for (const [name, image] of images) {
    manifests.push({ ...image.manifest, annotations: { 'io.containerd.image.name': name, 'org.opencontainers.image.ref.name': name.slice(name.lastIndexOf(':') + 1) } });
    for (const [digest, blob] of image.blobs) blobs.set(digest, blob);
  }
  return tar([
    { name: 'oci-layout', data: Buffer.from('{"imageLayoutVersion":"1.0.0"}') },
    { name: 'blobs', type: 'directory' },
    { name: 'blobs/sha256', type: 'directory' },
    ...[...blobs].map(([digest, data]) => ({ name: `blobs/sha256/${digest.slice('sha256:'.length)}`, data })),
    { name: 'index.json', data: Buffer.from(JSON.stringify({ schemaVersion: 2, manifests })) },
  ]);
}
