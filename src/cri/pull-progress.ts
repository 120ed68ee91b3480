/**
 * How far containerd has come with pulling an image, from its content service: CRI itself says nothing until a pull has ended. Only
 * the fields that are read here are described.
 */
import protobuf from 'protobufjs';
import type { CallOptions } from './call.ts';
import type { Channel } from './channel.ts';
import { codecOf } from './schema.ts';

export interface PullProgress {
  /** Bytes of the layers that are here. */
  readonly doneBytes: number;
  /** Bytes of all layers, as the manifest says. */
  readonly totalBytes: number;
}
interface Info {
  readonly digest: string;
  readonly size: number;
  readonly labels: Readonly<Record<string, string>>;
}
interface Status {
  readonly ref: string;
  readonly offset: number;
}
interface Layer {
  readonly digest: string;
  readonly size: number;
}

const HEADERS = { 'containerd-namespace': 'k8s.io' };
/** Manifests are small; whatever is larger is none. */
const MAX_MANIFEST_BYTES = 4 << 20;

const field = (id: number, type: string, rule?: string): protobuf.IField => ({ id, type, ...(rule ? { rule } : {}) });
const root = protobuf.Root.fromJSON({
  nested: {
    ListRequest: { fields: { filters: field(1, 'string', 'repeated') } },
    Info: { fields: { digest: field(1, 'string'), size: field(2, 'int64'), labels: { id: 5, keyType: 'string', type: 'string' } as protobuf.IMapField } },
    ListResponse: { fields: { info: field(1, 'Info', 'repeated') } },
    Status: { fields: { ref: field(3, 'string'), offset: field(4, 'int64') } },
    StatusesResponse: { fields: { statuses: field(1, 'Status', 'repeated') } },
    ReadRequest: { fields: { digest: field(1, 'string') } },
    ReadResponse: { fields: { data: field(2, 'bytes') } },
  },
});
const codec = <T extends object>(name: string) => codecOf<T>(root.lookupType(name));
const CONTENT = '/containerd.services.content.v1.Content';
const LIST = { path: `${CONTENT}/List`, request: codec<{ filters: string[] }>('ListRequest'), response: codec<{ info: Info[] }>('ListResponse') };
const STATUSES = { path: `${CONTENT}/ListStatuses`, request: codec<{ filters: string[] }>('ListRequest'), response: codec<{ statuses: Status[] }>('StatusesResponse') };
const READ = { path: `${CONTENT}/Read`, request: codec<{ digest: string }>('ReadRequest'), response: codec<{ data: Uint8Array }>('ReadResponse') };

/**
 * Undefined where nothing of the image is being fetched now: the pull has yet to begin, is at its end, or the runtime is not containerd.
 * `registry` and `repository` are those of the complete name: `docker.io`, `library/nginx`.
 */
export async function pullProgress(channel: Channel, registry: string, repository: string, options: CallOptions = {}): Promise<PullProgress | undefined> {
  const { statuses } = await channel.unary(STATUSES, {}, options, HEADERS);
  const fetching = new Map(statuses.filter((s) => s.ref.startsWith('layer-')).map((s) => [s.ref.slice('layer-'.length), s.offset]));
  if (fetching.size === 0) return undefined;
  const source = `containerd.io/distribution.source.${registry}`;
  const infos: Info[] = [];
  for await (const { info } of channel.stream(LIST, { filters: [`labels.${JSON.stringify(source)}`] }, options, HEADERS)) infos.push(...info.filter((i) => i.labels[source]?.split(',').includes(repository)));
  const here = new Map(infos.map((i) => [i.digest, i.size]));
  for (const manifest of infos.filter((i) => i.labels['containerd.io/gc.ref.content.config'] !== undefined && i.size <= MAX_MANIFEST_BYTES)) {
    const layers = await layersOf(channel, manifest.digest, options);
    if (!layers.some((l) => fetching.has(l.digest))) continue;
    const sum = (of: (layer: Layer) => number): number => layers.reduce((n, l) => n + of(l), 0);
    return { doneBytes: sum((l) => here.get(l.digest) ?? fetching.get(l.digest) ?? 0), totalBytes: sum((l) => l.size) };
  }
  return undefined;
}
async function layersOf(channel: Channel, digest: string, options: CallOptions): Promise<readonly Layer[]> {
  const parts: Uint8Array[] = [];
  for await (const { data } of channel.stream(READ, { digest }, options, HEADERS)) parts.push(data);
  const { layers } = JSON.parse(Buffer.concat(parts).toString('utf8')) as { layers?: readonly Layer[] };
  return layers ?? [];
}
