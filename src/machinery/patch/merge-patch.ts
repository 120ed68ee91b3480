/** JSON merge patch (RFC 7396), as the API server applies it. */
import { getOwn, setOwn } from '#base/own.ts';
import { badRequest } from '../status-error.ts';
import { jsonKind } from './go-format.ts';
import { isArray, isObject, jsonEqual, shallowCopy, type JsonDraft, type JsonObject } from './json.ts';

/**
 * The document with the patch merged in. Neither argument is changed; the result shares with them what stayed the same.
 *
 * Nulls inside objects of a patch's arrays are dropped, which RFC 7396 would keep: the API server has always done so.
 * Throws 400 when the patch is not an object.
 */
export function applyMergePatch(doc: unknown, patch: unknown): unknown {
  if (patch === null || patch === undefined) throw badRequest('Invalid JSON Patch');
  if (!isObject(patch)) {
    throw badRequest(`error decoding patch: json: cannot unmarshal ${jsonKind(patch)} into Go value of type map[string]interface {}`);
  }
  return isObject(doc) ? mergeObjects(doc, patch) : withoutNulls(patch);
}

/** What a patch touches comes out in the order of its keys, as from the API server: complaints about it come in this order. */
function mergeObjects(doc: JsonObject, patch: JsonObject): JsonObject {
  const out = shallowCopy(doc);
  for (const key of Object.keys(patch)) {
    const value = patch[key];
    const current = getOwn(doc, key);
    if (value === null || value === undefined) delete out[key];
    else setOwn(out, key, isObject(value) && isObject(current) ? mergeObjects(current, value) : withoutNulls(value));
  }
  return sortedCopy(out);
}
function sortedCopy(object: JsonObject): JsonObject {
  const out: JsonDraft = {};
  for (const key of Object.keys(object).sort()) setOwn(out, key, object[key]);
  return out;
}

function withoutNulls(value: unknown): unknown {
  if (isArray(value)) return value.map(withoutNulls);
  if (!isObject(value)) return value;
  const out: JsonDraft = {};
  for (const key of Object.keys(value)) {
    const child = value[key];
    if (child !== null && child !== undefined) setOwn(out, key, withoutNulls(child));
  }
  return out;
}

/**
 * The smallest merge patch that turns `original` into `modified`. Fields of `modified` that are null cannot be
 * expressed by a merge patch; they count as absent.
 */
export function createMergePatch(original: JsonObject, modified: JsonObject): JsonObject {
  const patch: JsonDraft = {};
  for (const key of Object.keys(original)) {
    const after = getOwn(modified, key);
    if (after === undefined || after === null) setOwn(patch, key, null);
  }
  for (const key of Object.keys(modified)) {
    const before = getOwn(original, key);
    const after = modified[key];
    if (after === undefined || after === null || jsonEqual(before, after)) continue;
    setOwn(patch, key, isObject(before) && isObject(after) ? createMergePatch(before, after) : after);
  }
  return patch;
}

/**
 * The merge patch of `kubectl apply` for kinds without strategic merge: deletions are what `original` (the last applied
 * configuration) has and `modified` has not; additions and changes are against `current`.
 */
export function createThreeWayMergePatch(original: JsonObject, modified: JsonObject, current: JsonObject): JsonObject {
  const changes = keepChanges(createMergePatch(current, modified));
  const deletions = keepDeletions(createMergePatch(original, modified));
  return combine(changes, deletions);
}

function keepChanges(patch: JsonObject): JsonObject {
  const out: JsonDraft = {};
  for (const key of Object.keys(patch)) {
    const value = patch[key];
    if (value === null) continue;
    const kept = isObject(value) ? keepChanges(value) : value;
    // An object that held deletions only says nothing any more; an empty one that was meant is kept.
    if (isObject(kept) && isObject(value) && Object.keys(kept).length === 0 && Object.keys(value).length > 0) continue;
    setOwn(out, key, kept);
  }
  return out;
}

function keepDeletions(patch: JsonObject): JsonObject {
  const out: JsonDraft = {};
  for (const key of Object.keys(patch)) {
    const value = patch[key];
    if (value === null) setOwn(out, key, null);
    else if (isObject(value)) {
      const kept = keepDeletions(value);
      if (Object.keys(kept).length > 0) setOwn(out, key, kept);
    }
  }
  return out;
}

function combine(changes: JsonObject, deletions: JsonObject): JsonObject {
  const out = shallowCopy(changes);
  for (const key of Object.keys(deletions)) {
    const change = getOwn(changes, key);
    const deletion = deletions[key];
    if (change === undefined) setOwn(out, key, deletion);
    else if (isObject(change) && isObject(deletion)) setOwn(out, key, combine(change, deletion));
  }
  return out;
}
