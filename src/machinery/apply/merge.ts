/** Merges an applied configuration into an object, and takes fields out of one. Inputs are never changed. */
import { getOwn, setOwn } from '#base/own.ts';
import { isArray, isObject, shallowCopy, type JsonDraft, type JsonObject } from '../patch/json.ts';
import { hasChildren, isEmpty, isMember, type FieldSet } from './field-set.ts';
import { itemElement, tryElement } from './list-items.ts';
import { fieldElement } from './path-element.ts';
import { childSchema, schemaFor, type ApplySchema, type ListSchema, type MapSchema } from './schema.ts';

/**
 * The object with the configuration merged in: leaves are the configuration's; objects and lists with keys merge. Lists
 * keep the object's order where the configuration does not change it. Nothing is removed.
 */
export function mergeApplied(live: unknown, config: unknown, schema: ApplySchema): unknown {
  if (config === undefined || live === config) return live;
  if (live === undefined) return config;
  const shape = schemaFor(schema, config === null ? live : config);
  if (shape.kind === 'map' && !shape.atomic) {
    const left = isObject(live) ? live : undefined;
    const right = isObject(config) ? config : undefined;
    if (noKeys(left) && noKeys(right)) return config;
    return left && right ? mergeMaps(left, right, shape) : (right ?? left);
  }
  if (shape.kind === 'list' && shape.relationship !== 'atomic') {
    const left = isArray(live) ? live : [];
    const right = isArray(config) ? config : [];
    return left.length === 0 && right.length === 0 ? config : mergeLists(left, right, shape);
  }
  return config;
}

function noKeys(obj: JsonObject | undefined): boolean {
  return !obj || Object.keys(obj).length === 0;
}

function mergeMaps(live: JsonObject, config: JsonObject, schema: MapSchema): JsonObject {
  let out: JsonDraft | undefined;
  for (const key of Object.keys(config)) {
    const current = getOwn(live, key);
    const merged = mergeApplied(current, config[key], childSchema(schema, key));
    if (merged !== current) setOwn((out ??= shallowCopy(live)), key, merged);
  }
  return out ?? live;
}

/** The list's cursor over the live items decides where items that only the server has stay between the configuration's. */
function mergeLists(live: readonly unknown[], config: readonly unknown[], schema: ListSchema): readonly unknown[] {
  const liveElements = live.map((item) => tryElement(schema, item) ?? '');
  const configElements = config.map((item) => itemElement(schema, item));
  const liveItems = new Map<string, unknown>();
  // A live item that appears twice is not merged with, but replaced.
  liveElements.forEach((element, i) => liveItems.set(element, liveItems.has(element) ? null : live[i]));
  const configItems = new Map(configElements.map((element, i) => [element, config[i]]));
  const shared = configElements.filter((element) => liveItems.has(element));
  const taken = new Set<string>();
  const out: unknown[] = [];
  let next = 0;
  const take = (element: string) => {
    taken.add(element);
    out.push(mergeApplied(liveItems.get(element), configItems.get(element), schema.element));
    if (shared[next] === element) next++;
  };
  let l = 0;
  let r = 0;
  while (l < live.length || r < config.length) {
    const mine = l < live.length ? liveElements[l]! : undefined;
    const theirs = r < config.length ? configElements[r]! : undefined;
    if (mine !== undefined && theirs !== undefined) {
      if (mine === theirs) {
        take(theirs);
        l++;
        r++;
        continue;
      }
      // An item of both, but not the one whose turn it is: it comes where the configuration has it.
      if (configItems.has(mine) && shared[next] !== undefined && shared[next] !== mine) {
        l++;
        continue;
      }
    }
    if (mine !== undefined) {
      if (!configItems.has(mine)) {
        out.push(live[l++]);
        continue;
      }
      if (taken.has(mine)) l++;
    }
    if (theirs !== undefined) {
      take(theirs);
      r++;
    }
  }
  return sameItems(out, live) ? live : out;
}

function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}

/**
 * The value without the set's members. What is emptied by that is null, as are atomic values that something is to be taken
 * out of: a part of them has no owner of its own.
 */
export function removeItems(value: unknown, items: FieldSet, schema: ApplySchema): unknown {
  const shape = schemaFor(schema, value);
  if (shape.kind === 'scalar') return value;
  if (shape.kind === 'map') {
    if (!isObject(value) || noKeys(value) || shape.atomic) return null;
    return removeFromMap(value, items, shape);
  }
  if (!isArray(value) || value.length === 0 || shape.relationship === 'atomic') return null;
  return removeFromList(value, items, shape);
}

function removeFromMap(value: JsonObject, items: FieldSet, schema: MapSchema): JsonObject | null {
  let out: JsonDraft | undefined;
  for (const key of Object.keys(value)) {
    const node = items[fieldElement(key)];
    if (node === undefined) continue;
    if (isMember(node)) delete (out ??= shallowCopy(value))[key];
    else if (hasChildren(node)) {
      const rest = removeItems(value[key], node, childSchema(schema, key));
      if (rest !== value[key]) setOwn((out ??= shallowCopy(value)), key, rest);
    }
  }
  return out === undefined ? value : isEmpty(out as FieldSet) ? null : out;
}

function removeFromList(list: readonly unknown[], items: FieldSet, schema: ListSchema): readonly unknown[] | null {
  let changed = false;
  const out: unknown[] = [];
  for (const item of list) {
    const node = items[tryElement(schema, item) ?? ''];
    if (node === undefined) out.push(item);
    else if (isMember(node)) changed = true;
    else {
      const rest = removeItems(item, node, schema.element);
      changed ||= rest !== item;
      out.push(rest);
    }
  }
  return !changed ? list : out.length === 0 ? null : out;
}

/**
 * Only the set's members, with what is needed to hold them: list items that are members come whole where nothing under
 * them is in the set, and atomic values do whenever anything in them is. Null where nothing of a map or list is left.
 */
export function extractItems(value: unknown, items: FieldSet, schema: ApplySchema): unknown {
  const shape = schemaFor(schema, value);
  if (shape.kind === 'map' && !shape.atomic && isObject(value) && !noKeys(value)) {
    const out: JsonDraft = {};
    for (const key of Object.keys(value)) {
      const node = items[fieldElement(key)];
      if (node !== undefined) setOwn(out, key, extractItems(value[key], node, childSchema(shape, key)));
    }
    return noKeys(out) ? null : out;
  }
  if (shape.kind === 'list' && shape.relationship !== 'atomic' && isArray(value) && value.length > 0) {
    const out = value.flatMap((item) => {
      const node = items[tryElement(shape, item) ?? ''];
      return node === undefined ? [] : [hasChildren(node) ? extractItems(item, node, shape.element) : item];
    });
    return out.length === 0 ? null : out;
  }
  return value;
}
