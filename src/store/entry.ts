import type { KubeObject } from '#api/object.ts';
import { readJson } from '#machinery/json.ts';
import { KeptBytes, type Kept } from './kept-bytes.ts';

/** Bytes of entries: they can be made again of the object, which costs about as much as copying them ten times. */
const kept = new KeptBytes(32 * 1024 * 1024);

/**
 * One revision of an object as everybody in the process shares it: never changed, replaced as a whole.
 */
export class Entry<T extends KubeObject = KubeObject> {
  readonly key: string;
  /** Has `metadata.resourceVersion` set. Deeply readonly. */
  readonly object: T;
  /** The object's resourceVersion as a number. */
  readonly revision: number;
  /** Bytes of its value in the store; 0 for what was not read from there. */
  readonly size: number;
  /** {@link line}, while it is kept. */
  #line: Kept<Buffer> | undefined;
  /** The bytes in the store and where the resourceVersion belongs in them, until {@link line} is made of them. */
  #encoded: Kept<Encoded> | undefined;

  constructor(key: string, object: T, revision: number, encoded?: Encoded, size = encoded?.bytes.length ?? 0) {
    this.key = key;
    this.object = object;
    this.revision = revision;
    this.size = size;
    this.#encoded = encoded && kept.keep(encoded, encoded.bytes.length);
  }

  /** The object's JSON with its resourceVersion and a line end: the body of an answer. Kept for the next who asks. Do not change the bytes. */
  get line(): Buffer {
    let line = this.#line?.value;
    if (!line) {
      const encoded = this.#encoded?.value;
      line = encoded ? spliceVersion(encoded, this.revision) : exactBuffer(`${JSON.stringify(this.object)}\n`);
      this.#line = kept.keep(line, line.length);
      this.#encoded?.drop();
      this.#encoded = undefined;
    }
    return line;
  }
  /** {@link line} where it is there already. */
  get keptLine(): Buffer | undefined {
    return this.#line?.value;
  }
  /** {@link line} without its end. */
  get json(): Buffer {
    return this.line.subarray(0, -1);
  }

  /** Lets go of the bytes: the entry was replaced, and few will ask for it again. */
  release(): void {
    this.#line?.drop();
    this.#encoded?.drop();
  }

  /** Whether a write of these bytes would change nothing but the resourceVersion. */
  holds(encoded: Encoded): boolean {
    const own = this.#encoded?.value;
    return own ? own.bytes.equals(encoded.bytes) : this.line.equals(spliceVersion(encoded, this.revision));
  }
}

/** An object's JSON without `metadata.resourceVersion`: what the store keeps. */
export interface Encoded {
  readonly bytes: Buffer;
  /** Offset at which `"resourceVersion":"…"` belongs. */
  readonly at: number;
  /** Commas that the insertion needs around it. */
  readonly before: boolean;
  readonly after: boolean;
}

/** Where Go's encoder writes the resourceVersion: after these fields of the metadata. */
const BEFORE_VERSION: ReadonlySet<string> = new Set(['name', 'generateName', 'namespace', 'selfLink', 'uid']);

/** Serialises an object once, so that its resourceVersion can be put in later by copying bytes. */
export function encodeObject(object: KubeObject): Encoded {
  const [head, tail] = split(object, (key) => key !== 'metadata');
  const { resourceVersion: _, ...metadata } = object.metadata;
  const [early, late] = split(metadata, (key) => BEFORE_VERSION.has(key));
  const start = `{${head}${head === '' ? '' : ','}"metadata":{${early}`;
  const text = `${start}${early !== '' && late !== '' ? ',' : ''}${late}}${tail === '' ? '' : ','}${tail}}`;
  return { bytes: exactBuffer(text), at: Buffer.byteLength(start), before: early !== '', after: late !== '' };
}

/**
 * The members of a JSON object, without braces, in two parts: those of the leading keys that `early` accepts, and the
 * rest save the key `metadata`.
 */
function split(object: object, early: (key: string) => boolean): [string, string] {
  const members = Object.entries(object).filter(([, value]) => value !== undefined);
  let cut = members.findIndex(([key]) => !early(key));
  if (cut < 0) cut = members.length;
  const text = (part: [string, unknown][]): string => JSON.stringify(Object.fromEntries(part)).slice(1, -1);
  return [text(members.slice(0, cut)), text(members.slice(cut).filter(([key]) => key !== 'metadata'))];
}

const LINE_END = 0x0a;
function spliceVersion({ bytes, at, before, after }: Encoded, revision: number): Buffer {
  const text = `${before ? ',' : ''}"resourceVersion":"${revision}"${before || !after ? '' : ','}`;
  const out = Buffer.allocUnsafeSlow(bytes.length + text.length + 1);
  bytes.copy(out, 0, 0, at);
  out.write(text, at, 'latin1');
  bytes.copy(out, at + text.length, at);
  out[out.length - 1] = LINE_END;
  return out;
}

/** The text as UTF-8 in memory of its own: a slice of Node's pool would keep the whole slab alive. */
function exactBuffer(text: string): Buffer {
  const out = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  out.write(text);
  return out;
}

/** The object with another resourceVersion, sharing everything but the metadata's first level. */
export function withRevision<T extends KubeObject>(object: T, revision: number): T {
  const members = Object.entries(object.metadata).filter(([key, value]) => value !== undefined && key !== 'resourceVersion');
  const at = members.findIndex(([key]) => !BEFORE_VERSION.has(key));
  members.splice(at < 0 ? members.length : at, 0, ['resourceVersion', String(revision)]);
  // Not by assignment: `__proto__` is a member like any other.
  return { ...object, metadata: Object.fromEntries(members) };
}

/** The object of a value that was read from the store. Throws when the value is no JSON object with metadata. */
export function decodeObject<T extends KubeObject>(key: string, value: Buffer, revision: number): T {
  let object: unknown;
  try {
    object = readJson(value.toString('utf8'));
  } catch (err) {
    throw new Error(`the stored value of "${key}" at revision ${revision} is not JSON`, { cause: err });
  }
  if (!isKubeObject(object)) throw new Error(`the stored value of "${key}" at revision ${revision} is not an object with metadata`);
  return withRevision(object as T, revision);
}
function isKubeObject(value: unknown): value is KubeObject {
  return typeof value === 'object' && value !== null && 'metadata' in value && typeof value.metadata === 'object' && value.metadata !== null;
}
