/** Lists of a strategic merge patch: finding items by their merge key, and the order of a merged list. */
import { getOwn } from '#base/own.ts';
import { badRequest } from '../status-error.ts';
import { goType, goTypeText, goValue } from './go-format.ts';
import { isArray, isObject, type JsonObject } from './json.ts';
import { unprocessablePatch } from './patch-errors.ts';

export const DIRECTIVE = '$patch';
export const RETAIN_KEYS = '$retainKeys';
export const DELETE_FROM_PRIMITIVE_LIST = '$deleteFromPrimitiveList';
export const SET_ELEMENT_ORDER = '$setElementOrder';

type List = readonly unknown[];

export const badArgType = (expected: unknown, actual: unknown) => badRequest(`expected a ${goTypeText(expected)}, but received a ${goTypeText(actual)}`);
export const noMergeKey = (item: JsonObject, mergeKey: string) => badRequest(`map: ${goValue(item)} does not contain declared merge key: ${mergeKey}`);

export function asObject(value: unknown): JsonObject {
  if (!isObject(value)) throw badArgType({}, value);
  return value;
}
export function asList(value: unknown): List {
  if (!isArray(value)) throw badArgType([], value);
  return value;
}

/** The value of an item's merge key. Throws upstream's 500 where an item has none. */
export function keyOfItem(item: unknown, mergeKey: string): unknown {
  const obj = asObject(item);
  if (!Object.hasOwn(obj, mergeKey)) throw noMergeKey(obj, mergeKey);
  return obj[mergeKey];
}

/**
 * The Go type that all items of the lists share. Throws for mixed lists, for lists of lists (422), and when there is no
 * item at all, as upstream does.
 */
export function elementType(...lists: readonly List[]): string {
  let found: string | undefined;
  for (const list of lists) {
    for (const item of list) {
      const type = goType(item) ?? '<nil>';
      if (type === '[]interface {}' && found === undefined) throw unprocessablePatch('lists of lists are not supported');
      if (found !== undefined && found !== type) throw badRequest(`list element types are not identical: ${goValue(lists)}`);
      found = type;
    }
  }
  if (found === undefined) throw badRequest('no elements in any of the given slices');
  return found;
}

export const MAP_TYPE = 'map[string]interface {}';

/** The index of the item whose merge key has that value, or -1. */
export function findByKey(list: List, mergeKey: string, value: unknown): number {
  for (let i = 0; i < list.length; i++) {
    const item = list[i];
    if (!isObject(item)) throw badRequest(`value for key ${i} is not a map`);
    if (Object.hasOwn(item, mergeKey) && item[mergeKey] === value) return i;
  }
  return -1;
}

/** True for an item that says it is to be deleted. */
export function isDeletion(item: unknown): boolean {
  return isObject(item) && getOwn(item, DIRECTIVE) === 'delete';
}

/** How items are told apart: by their merge key, or (`''`) by themselves. */
const identity = (mergeKey: string) => (item: unknown) => (mergeKey === '' ? item : isObject(item) ? getOwn(item, mergeKey) : undefined);

function positions(order: List, mergeKey: string): Map<unknown, number> {
  const id = identity(mergeKey);
  const out = new Map<unknown, number>();
  order.forEach((item, i) => {
    const key = id(item);
    if (!out.has(key)) out.set(key, i);
  });
  return out;
}

/** `items` in the order of `order` (by merge key; '' for scalars); items to be deleted last. */
export function sortByOrder(items: List, order: List, mergeKey: string): unknown[] {
  if (mergeKey !== '') for (const item of [...items, ...order]) keyOfItem(item, mergeKey);
  const deletions = mergeKey === '' ? [] : items.filter(isDeletion);
  const rest = mergeKey === '' ? [...items] : items.filter((item) => !isDeletion(item));
  const at = positions(order, mergeKey);
  const id = identity(mergeKey);
  rest.sort((a, b) => (at.get(id(a)) ?? order.length) - (at.get(id(b)) ?? order.length));
  return [...rest, ...deletions];
}

/**
 * The order of a merged list: what the patch names stands in the patch's order, what only the server has keeps its own,
 * and the two interleave as they did on the server where that is known.
 */
export function orderMerged(merged: List, patchOrder: List, serverOrder: List, mergeKey: string): unknown[] {
  const id = identity(mergeKey);
  if (mergeKey !== '') for (const item of merged) keyOfItem(item, mergeKey);
  const named = new Set(patchOrder.map(id));
  const patchItems = sortByOrder(merged.filter((item) => named.has(id(item))), patchOrder, mergeKey);
  const serverOnly = sortByOrder(merged.filter((item) => !named.has(id(item))), serverOrder, mergeKey);
  const at = positions(serverOrder, mergeKey);
  const out: unknown[] = [];
  let i = 0;
  let j = 0;
  while (i < serverOnly.length && j < patchItems.length) {
    const left = at.get(id(serverOnly[i]));
    const right = at.get(id(patchItems[j]));
    out.push(left !== undefined && right !== undefined && left < right ? serverOnly[i++] : patchItems[j++]);
  }
  return [...out, ...serverOnly.slice(i), ...patchItems.slice(j)];
}

/** Throws unless the patch's items stand in the order that `$setElementOrder` gives, and are all named there. */
export function checkAgainstOrder(patchList: List, order: List, mergeKey: string): void {
  if (patchList.length === 0 || order.length === 0) return;
  const items = mergeKey === '' ? patchList : patchList.filter((item) => !isDeletion(asObject(item)));
  let p = 0;
  let o = 0;
  while (p < items.length && o < order.length) {
    const item = items[p];
    if (isObject(item) && Object.hasOwn(item, DIRECTIVE)) {
      p++;
      continue;
    }
    const same = mergeKey === '' ? item === order[o] : keyOfItem(item, mergeKey) === keyOfItem(order[o], mergeKey);
    if (same) p++;
    o++;
  }
  if (p < items.length && o >= order.length) {
    throw badRequest(`The order in patch list:\n${goValue(patchList)}\n doesn't match ${SET_ELEMENT_ORDER} list:\n${goValue(order)}\n`);
  }
}
