/**
 * Strategic merge patch: merge patch that knows the type it patches. Lists with a merge key merge item by item; the
 * directives `$patch`, `$retainKeys`, `$setElementOrder/…` and `$deleteFromPrimitiveList/…` steer it.
 * Source: the API reference's "Strategic merge patch" and the sig-cli design of list order.
 */
import type { StructType, TypeRef } from '#api/schema.ts';
import { getOwn, setOwn } from '#base/own.ts';
import { badRequest } from '../status-error.ts';
import { goString, goValue, jsonKind } from './go-format.ts';
import { isArray, isObject, jsonEqual, shallowCopy, type JsonDraft, type JsonObject } from './json.ts';
import {
  asList, checkAgainstOrder, DELETE_FROM_PRIMITIVE_LIST, DIRECTIVE, elementType, findByKey, keyOfItem, MAP_TYPE, noMergeKey, orderMerged,
  RETAIN_KEYS, SET_ELEMENT_ORDER,
} from './strategic-lists.ts';
import { fieldMeta, listMeta, structRef, typeName, type FieldPatchMeta } from './strategic-schema.ts';

/** How a patch merges: into an object, or into another patch (where directives have to survive). */
export interface MergeMode {
  readonly intoPatch: boolean;
}

/**
 * The object with the patch merged in. Neither argument is changed; the result shares with them what stayed the same.
 * Throws 400 for a malformed patch or directive (`map: map[image:x] does not contain declared merge key: name`), 422 for lists of lists.
 */
export function applyStrategicMergePatch(doc: unknown, patch: unknown, type: StructType): unknown {
  if (patch === null || patch === undefined) return doc;
  if (!isObject(patch)) throw badRequest(`json: cannot unmarshal ${jsonKind(patch)} into Go value of type map[string]interface {}`);
  return mergeObjects(isObject(doc) ? doc : {}, patch, structRef(type), { intoPatch: false });
}

/** Merges a patch into an object, or (`intoPatch`) into another patch, of the given type. */
export function mergeObjects(original: JsonObject, patch: JsonObject, type: TypeRef, mode: MergeMode): JsonObject {
  if (Object.hasOwn(patch, DIRECTIVE)) return replaceOrDelete(patch);
  const merging = new ObjectMerge(original, patch, type, mode);
  merging.retainKeys();
  merging.orderedLists();
  merging.fields();
  return merging.out;
}

function replaceOrDelete(patch: JsonObject): JsonObject {
  const directive = patch[DIRECTIVE];
  if (directive === 'delete') return {};
  if (directive !== 'replace') throw unknownDirective(directive, patch);
  return without(patch, DIRECTIVE);
}

const unknownDirective = (directive: unknown, patch: JsonObject) => badRequest(`unknown patch type: ${goString(directive)} in map: ${goValue(patch)}`);

function without(obj: JsonObject, key: string): JsonObject {
  const out = shallowCopy(obj);
  delete out[key];
  return out;
}

/** The field that a directive such as `$setElementOrder/containers` is about; undefined when the key is no such directive. */
function directiveField(key: string, prefix: string): string | undefined {
  if (!key.startsWith(prefix)) return undefined;
  if (key[prefix.length] === '/') return key.slice(prefix.length + 1);
  throw badRequest(`invalid patch format of ${prefix === SET_ELEMENT_ORDER ? 'setElementOrder list' : 'primitive list'}`);
}

class ObjectMerge {
  readonly out: JsonDraft;
  readonly #patch: JsonDraft;
  readonly #type: TypeRef;
  readonly #mode: MergeMode;

  constructor(original: JsonObject, patch: JsonObject, type: TypeRef, mode: MergeMode) {
    this.out = shallowCopy(original);
    this.#patch = shallowCopy(patch);
    this.#type = type;
    this.#mode = mode;
  }

  /** `$retainKeys`: drops the fields that it does not list. Between patches the directive is only carried over. */
  retainKeys(): void {
    const listed = getOwn(this.#patch, RETAIN_KEYS);
    if (!Object.hasOwn(this.#patch, RETAIN_KEYS)) return;
    delete this.#patch[RETAIN_KEYS];
    if (this.#mode.intoPatch) {
      const own = getOwn(this.out, RETAIN_KEYS);
      if (own !== undefined && !jsonEqual(own, listed)) {
        throw badRequest(`${goValue(own)} and ${goValue(listed)} are not deep equal: this may happen when calculating the 3-way diff patch`);
      }
      this.out[RETAIN_KEYS] = listed;
      return;
    }
    if (!isArray(listed)) throw badRequest('invalid patch format of retainKeys');
    const keep = new Set(listed);
    for (const key of Object.keys(this.#patch)) {
      if (this.#patch[key] === null || key.startsWith(DELETE_FROM_PRIMITIVE_LIST) || key.startsWith(SET_ELEMENT_ORDER)) continue;
      if (!keep.has(key)) throw badRequest('invalid patch format of retainKeys');
    }
    for (const key of Object.keys(this.out)) if (!keep.has(key)) delete this.out[key];
  }

  /** `$setElementOrder/<field>`: merges the field's list and puts it in order; the field is then done. */
  orderedLists(): void {
    for (const key of Object.keys(this.#patch)) {
      const field = directiveField(key, SET_ELEMENT_ORDER);
      if (field === undefined) continue;
      const order = this.#patch[key];
      delete this.#patch[key];
      if (this.#mode.intoPatch) this.#carryOrder(key, order);
      this.#orderedList(field, asList(order));
    }
  }

  #carryOrder(key: string, order: unknown): void {
    const own = getOwn(this.out, key);
    if (own !== undefined && !jsonEqual(own, order)) throw badRequest('invalid patch format of setElementOrder list');
    setOwn(this.out, key, order);
  }

  #orderedList(field: string, order: readonly unknown[]): void {
    const has = Object.hasOwn(this.out, field);
    const patched = Object.hasOwn(this.#patch, field);
    const original = has ? asList(this.out[field]) : [];
    const patch = patched ? asList(this.#patch[field]) : [];
    const meta = listMeta(this.#type, field);
    checkAgainstOrder(patch, order, meta.mergeKey);
    if (!has && !patched) return;
    const merged = !patched ? original : !has ? (withoutDirectives(patch) as readonly unknown[]) : mergeListField(original, patch, meta, this.#mode);
    elementType(original, patch);
    setOwn(this.out, field, orderMerged(merged, order, original, meta.mergeKey));
    delete this.#patch[field];
  }

  fields(): void {
    for (const key of Object.keys(this.#patch)) {
      const value = this.#patch[key];
      const deletionsFor = directiveField(key, DELETE_FROM_PRIMITIVE_LIST);
      if (deletionsFor === undefined) this.#field(key, value);
      else if (this.#mode.intoPatch) setOwn(this.out, key, value);
      else this.#deleteFromList(deletionsFor, value);
    }
  }

  #deleteFromList(field: string, toDelete: unknown): void {
    const current = getOwn(this.out, field);
    if (toDelete === null) delete this.out[field];
    if (!isArray(current) || !isArray(toDelete)) return;
    const meta = listMeta(this.#type, field);
    setOwn(this.out, field, mergeLists(current, toDelete, meta, this.#mode, true));
  }

  #field(key: string, value: unknown): void {
    if (value === null) {
      delete this.out[key];
      if (this.#mode.intoPatch) setOwn(this.out, key, null);
      return;
    }
    const current = getOwn(this.out, key);
    if (isObject(value) && isObject(current)) {
      const meta = fieldMeta(this.#type, key);
      setOwn(this.out, key, meta.strategy === 'replace' ? value : mergeObjects(current, value, meta.type, this.#mode));
    } else if (isArray(value) && isArray(current)) {
      setOwn(this.out, key, mergeListField(current, value, listMeta(this.#type, key), this.#mode));
    } else {
      this.#take(key, value);
    }
  }

  /** The patch's value as it is. An object that is itself a directive leaves no field behind. */
  #take(key: string, value: unknown): void {
    const kept = withoutDirectives(this.#mode.intoPatch ? value : withoutNulls(value));
    if (kept === undefined) delete this.out[key];
    else setOwn(this.out, key, kept);
  }
}

/** Objects that carry `$patch` are left out, at any depth; undefined when the value is one itself. */
function withoutDirectives(value: unknown): unknown {
  if (isArray(value)) return value.map(withoutDirectives).filter((v) => v !== undefined);
  if (!isObject(value)) return value;
  if (Object.hasOwn(value, DIRECTIVE)) return undefined;
  const out: JsonDraft = {};
  for (const key of Object.keys(value)) {
    const kept = withoutDirectives(value[key]);
    if (kept !== undefined) setOwn(out, key, kept);
  }
  return out;
}

/** Null fields are left out, at any depth; null items of lists stay. */
function withoutNulls(value: unknown): unknown {
  if (isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  const out: JsonDraft = {};
  for (const key of Object.keys(value)) if (value[key] !== null) setOwn(out, key, withoutNulls(value[key]));
  return out;
}

function mergeListField(original: readonly unknown[], patch: readonly unknown[], meta: FieldPatchMeta, mode: MergeMode): readonly unknown[] {
  return meta.strategy === 'merge' ? mergeLists(original, patch, meta, mode, false) : patch;
}

function mergeLists(original: readonly unknown[], patch: readonly unknown[], meta: FieldPatchMeta, mode: MergeMode, deleting: boolean): readonly unknown[] {
  if (original.length === 0 && patch.length === 0) return original;
  if (elementType(original, patch) !== MAP_TYPE) {
    if (deleting) {
      const gone = new Set(patch);
      return original.filter((item) => !gone.has(item));
    }
    return orderMerged([...new Set([...original, ...patch])], patch, original, meta.mergeKey);
  }
  if (meta.mergeKey === '') throw badRequest(`cannot merge lists without merge key for ${typeName(meta.type)}`);
  const plain = listDirectives(original, patch, meta.mergeKey);
  const merged = mergeItems(plain.original, plain.patch, meta, mode);
  return orderMerged(merged, plain.patch, plain.original, meta.mergeKey);
}

/** Carries out the items that are directives: `{$patch: delete, <key>: …}` and `{$patch: replace}`. */
function listDirectives(original: readonly unknown[], patch: readonly unknown[], mergeKey: string): { original: readonly unknown[]; patch: readonly unknown[] } {
  const plain: unknown[] = [];
  const deleted: unknown[] = [];
  let replace = false;
  for (const item of patch as readonly JsonObject[]) {
    if (!Object.hasOwn(item, DIRECTIVE)) plain.push(item);
    else if (item[DIRECTIVE] === 'replace') replace = true;
    else if (item[DIRECTIVE] === 'merge') throw badRequest('merging lists cannot yet be specified in the patch');
    else if (item[DIRECTIVE] !== 'delete') throw unknownDirective(item[DIRECTIVE], item);
    else if (!Object.hasOwn(item, mergeKey)) throw noMergeKey(item, mergeKey);
    else deleted.push(item[mergeKey]);
  }
  if (replace) return { original: plain, patch: [] };
  if (deleted.length === 0) return { original, patch: plain };
  const gone = new Set(deleted);
  return { original: original.filter((item) => !gone.has(getOwn(item as JsonObject, mergeKey))), patch: plain };
}

function mergeItems(original: readonly unknown[], patch: readonly unknown[], meta: FieldPatchMeta, mode: MergeMode): unknown[] {
  const out = [...original];
  for (const item of patch) {
    const key = keyOfItem(item, meta.mergeKey);
    const at = findByKey(out, meta.mergeKey, key);
    if (at < 0) out.push(item);
    else out[at] = mergeObjects(out[at] as JsonObject, item as JsonObject, meta.type, mode);
  }
  return out;
}
