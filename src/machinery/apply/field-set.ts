/**
 * Sets of fields, in the very shape of FieldsV1: an object whose keys are path elements (`path-element.ts`). Below the
 * root, `{}` says that the path itself is a member and nothing under it; `"."` that it is a member beside what is under
 * it; without either only what is under it counts. The root is never a member: `{}` is the empty set.
 *
 * Sets are never changed after they were made, so operations share what stays the same: a result that equals an operand
 * is that operand. Keys begin with `x:` or are `.`, so none can reach an object's prototype.
 */
import { canonicalElement, comparePathElements, fieldElement } from './path-element.ts';

export interface FieldSet {
  readonly [element: string]: FieldSet;
}
/** A set under construction. */
export type FieldSetDraft = { [element: string]: FieldSet };

/** A member without children. */
export const LEAF: FieldSet = Object.freeze({});
export const EMPTY: FieldSet = LEAF;
const SELF = '.';

export function isEmpty(set: FieldSet): boolean {
  for (const _ in set) return false;
  return true;
}

/** True when the node's own path is a member. */
export function isMember(node: FieldSet): boolean {
  return node[SELF] !== undefined || isEmpty(node);
}

/** True for a node that has something under it. */
export function hasChildren(node: FieldSet): boolean {
  for (const key in node) if (key !== SELF) return true;
  return false;
}

/** A new node with these children; undefined when it would be nothing at all. */
export function nodeOf(member: boolean, children: FieldSetDraft | undefined): FieldSet | undefined {
  if (!children || isEmpty(children)) return member ? LEAF : undefined;
  return member ? { [SELF]: LEAF, ...children } : children;
}

/** The set of these paths of field names: `setOf(['spec', 'replicas'])`. */
export function setOf(...paths: readonly (readonly string[])[]): FieldSet {
  return paths.reduce<FieldSet>((set, path) => unionSets(set, pathSet(path.map(fieldElement))), EMPTY);
}

/** The set that holds one path, given as elements. */
export function pathSet(path: readonly string[]): FieldSet {
  return path.reduceRight<FieldSet>((node, element) => ({ [element]: node }), LEAF);
}

export function hasPath(set: FieldSet, path: readonly string[]): boolean {
  let node = set;
  for (const element of path) {
    const next = node[element];
    if (next === undefined) return false;
    node = next;
  }
  return path.length > 0 && isMember(node);
}

/** Calls `visit` for each member: those directly under a path before those deeper down, as upstream lists them. */
export function forEachPath(set: FieldSet, visit: (path: readonly string[]) => void, prefix: readonly string[] = []): void {
  const keys = Object.keys(set).filter((k) => k !== SELF);
  for (const key of keys) if (isMember(set[key]!)) visit([...prefix, key]);
  for (const key of keys) if (hasChildren(set[key]!)) forEachPath(set[key]!, visit, [...prefix, key]);
}

/** Members of either set. */
export function unionSets(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b || isEmpty(b)) return a;
  if (isEmpty(a)) return b;
  let out: FieldSetDraft | undefined;
  for (const key in b) {
    const mine = a[key];
    const merged = mine === undefined ? b[key]! : unionNodes(mine, b[key]!);
    if (merged !== mine) (out ??= { ...a })[key] = merged;
  }
  return out ?? a;
}

function unionNodes(a: FieldSet, b: FieldSet): FieldSet {
  if (a === b) return a;
  if (isEmpty(b)) return isMember(a) ? a : { [SELF]: LEAF, ...a };
  if (isEmpty(a)) return b[SELF] === undefined ? { [SELF]: LEAF, ...b } : b;
  return unionSets(a, b);
}

/** Members of `a` that are not members of `b`. Children of `b`'s members stay. */
export function differenceSets(a: FieldSet, b: FieldSet): FieldSet {
  return subtract(a, b, differenceNodes);
}

function differenceNodes(a: FieldSet, b: FieldSet): FieldSet | undefined {
  const member = isMember(a);
  return regroup(member && !isMember(b), a, subtract(a, b, differenceNodes));
}

/** Members of `a` that are neither members of `b` nor anywhere under one. */
export function recursiveDifference(a: FieldSet, b: FieldSet): FieldSet {
  return subtract(a, b, recursiveDifferenceNodes);
}
function recursiveDifferenceNodes(a: FieldSet, b: FieldSet): FieldSet | undefined {
  return isMember(b) ? undefined : regroup(isMember(a), a, recursiveDifference(a, b));
}

function subtract(a: FieldSet, b: FieldSet, node: (x: FieldSet, y: FieldSet) => FieldSet | undefined): FieldSet {
  let shared = false;
  for (const key in b) if (key !== SELF && a[key] !== undefined) shared = true;
  if (!shared) return a;
  let changed = false;
  // Built anew: an object that a key is deleted from costs several times the memory, as long as it is stored.
  const out: FieldSetDraft = {};
  for (const key in a) {
    const mine = a[key]!;
    const other = key === SELF ? undefined : b[key];
    const rest = other === undefined ? mine : node(mine, other);
    if (rest !== mine) changed = true;
    if (rest !== undefined) out[key] = rest;
  }
  return changed ? out : a;
}

/** `before` with the children of `rest` (a set that may hold `.`), which is a member or not. */
function regroup(member: boolean, before: FieldSet, rest: FieldSet): FieldSet | undefined {
  if (rest === before && member === isMember(before)) return before;
  if (!hasChildren(rest)) return member ? LEAF : undefined;
  if (member === (rest[SELF] !== undefined)) return rest;
  const { [SELF]: _, ...children } = rest;
  return member ? { [SELF]: LEAF, ...children } : children;
}

/** Members of both sets. */
export function intersectSets(a: FieldSet, b: FieldSet): FieldSet {
  const out: FieldSetDraft = {};
  for (const key in a) {
    const other = b[key];
    if (other === undefined || key === SELF) continue;
    const mine = a[key]!;
    const node = nodeOf(isMember(mine) && isMember(other), intersectSets(mine, other) as FieldSetDraft);
    if (node) out[key] = node;
  }
  return out;
}

/** The same set with its elements in the order of FieldsV1. Returns its argument when it is in order already. */
export function sortSet(set: FieldSet): FieldSet {
  let previous: string | undefined;
  let ordered = true;
  let changed: FieldSetDraft | undefined;
  for (const key in set) {
    if (key === SELF) {
      ordered &&= previous === undefined;
      continue;
    }
    if (previous !== undefined && comparePathElements(previous, key) > 0) ordered = false;
    previous = key;
    const child = sortSet(set[key]!);
    if (child !== set[key]) (changed ??= { ...set })[key] = child;
  }
  const source = changed ?? set;
  if (ordered) return source;
  const keys = Object.keys(source).filter((k) => k !== SELF).sort(comparePathElements);
  const out: FieldSetDraft = source[SELF] === undefined ? {} : { [SELF]: LEAF };
  for (const key of keys) out[key] = source[key]!;
  return out;
}

/** A set from FieldsV1 that a client sent: checked, in canonical form and order. Throws an Error when it is malformed. */
export function parseFieldsV1(value: unknown): FieldSet {
  return sortSet(parseNode(value, true) ?? EMPTY);
}

function parseNode(value: unknown, root: boolean): FieldSet | undefined {
  if (value === null || value === undefined) return root ? undefined : LEAF;
  if (typeof value !== 'object' || Array.isArray(value)) throw new Error('expect { or n');
  let member = false;
  let children: FieldSetDraft | undefined;
  for (const [key, inner] of Object.entries(value)) {
    if (key === SELF) {
      member = true;
      continue;
    }
    const element = canonicalElement(key);
    if (element === undefined) continue; // a later version may know it
    const node = parseNode(inner, false) ?? LEAF;
    children ??= {};
    children[element] = children[element] === undefined ? node : unionNodes(children[element], node);
  }
  return nodeOf(!root && (member || children === undefined), children);
}
