/**
 * JSON patch (RFC 6902), with the readings of it that the API server's users rely on:
 * negative array indices count from the end, `replace` of an absent object key adds it, `copy` of an absent key copies
 * null, and `test` takes an absent key for null.
 */
import { draftOf } from '#base/draft.ts';
import { getOwn, setOwn } from '#base/own.ts';
import { badRequest, tooLarge } from '../status-error.ts';
import { jsonKind } from './go-format.ts';
import { isArray, isObject, jsonEqual, shallowCopy, type JsonDraft, type JsonObject } from './json.ts';
import { unprocessablePatch } from './patch-errors.ts';

export const MAX_JSON_PATCH_OPERATIONS = 10_000;
/** Bytes of JSON that the `copy` operations of one patch may add up to. */
export const MAX_JSON_PATCH_COPY_BYTES = 3 * 1024 * 1024;

const OP_FIELDS = new Set('op path from value'.split(' '));

/** An operation that cannot be done; the message says which and why, in the words that patches of mutators are answered with. */
export class JsonPatchError extends Error {
  /** The operation was a test, and the document is not what it was to be. */
  readonly testFailed: boolean;
  constructor(message: string, testFailed = false) {
    super(message);
    this.testFailed = testFailed;
  }
}

/**
 * The document after all operations of a client's patch. Neither argument is changed; the result shares with them what stayed the same.
 * Throws 400 when the patch is not a list of operations, 413 when there are too many, 422 when one does not apply.
 */
export function applyJsonPatch(doc: unknown, patch: unknown, maxCopyBytes: number = MAX_JSON_PATCH_COPY_BYTES): unknown {
  const operations = decodeOperations(patch);
  if (operations.length > MAX_JSON_PATCH_OPERATIONS) {
    throw tooLarge(`The allowed maximum operations in a JSON patch is ${MAX_JSON_PATCH_OPERATIONS}, got ${operations.length}`);
  }
  try {
    return runJsonPatch(doc, operations, maxCopyBytes);
  } catch (err) {
    throw err instanceof JsonPatchError ? unprocessablePatch(err) : err;
  }
}
/** As {@link applyJsonPatch}, for patches that no client sent: throws a {@link JsonPatchError} for an operation that does not apply. */
export function runJsonPatch(doc: unknown, operations: readonly JsonObject[], maxCopyBytes: number = MAX_JSON_PATCH_COPY_BYTES): unknown {
  const patching = new Patching(doc, maxCopyBytes);
  for (const operation of operations) patching.run(operation);
  return patching.doc;
}

/** Field names of operations that RFC 6902 does not know, in the words of strict field validation. */
export function unknownJsonPatchFields(patch: unknown): string[] {
  if (!isArray(patch)) return [];
  return patch.flatMap((op, i) =>
    isObject(op) ? Object.keys(op).filter((k) => !OP_FIELDS.has(k)).map((k) => `json patch unknown field "[${i}].${k}"`) : [],
  );
}

function decodeOperations(patch: unknown): readonly JsonObject[] {
  if (patch === null || patch === undefined) return [];
  const cannot = (value: unknown, into: string) => badRequest(`error decoding patch: json: cannot unmarshal ${jsonKind(value)} into Go ${into}`);
  if (!isArray(patch)) throw cannot(patch, 'value of type []handlers.jsonPatchOp');
  return patch.map((op) => {
    if (op === null) return {};
    if (!isObject(op)) throw cannot(op, 'value of type handlers.jsonPatchOp');
    for (const field of OP_FIELDS) {
      const value = getOwn(op, field);
      if (field !== 'value' && value !== undefined && value !== null && typeof value !== 'string') throw cannot(value, `struct field jsonPatchOp.${field} of type string`);
    }
    return op;
  });
}

type Container = JsonDraft | unknown[];
const isContainer = (value: unknown): value is Container => value !== null && typeof value === 'object';

/** One run of a patch: copies containers on the first write to them. */
class Patching {
  doc: unknown;
  readonly #maxCopyBytes: number;
  readonly #owned = new WeakSet<object>();
  #copiedBytes = 0;

  constructor(doc: unknown, maxCopyBytes: number) {
    this.doc = doc;
    this.#maxCopyBytes = maxCopyBytes;
  }

  run(operation: JsonObject): void {
    const op = getOwn(operation, 'op');
    switch (op) {
      case 'add':
        return this.#add(op, pathOf(operation, op), valueOf(operation));
      case 'remove':
        return this.#remove(op, pathOf(operation, op));
      case 'replace':
        return this.#replace(pathOf(operation, op), valueOf(operation));
      case 'move': {
        const from = sourceOf(operation, op);
        const moved = this.#read(op, from);
        this.#remove(op, from);
        return this.#add(op, pathOf(operation, op), moved);
      }
      case 'copy':
        return this.#copy(sourceOf(operation, op), pathOf(operation, op));
      case 'test':
        return this.#test(pathOf(operation, op), valueOf(operation));
      default:
        throw new JsonPatchError(`Unexpected kind: ${typeof op === 'string' ? op : 'unknown'}`);
    }
  }

  #copy(from: Pointer, path: Pointer): void {
    const value = this.#read('copy', from);
    this.#copiedBytes += value === null ? 0 : Buffer.byteLength(JSON.stringify(value));
    if (this.#maxCopyBytes > 0 && this.#copiedBytes > this.#maxCopyBytes) {
      throw new JsonPatchError(`Unable to complete the copy, the accumulated size increase of copy is ${this.#copiedBytes}, exceeding the limit ${this.#maxCopyBytes}`);
    }
    this.#add('copy', path, draftOf(value));
  }

  #test(path: Pointer, wanted: unknown): void {
    const actual = path.text === '' ? this.doc : this.#read('test', path);
    if (!jsonEqual(actual, wanted)) throw new JsonPatchError(`testing value ${path.text} failed: test failed`, true);
  }

  #replace(path: Pointer, value: unknown): void {
    if (path.text === '') {
      if (!isContainer(value)) throw new JsonPatchError('replace operation value must be object or array');
      this.doc = value;
      return;
    }
    const parent = this.#parentForWrite('replace', path);
    if (isArray(parent)) (parent as unknown[])[existingIndex(parent, path)] = value;
    else setOwn(parent, path.last, value);
  }

  #add(op: string, path: Pointer, value: unknown): void {
    const parent = this.#parentForWrite(op, path);
    if (!isArray(parent)) setOwn(parent, path.last, value);
    else if (path.last === '-') (parent as unknown[]).push(value);
    else (parent as unknown[]).splice(index(path, parent.length + 1, parent.length), 0, value);
  }

  #remove(op: string, path: Pointer): void {
    const parent = this.#parentForWrite(op, path);
    if (isArray(parent)) (parent as unknown[]).splice(existingIndex(parent, path), 1);
    else if (Object.hasOwn(parent, path.last)) delete parent[path.last];
    else throw new JsonPatchError(`error in ${op} for path: '${path.text}': Unable to remove nonexistent key: ${path.last}: missing value`);
  }

  /** The value at a pointer; null for an object key that is not there. */
  #read(op: string, path: Pointer): unknown {
    let at: unknown = this.doc;
    for (const token of path.parents) at = step(at, token);
    if (!isContainer(at) || path.isRoot) throw missing(op, path);
    return isArray(at) ? at[existingIndex(at, path)] : (getOwn(at, path.last) ?? null);
  }

  /** The container of a pointer's last token, owned by this run (so are all above it). */
  #parentForWrite(op: string, path: Pointer): Container {
    if (path.isRoot || !isContainer(this.doc)) throw missing(op, path);
    let at = this.#own(this.doc);
    this.doc = at;
    for (const token of path.parents) {
      const child = step(at, token);
      if (!isContainer(child)) throw missing(op, path);
      const owned = this.#own(child);
      if (owned !== child) {
        if (isArray(at)) (at as unknown[])[atoi(token, at.length)!] = owned;
        else setOwn(at, token, owned);
      }
      at = owned;
    }
    return at;
  }

  #own(container: Container): Container {
    if (this.#owned.has(container)) return container;
    const copy = isArray(container) ? [...container] : shallowCopy(container);
    this.#owned.add(copy);
    return copy;
  }
}

/** A parsed JSON pointer (RFC 6901). What stands before the first slash is ignored. */
interface Pointer {
  readonly text: string;
  readonly parents: readonly string[];
  readonly last: string;
  /** It names the whole document, or nothing at all (it has no slash). */
  readonly isRoot: boolean;
}

const pathOf = (operation: JsonObject, op: string): Pointer => pointer(operation.path, `${op} operation failed to decode path: missing value`);
const sourceOf = (operation: JsonObject, op: string): Pointer => pointer(operation.from, `${op} operation failed to decode from: missing value`);

function pointer(text: unknown, absent: string): Pointer {
  if (typeof text !== 'string') throw new JsonPatchError(absent);
  const tokens = text.split('/').slice(1).map((t) => t.replace(/~[01]/g, (m) => (m === '~1' ? '/' : '~')));
  return { text, parents: tokens.slice(0, -1), last: tokens.at(-1) ?? '', isRoot: tokens.length === 0 };
}

const valueOf = (operation: JsonObject): unknown => getOwn(operation, 'value') ?? null;
const missing = (op: string, path: Pointer) => new JsonPatchError(`${op} operation does not apply: doc is missing path: "${path.text}": missing value`);

function step(at: unknown, token: string): unknown {
  if (isArray(at)) {
    const i = atoi(token, at.length);
    return i === undefined || i < 0 ? undefined : at[i];
  }
  return isObject(at) ? getOwn(at, token) : undefined;
}

/** A decimal index; a negative one counts back from `length`. Undefined when it is no number. */
function atoi(token: string, length: number): number | undefined {
  if (!/^[+-]?\d+$/.test(token)) return undefined;
  const n = Number(token);
  return n < 0 ? n + length : n === 0 ? 0 : n;
}

function index(path: Pointer, length: number, max: number): number {
  const i = atoi(path.last, length);
  if (i === undefined) throw new JsonPatchError(`error for path: '${path.text}': value was not a proper array index: '${path.last}'`);
  if (i < 0 || i > max) throw new JsonPatchError(`error for path: '${path.text}': Unable to access invalid index: ${path.last}: invalid index referenced`);
  return i;
}

function existingIndex(list: readonly unknown[], path: Pointer): number {
  return index(path, list.length, list.length - 1);
}
