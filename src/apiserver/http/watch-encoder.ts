/** Frames of a watch: `{"type":…,"object":…}` lines in JSON, length-delimited messages in protobuf. */
import type { KubeObject } from '#api/object.ts';
import { objectText } from '#machinery/object-text.ts';
import { encodeWatchFrame } from '#machinery/protobuf.ts';
import { JSON_TYPE } from '../registry/body.ts';
import type { CacheEntry } from '../registry/object-cache.ts';
import type { ServedResource } from '../registry/resource-registry.ts';
import type { WatchedEvent } from '../request.ts';
import { protobufOf, type Format } from './encode.ts';
import { partialMetadata, tableOf } from './table.ts';

const END = Buffer.from('}\n');
const HEADS = {
  ADDED: Buffer.from('{"type":"ADDED","object":'),
  MODIFIED: Buffer.from('{"type":"MODIFIED","object":'),
  DELETED: Buffer.from('{"type":"DELETED","object":'),
};

/** The newest frames: many watchers want the same ones at the same time. */
const frames = new Map<CacheEntry, { readonly type: string; readonly frame: Buffer }>();
const MAX_FRAMES_BYTES = 4 * 1024 * 1024;
let framesBytes = 0;
function jsonFrame(type: keyof typeof HEADS, entry: CacheEntry): Buffer {
  const known = frames.get(entry);
  if (known?.type === type) return known.frame;
  const frame = Buffer.concat([HEADS[type], entry.json, END]);
  if (frame.length > MAX_FRAMES_BYTES / 16) return frame;
  if (known) framesBytes -= known.frame.length;
  frames.set(entry, { type, frame });
  framesBytes += frame.length;
  for (const [oldest, { frame: dropped }] of frames) {
    if (framesBytes <= MAX_FRAMES_BYTES) break;
    frames.delete(oldest);
    framesBytes -= dropped.length;
  }
  return frame;
}

export class WatchEncoder {
  readonly #served: ServedResource;
  readonly #format: Format;
  readonly #now: () => number;
  #headersSent = false;

  constructor(served: ServedResource, format: Format, now: () => number) {
    this.#served = served;
    this.#format = format;
    this.#now = now;
  }
  get contentType(): string {
    const { mediaType } = this.#format;
    return mediaType === JSON_TYPE ? JSON_TYPE : `${mediaType};stream=watch`;
  }
  encode(event: WatchedEvent): Buffer {
    const plain = this.#format.mediaType === JSON_TYPE && this.#format.transform === undefined;
    if (plain && 'entry' in event) return jsonFrame(event.type, event.entry);
    const object = this.#shape(event);
    if (this.#format.mediaType === JSON_TYPE) return Buffer.from(`{"type":${JSON.stringify(event.type)},"object":${objectText(object)}}\n`);
    return encodeWatchFrame(event.type, protobufOf(object));
  }

  #shape(event: WatchedEvent): KubeObject {
    const object = 'entry' in event ? event.entry.object : event.object;
    const { transform, version, include } = this.#format;
    if (transform === undefined || event.type === 'ERROR') return object;
    if (transform !== 'Table') return partialMetadata(this.#served, object, version) as KubeObject;
    // A bookmark has no fields to show: its row carries the metadata alone.
    const entry = ('entry' in event ? event.entry : { object }) as CacheEntry;
    const metadata = object.metadata.resourceVersion ? { resourceVersion: object.metadata.resourceVersion } : {};
    const headers = !this.#headersSent;
    this.#headersSent = true;
    const table = tableOf(this.#served, event.type === 'BOOKMARK' ? [] : [entry], metadata, { version, include, now: this.#now() }, headers);
    if (event.type !== 'BOOKMARK') return table as unknown as KubeObject;
    const rows = [{ cells: this.#served.strategy.columns.map(() => ''), object: partialMetadata(this.#served, object, version) }];
    return { ...table, rows } as unknown as KubeObject;
  }
}
