import type { KubeObject } from '#api/object.ts';
import { setOwn } from '#base/own.ts';
import { objectText, readObjectText } from '#machinery/object-text.ts';
import type { ValuesAtHand } from './contract.ts';
import { BEFORE_VERSION, exactBuffer, locateVersion, spliceInto, spliceVersion, VERSION_BYTES, type Encoded } from './encoded.ts';
import { KeptBytes, type Keeper, type Kept } from './kept-bytes.ts';

const OPEN = 0x7b;
/** JSON of entries: it can be made again, by a copy out of the store. */
const keptBytes = new KeptBytes(8 * 1024 * 1024);
/** Objects of entries whose values the store has at hand, counted by their values: they take two or three times that. Enough for all objects of most clusters. */
const keptObjects = new KeptBytes(16 * 1024 * 1024);
/**
 * What was written and not asked for again since. Little, so that a burst of writes leaves young garbage alone: what grows old before it dies is what makes
 * the heap large.
 */
const keptFresh = new KeptBytes(256 * 1024);

/** Where an entry's value lies, while it is the newest of its key. */
export type ValueSource = Pick<ValuesAtHand, 'view'>;

/**
 * One revision of an object as everybody in the process shares it: never changed, replaced as a whole. With a source, the object and its
 * bytes may go and come again, so `object` may then be another one, but always an equal one.
 */
export class Entry<T extends KubeObject = KubeObject> implements Keeper {
  readonly key: string;
  /** The object's resourceVersion as a number. */
  readonly revision: number;
  /** Bytes of its value in the store; 0 for what was not read from there. */
  readonly size: number;
  #source: ValueSource | undefined;
  #object: T | undefined;
  #line: Buffer | undefined;
  /** The bytes in the store and where the resourceVersion belongs in them, until {@link line} is made of them. */
  #encoded: Encoded | undefined;
  #keptObject: Kept | undefined;
  /** Of {@link #line} or {@link #encoded}. */
  #keptBytes: Kept | undefined;

  /** `object` may be undefined when there is a `source`. */
  constructor(key: string, object: T | undefined, revision: number, encoded?: Encoded, source?: ValueSource, size = encoded?.bytes.length ?? 0) {
    this.key = key;
    this.revision = revision;
    this.size = size;
    this.#source = source;
    this.#object = object;
    if (object && source) this.#keptObject = keptFresh.keep(this, size);
    if (encoded) {
      this.#encoded = encoded;
      this.#keptBytes = keptFresh.keep(this, encoded.bytes.length);
    }
  }

  /** Has `metadata.resourceVersion` set. Deeply readonly. */
  get object(): T {
    if (this.#object) return this.#object;
    const { bytes, start, end } = this.#source!.view(this.revision);
    const object = (this.#object = decodeText<T>(this.key, bytes.toString('utf8', start, end), this.revision));
    this.#keptObject = keptObjects.keep(this, this.size);
    return object;
  }

  /** The object's JSON with its resourceVersion and a line end: the body of an answer. Kept for the next who asks. Do not change the bytes. */
  get line(): Buffer {
    if (this.#line) return this.#line;
    const line = this.passingLine;
    const chain = this.#encoded ? keptFresh : keptBytes;
    this.#dropBytes();
    this.#line = line;
    this.#keptBytes = chain.keep(this, line.length);
    return line;
  }
  /** {@link line}, but not kept where it was not there already. */
  get passingLine(): Buffer {
    if (this.#line) return this.#line;
    const encoded = this.#encoded ?? this.#stored();
    return encoded ? spliceVersion(encoded, this.revision) : exactBuffer(`${objectText(this.object)}\n`);
  }
  /**
   * Writes {@link passingLine} into a list, for which `prefix` is left out where it begins with that, save the brace. Returns the offset
   * behind it; undefined when there is no room.
   */
  writeItem(out: Buffer, to: number, prefix: Buffer): number | undefined {
    const encoded = this.#line ? undefined : (this.#encoded ?? this.#stored());
    const line = encoded ? undefined : this.passingLine;
    const { bytes, start, end } = encoded ?? { bytes: line!, start: 0, end: line!.length };
    if (out.length - to < end - start + VERSION_BYTES) return undefined;
    const skip = prefix.length > 0 && bytes.compare(prefix, 0, prefix.length, start, start + prefix.length) === 0 ? prefix.length - 1 : 0;
    const behind = encoded ? spliceInto(encoded, this.revision, out, to, skip) : to + bytes.copy(out, to, start + skip, end);
    if (skip > 0) out[to] = OPEN;
    return behind;
  }
  /** More bytes than {@link writeItem} needs, for what is in a store as it would be written now; else a guess. */
  get itemBytes(): number {
    return (this.size || 1000) + VERSION_BYTES;
  }
  #stored(): Encoded | undefined {
    if (!this.#source) return undefined;
    const { bytes, start, end } = this.#source.view(this.revision);
    return locateVersion(bytes, start, end);
  }
  /** {@link line} without its end. */
  get json(): Buffer {
    return this.line.subarray(0, -1);
  }

  /** The entry was replaced: few will ask for it again, and the source will not have it much longer. */
  release(): void {
    this.#dropBytes();
    if (!this.#source) return;
    this.#object = this.object;
    this.#source = undefined;
    this.#keptObject?.drop();
    this.#keptObject = undefined;
  }
  #dropBytes(): void {
    this.#keptBytes?.drop();
    this.#keptBytes = this.#line = this.#encoded = undefined;
  }
  /** {@link KeptBytes}: there is too much. */
  evicted(kept: Kept): void {
    if (kept === this.#keptObject) this.#keptObject = this.#object = undefined;
    else this.#keptBytes = this.#line = this.#encoded = undefined;
  }

  /** Whether a write of these bytes would change nothing but the resourceVersion. */
  holds(encoded: Encoded): boolean {
    const own = this.#encoded ?? this.#source?.view(this.revision);
    if (own) return own.bytes.compare(encoded.bytes, encoded.start, encoded.end, own.start, own.end) === 0;
    return this.line.equals(spliceVersion(encoded, this.revision));
  }
}

/** The object with another resourceVersion, sharing everything but the metadata's first level. */
export function withRevision<T extends KubeObject>(object: T, revision: number): T {
  const metadata: Record<string, unknown> = {};
  let placed = false;
  for (const [key, value] of Object.entries(object.metadata)) {
    if (value === undefined || key === 'resourceVersion') continue;
    if (!placed && !BEFORE_VERSION.has(key)) {
      metadata['resourceVersion'] = String(revision);
      placed = true;
    }
    setOwn(metadata, key, value);
  }
  if (!placed) metadata['resourceVersion'] = String(revision);
  return { ...object, metadata };
}

/** The object of a value that was read from the store. Throws when the value is no JSON object with metadata. */
export function decodeObject<T extends KubeObject>(key: string, value: Buffer, revision: number): T {
  return decodeText(key, value.toString('utf8'), revision);
}
function decodeText<T extends KubeObject>(key: string, text: string, revision: number): T {
  let object: unknown;
  try {
    object = readObjectText(text);
  } catch (err) {
    throw new Error(`the stored value of "${key}" at revision ${revision} is not JSON`, { cause: err });
  }
  if (!isKubeObject(object)) throw new Error(`the stored value of "${key}" at revision ${revision} is not an object with metadata`);
  return withRevision(object as T, revision);
}
function isKubeObject(value: unknown): value is KubeObject {
  return typeof value === 'object' && value !== null && 'metadata' in value && typeof value.metadata === 'object' && value.metadata !== null;
}
