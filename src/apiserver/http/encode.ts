/** From results to bytes, in the form that was negotiated. JSON of stored objects exists already and is only put together. */
import type * as metaV1 from '#api/gen/meta-v1.ts';
import { apiVersionOf, splitApiVersion, type KubeObject } from '#api/object.ts';
import { structByKind } from '#api/schema.ts';
import { objectText, printedObject } from '#machinery/object-text.ts';
import { encodeObject } from '#machinery/protobuf.ts';
import { notAcceptable } from '#machinery/status-error.ts';
import { dumpYaml } from '#machinery/yaml.ts';
import type { MaybePromise } from '../interfaces.ts';
import { internalPackage, JSON_TYPE, PROTOBUF_TYPE, YAML_TYPE } from '../registry/body.ts';
import type { CacheEntry } from '../registry/object-cache.ts';
import type { ServedResource } from '../registry/resource-registry.ts';
import type { ListResult } from '../request.ts';
import { ENTRIES_A_TURN, joinList, listFrame, listParts, LONG_LIST } from './join-list.ts';
import type { Accepted } from './negotiation.ts';
import { ListBodies } from './list-bodies.ts';
import { metaVersion, partialMetadata, tableOf, type IncludeObject, type Shown } from './table.ts';

export interface Format extends Accepted {
  readonly indent: boolean;
  readonly include: IncludeObject;
  readonly now: number;
}
export interface Encoded {
  readonly contentType: string;
  readonly body: Buffer;
}

/** A body that is made while it is sent. */
export interface EncodedParts {
  readonly contentType: string;
  readonly parts: AsyncIterable<Buffer>;
}

/** Any value of the API that has no bytes yet. */
export function encodeValue(object: KubeObject, format: Format): Encoded {
  switch (format.mediaType) {
    case YAML_TYPE:
      return { contentType: YAML_TYPE, body: Buffer.from(dumpYaml(printedObject(object))) };
    case PROTOBUF_TYPE:
      return { contentType: PROTOBUF_TYPE, body: protobufOf(object) };
    default:
      return { contentType: JSON_TYPE, body: Buffer.from(format.indent ? objectText(object, 2) : `${objectText(object)}\n`) };
  }
}

/** An object's protobuf bytes with their envelope. */
export function protobufOf(object: KubeObject): Buffer {
  const { apiVersion = '', kind = '' } = object;
  // The documents of `/api` name no version of themselves.
  const { group, version } = splitApiVersion(apiVersion || 'v1');
  const type = structByKind(group, version, kind);
  if (!type) throw notAcceptable(`${apiVersion}, Kind=${kind} has no protobuf form`);
  return encodeObject(object as unknown as Readonly<Record<string, unknown>>, type);
}

export function encodeEntry(entry: CacheEntry, format: Format): Encoded {
  if (format.mediaType !== JSON_TYPE || format.indent) return encodeValue(entry.object, format);
  return { contentType: JSON_TYPE, body: entry.line };
}

export function listMeta(list: ListResult): metaV1.ListMeta {
  return {
    resourceVersion: list.resourceVersion,
    ...(list.continue === undefined ? {} : { continue: list.continue }),
    ...(list.remainingItemCount === undefined ? {} : { remainingItemCount: list.remainingItemCount }),
  };
}

/** Long lists take several turns of the event loop, which end with an error when `signal` aborts. */
export function encodeList(list: ListResult, format: Format, signal: AbortSignal): MaybePromise<Encoded | EncodedParts> {
  const { info } = list.served;
  const metadata = listMeta(list);
  if (format.transform === 'Table') {
    return encodeValue(tableOf(list.served, list.entries, metadata, { version: format.version, include: format.include, now: format.now }) as unknown as KubeObject, format);
  }
  if (format.transform === 'PartialObjectMetadata') throw notAcceptable(`you requested PartialObjectMetadata, but the requested object is a list (*${internalPackage(info.group)}.${info.listKind})`);
  if (format.transform !== undefined) {
    const items = list.entries.map((e) => partialMetadata(list.served, e.object, format.version));
    return encodeValue({ kind: 'PartialObjectMetadataList', apiVersion: metaVersion(format.version), metadata, items } as unknown as KubeObject, format);
  }
  // Lists of custom resources always say whether there is more.
  const head = { kind: info.listKind, apiVersion: apiVersionOf(info.group, info.version), metadata: list.served.codec.structType ? metadata : { continue: '', ...metadata } };
  if (format.mediaType === JSON_TYPE && !format.indent) return joined(list, head, signal);
  const items = list.entries.map((e) => (format.mediaType === PROTOBUF_TYPE ? e.object : listItem(e.object, list.served)));
  return encodeValue({ ...head, items } as unknown as KubeObject, format);
}
function joined({ served, entries, remembered, resourceVersion }: ListResult, head: Parameters<typeof listFrame>[0], signal: AbortSignal): MaybePromise<Encoded | EncodedParts> {
  const prefix = typePrefix(served);
  const frame = listFrame(head, !served.codec.structType);
  if (entries.length > LONG_LIST) return { contentType: JSON_TYPE, parts: listParts(frame, entries, prefix, signal) };
  const known = remembered ? bodies.find(remembered, resourceVersion) : undefined;
  if (known) return { contentType: JSON_TYPE, body: known };
  const made = (body: Buffer): Encoded => {
    if (remembered) bodies.put(remembered, resourceVersion, body, entries.length);
    return { contentType: JSON_TYPE, body };
  };
  if (entries.length <= ENTRIES_A_TURN) return made(joinList(frame, entries, prefix));
  return Array.fromAsync(listParts(frame, entries, prefix, signal, remembered !== undefined)).then((parts) => made(Buffer.concat(parts)));
}
/** Items of built-in kinds do not repeat what the list says of them; those of custom resources do. */
function listItem(object: KubeObject, { codec }: ServedResource): object {
  if (!codec.structType) return object;
  const { kind: _kind, apiVersion: _apiVersion, ...item } = object;
  return item;
}
const prefixes = new WeakMap<ServedResource, Buffer>();
/** What the JSON of each of the resource's objects begins with and an item of a list leaves out; empty: nothing. */
function typePrefix(served: ServedResource): Buffer {
  let prefix = prefixes.get(served);
  if (!prefix) {
    const { group, version, kind } = served.info;
    prefix = Buffer.from(served.codec.structType ? `{"kind":${JSON.stringify(kind)},"apiVersion":${JSON.stringify(apiVersionOf(group, version))},` : '');
    prefixes.set(served, prefix);
  }
  return prefix;
}
const bodies = new ListBodies();

/** A kind that has other shapes, with the group that it is of. */
export interface ShownKind extends Shown {
  readonly info: Pick<ServedResource['info'], 'group'>;
}
export function encodeObjectResult(object: KubeObject, entry: CacheEntry | undefined, format: Format, served: ShownKind | undefined): Encoded {
  if (format.transform === 'Table' && served && object.kind !== 'Status') {
    const shown = entry ?? ({ object } as CacheEntry);
    const metadata = object.metadata.resourceVersion ? { resourceVersion: object.metadata.resourceVersion } : {};
    return encodeValue(tableOf(served, [shown], metadata, { version: format.version, include: format.include, now: format.now }) as unknown as KubeObject, format);
  }
  if (format.transform === 'PartialObjectMetadata' && served && object.kind !== 'Status') return encodeValue(partialMetadata(served, object, format.version) as KubeObject, format);
  if (format.transform === 'PartialObjectMetadataList' && served && object.kind !== 'Status') {
    throw notAcceptable(`you requested PartialObjectMetadataList, but the requested object is not a list (*${internalPackage(served.info.group)}.${object.kind ?? ''})`);
  }
  return entry ? encodeEntry(entry, format) : encodeValue(object, format);
}
