/** Strategic merge patches that turn one object into another: two-way, and three-way as `kubectl apply` needs it. */
import type { StructType, TypeRef } from '#api/schema.ts';
import { getOwn, setOwn } from '#base/own.ts';
import { badRequest } from '../status-error.ts';
import { isArray, isObject, jsonEqual, type JsonDraft, type JsonObject } from './json.ts';
import { unprocessablePatch } from './patch-errors.ts';
import { DELETE_FROM_PRIMITIVE_LIST, DIRECTIVE, elementType, keyOfItem, MAP_TYPE, RETAIN_KEYS, SET_ELEMENT_ORDER, sortByOrder } from './strategic-lists.ts';
import { mergeObjects } from './strategic-merge.ts';
import { fieldMeta, listMeta, structRef, type FieldPatchMeta } from './strategic-schema.ts';

interface DiffOptions {
  readonly changes: boolean;
  readonly deletions: boolean;
  readonly setElementOrder: boolean;
}
const EVERYTHING: DiffOptions = { changes: true, deletions: true, setElementOrder: true };

/** The patch that yields `modified` when it is applied to `original`; `{}` when they are equal. */
export function createStrategicMergePatch(original: JsonObject, modified: JsonObject, type: StructType): JsonObject {
  return diffObjects(original, modified, structRef(type), EVERYTHING, false);
}

/**
 * The patch of `kubectl apply`: removes what `original` (the last applied configuration) has and `modified` has not, and
 * sets what differs between `current` (the live object) and `modified`. Fields that others set stay as they are.
 */
export function createThreeWayStrategicMergePatch(original: JsonObject, modified: JsonObject, current: JsonObject, type: StructType): JsonObject {
  const ref = structRef(type);
  const changes = diffObjects(current, modified, ref, { changes: true, deletions: false, setElementOrder: true }, false);
  const deletions = diffObjects(original, modified, ref, { changes: false, deletions: true, setElementOrder: true }, false);
  return mergeObjects(deletions, changes, ref, { intoPatch: true });
}

function diffObjects(original: JsonObject, modified: JsonObject, type: TypeRef, options: DiffOptions, retainKeys: boolean): JsonObject {
  const patch: JsonDraft = {};
  for (const key of Object.keys(modified)) {
    const after = modified[key];
    const before = getOwn(original, key);
    if (!Object.hasOwn(original, key)) {
      if (options.changes) setOwn(patch, key, after);
    } else if (key === DIRECTIVE) {
      if (typeof before !== 'string' || typeof after !== 'string') throw badRequest(`invalid value for special key: ${DIRECTIVE}`);
      if (before !== after) patch[DIRECTIVE] = after;
    } else if (isObject(before) && isObject(after)) diffObjectField(key, before, after, patch, type, options);
    else if (isArray(before) && isArray(after)) diffListField(key, before, after, patch, type, options);
    else if (options.changes && !jsonEqual(before, after)) setOwn(patch, key, after);
  }
  if (options.deletions) for (const key of Object.keys(original)) if (!Object.hasOwn(modified, key)) setOwn(patch, key, null);
  if (retainKeys) addRetainKeys(patch, original, modified);
  return patch;
}

function addRetainKeys(patch: JsonDraft, original: JsonObject, modified: JsonObject): void {
  const kept = Object.keys(modified).filter((key) => modified[key] !== null).sort();
  const hasMore = Object.keys(original).some((key) => !Object.hasOwn(modified, key));
  if (kept.length > 0 && (Object.keys(patch).length > 0 || hasMore)) patch[RETAIN_KEYS] = kept;
}

function diffObjectField(key: string, before: JsonObject, after: JsonObject, patch: JsonDraft, type: TypeRef, options: DiffOptions): void {
  const meta = orEqual(() => fieldMeta(type, key), before, after);
  if (!meta) return;
  if (meta.strategy === 'replace') {
    // As upstream, even when nothing differs: the patch then replaces the object by itself.
    if (options.changes) setOwn(patch, key, after);
    return;
  }
  const inner = diffObjects(before, after, meta.type, options, meta.retainKeys);
  if (Object.keys(inner).length > 0) setOwn(patch, key, inner);
}

/** A field that the type does not know is an error only where it differs. */
function orEqual(lookUp: () => FieldPatchMeta, before: unknown, after: unknown): FieldPatchMeta | undefined {
  try {
    return lookUp();
  } catch (err) {
    if (jsonEqual(before, after)) return undefined;
    throw err;
  }
}

type List = readonly unknown[];
interface ListDiff {
  readonly patch: List;
  readonly deletions: List;
  readonly order: List;
}

function diffListField(key: string, before: List, after: List, patch: JsonDraft, type: TypeRef, options: DiffOptions): void {
  const meta = orEqual(() => listMeta(type, key), before, after);
  if (!meta) return;
  if (meta.strategy !== 'merge') {
    if (options.changes && !jsonEqual(before, after)) setOwn(patch, key, after);
    return;
  }
  const diff = diffLists(before, after, meta, options);
  if (diff.patch.length > 0) setOwn(patch, key, diff.patch);
  if (diff.deletions.length > 0) patch[`${DELETE_FROM_PRIMITIVE_LIST}/${key}`] = diff.deletions;
  if (diff.order.length > 0) patch[`${SET_ELEMENT_ORDER}/${key}`] = diff.order;
}

function diffLists(before: List, after: List, meta: FieldPatchMeta, options: DiffOptions): ListDiff {
  if (before.length === 0) return { patch: options.changes ? after : [], deletions: [], order: [] };
  const kind = elementType(before, after);
  if (kind === '[]interface {}') throw unprocessablePatch('lists of lists are not supported');
  return kind === MAP_TYPE ? diffListsOfObjects(before, after, meta, options) : diffListsOfScalars(before, after, options);
}

function diffListsOfScalars(before: List, after: List, options: DiffOptions): ListDiff {
  const had = new Set(before);
  const has = new Set(after);
  const patch = options.changes ? after.filter((v) => !had.has(v)) : [];
  const deletions = options.deletions ? [...new Set(before.filter((v) => !has.has(v)))].sort() : [];
  const ordered = options.setElementOrder && (deletions.length > 0 || (options.changes && !jsonEqual(before, after)));
  return { patch, deletions, order: ordered ? after : [] };
}

/** Items paired by the text of their merge keys, in its order; items with the same key pair up one after the other. */
function pairByKey(before: List, after: List, mergeKey: string): { old?: JsonObject; new?: JsonObject }[] {
  const keyed = (list: List) =>
    list.map((item) => ({ key: String(keyOfItem(item, mergeKey)), item: item as JsonObject })).sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0));
  const olds = keyed(before);
  const news = keyed(after);
  const out: { old?: JsonObject; new?: JsonObject }[] = [];
  let i = 0;
  let j = 0;
  while (i < olds.length || j < news.length) {
    const old = olds[i];
    const now = news[j];
    if (old && now && old.key === now.key) {
      out.push({ old: old.item, new: now.item });
      i++;
      j++;
    } else if (now && (!old || old.key > now.key)) {
      out.push({ new: now.item });
      j++;
    } else {
      out.push({ old: old!.item });
      i++;
    }
  }
  return out;
}

function diffListsOfObjects(before: List, after: List, meta: FieldPatchMeta, options: DiffOptions): ListDiff {
  const { mergeKey } = meta;
  const patch: JsonObject[] = [];
  const gone: JsonObject[] = [];
  for (const pair of pairByKey(before, after, mergeKey)) {
    if (!pair.old) {
      if (options.changes) patch.push(pair.new!);
    } else if (!pair.new) {
      if (options.deletions) gone.push({ [DIRECTIVE]: 'delete', [mergeKey]: pair.old[mergeKey] });
    } else {
      const inner = diffObjects(pair.old, pair.new, meta.type, options, meta.retainKeys);
      if (Object.keys(inner).length > 0) patch.push({ ...inner, [mergeKey]: pair.new[mergeKey] });
    }
  }
  const all = [...sortByOrder(patch, after, mergeKey), ...gone];
  const sameOrder = before.length === after.length && before.every((item, i) => (item as JsonObject)[mergeKey] === (after[i] as JsonObject)[mergeKey]);
  const ordered = options.setElementOrder && (all.length > 0 || (options.changes && !sameOrder));
  return { patch: all, deletions: [], order: ordered ? after.map((item) => ({ [mergeKey]: (item as JsonObject)[mergeKey] })) : [] };
}
