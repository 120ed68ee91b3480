/**
 * What a write changed, as field sets. It walks two versions of an object side by side and stops where they are the same
 * object, so a small change of a large object costs little.
 */
import { isArray, isObject, jsonEqual, type JsonObject } from '../patch/json.ts';
import { EMPTY, hasChildren, isMember, LEAF, nodeOf, type FieldSet, type FieldSetDraft } from './field-set.ts';
import { groupItems } from './list-items.ts';
import { fieldElement } from './path-element.ts';
import { childSchema, schemaFor, type ApplySchema, type ListSchema, type MapSchema } from './schema.ts';

export interface Comparison {
  /** Fields that are new or have another value. */
  readonly changed: FieldSet;
  /** Fields that are gone. */
  readonly removed: FieldSet;
}

/** Compares two versions of one object. Null is a value; undefined is no value. */
export function compareObjects(before: JsonObject, after: JsonObject, schema: ApplySchema): Comparison {
  const diff = diffNodes(before, after, schema);
  return { changed: diff?.changed ?? EMPTY, removed: diff?.removed ?? EMPTY };
}

/** Nodes for one path and what is under it. */
interface Diff {
  readonly changed: FieldSet | undefined;
  readonly removed: FieldSet | undefined;
}
const CHANGED: Diff = { changed: LEAF, removed: undefined };

/** The difference of two values that are both there; undefined when there is none. */
function diffNodes(before: unknown, after: unknown, schema: ApplySchema): Diff | undefined {
  if (before === after) return undefined;
  if (schema.kind === 'untyped') return diffUntyped(before, after);
  return diffTyped(before, after, schema);
}

function diffTyped(before: unknown, after: unknown, schema: Exclude<ApplySchema, { kind: 'untyped' }>): Diff | undefined {
  if (schema.kind === 'map') {
    const left = isObject(before) ? before : undefined;
    const right = isObject(after) ? after : undefined;
    if (!schema.atomic && !(isBlank(left) && isBlank(right))) return diffMaps(left, right, schema);
  } else if (schema.kind === 'list' && schema.relationship !== 'atomic') {
    const left = isArray(before) ? before : [];
    const right = isArray(after) ? after : [];
    if (left.length > 0 || right.length > 0) return jsonEqual(left, right) ? undefined : diffLists(left, right, schema);
  }
  return jsonEqual(before, after) ? undefined : CHANGED;
}

/** Values without a schema may change their shape; the path is then modified, and so is what came and went under it. */
function diffUntyped(before: unknown, after: unknown): Diff | undefined {
  const left = schemaFor({ kind: 'untyped' }, before);
  const right = schemaFor({ kind: 'untyped' }, after);
  if (before === null || after === null || left === right) return diffTyped(before, after, before === null ? right : left);
  return {
    changed: right.kind === 'map' && isObject(after) && !isBlank(after) ? presentNode(after, right) : LEAF,
    removed: left.kind === 'map' && isObject(before) ? notSelf(presentNode(before, left)) : undefined,
  };
}

function isBlank(obj: JsonObject | undefined): boolean {
  if (obj) for (const key in obj) if (obj[key] !== undefined) return false;
  return true;
}

function notSelf(node: FieldSet): FieldSet | undefined {
  const { '.': _, ...children } = node;
  return nodeOf(false, children);
}

class DiffBuilder {
  #changed: FieldSetDraft | undefined;
  #removed: FieldSetDraft | undefined;

  add(element: string, diff: Diff | undefined): void {
    if (!diff) return;
    if (diff.changed) this.changed(element, diff.changed);
    if (diff.removed) this.removed(element, diff.removed);
  }
  changed(element: string, node: FieldSet): void {
    (this.#changed ??= {})[element] = node;
  }
  removed(element: string, node: FieldSet): void {
    (this.#removed ??= {})[element] = node;
  }
  done(): Diff | undefined {
    return this.#changed || this.#removed ? { changed: this.#changed, removed: this.#removed } : undefined;
  }
}

function diffMaps(before: JsonObject | undefined, after: JsonObject | undefined, schema: MapSchema): Diff | undefined {
  const out = new DiffBuilder();
  if (after) {
    for (const key in after) {
      const now = after[key];
      if (now === undefined) continue;
      const was = before && Object.hasOwn(before, key) ? before[key] : undefined;
      if (was === now) continue;
      if (was === undefined) out.changed(fieldElement(key), presentNode(now, childSchema(schema, key)));
      else {
        const diff = diffNodes(was, now, childSchema(schema, key));
        if (diff) out.add(fieldElement(key), diff);
      }
    }
  }
  if (before) {
    for (const key in before) {
      if (before[key] === undefined || (after && Object.hasOwn(after, key) && after[key] !== undefined)) continue;
      out.removed(fieldElement(key), presentNode(before[key], childSchema(schema, key)));
    }
  }
  return out.done();
}

function diffLists(before: readonly unknown[], after: readonly unknown[], schema: ListSchema): Diff | undefined {
  const out = new DiffBuilder();
  const olds = groupItems(schema, before);
  const news = groupItems(schema, after);
  for (const [element, now] of news) {
    const was = olds.get(element);
    if (!was) out.changed(element, now.length > 1 ? LEAF : presentNode(now[0], schema.element));
    else if (was.length === 1 && now.length === 1) out.add(element, diffNodes(was[0], now[0], schema.element));
    else if (was.length > 1 && now.length > 1) out.add(element, jsonEqual(was, now) ? undefined : CHANGED);
    else if (was.length > 1) {
      // No longer a duplicate: what it holds is new, the mark of the duplicates goes.
      out.add(element, { changed: presentNode(now[0], schema.element), removed: LEAF });
    } else {
      out.add(element, { changed: LEAF, removed: presentNode(was[0], schema.element) });
    }
  }
  for (const [element, was] of olds) {
    if (!news.has(element)) out.removed(element, was.length > 1 ? LEAF : presentNode(was[0], schema.element));
  }
  return out.done();
}

/** The node of a value that is on one side only: its own path, and everything under it down to the leaves. */
export function presentNode(value: unknown, schema: ApplySchema): FieldSet {
  if (value === null || typeof value !== 'object') return LEAF;
  const shape = schemaFor(schema, value);
  if (shape.kind === 'map' && !shape.atomic && isObject(value)) return presentMap(value, shape);
  if (shape.kind === 'list' && shape.relationship !== 'atomic' && isArray(value)) return presentList(value, shape);
  return LEAF;
}

function presentMap(value: JsonObject, schema: MapSchema): FieldSet {
  let node: FieldSetDraft | undefined;
  for (const key in value) {
    const child = value[key];
    if (child !== undefined) (node ??= { '.': LEAF })[fieldElement(key)] = presentNode(child, childSchema(schema, key));
  }
  return node ?? LEAF;
}

function presentList(list: readonly unknown[], schema: ListSchema): FieldSet {
  let node: FieldSetDraft | undefined;
  for (const [element, items] of groupItems(schema, list)) {
    (node ??= { '.': LEAF })[element] = items.length > 1 ? LEAF : presentNode(items[0], schema.element);
  }
  return node ?? LEAF;
}

/**
 * The fields that an applied configuration is about: its leaves and its list items, and what stands in maps; not the
 * structs on the way there, nor empty lists.
 */
export function fieldSetOf(value: unknown, schema: ApplySchema): FieldSet {
  return mentioned(value, schema, false) ?? EMPTY;
}

function mentioned(value: unknown, schema: ApplySchema, member: boolean): FieldSet | undefined {
  const shape = schemaFor(schema, value);
  if (shape.kind === 'scalar' || (shape.kind === 'map' ? shape.atomic : shape.relationship === 'atomic')) return LEAF;
  let children: FieldSetDraft | undefined;
  const put = (element: string, node: FieldSet | undefined) => {
    if (node) (children ??= {})[element] = node;
  };
  if (shape.kind === 'map' && isObject(value)) {
    for (const key in value) {
      const child = value[key];
      if (child === undefined) continue;
      const itself = child === null || (isObject(child) && isBlank(child)) || !shape.fields.has(key);
      put(fieldElement(key), mentioned(child, childSchema(shape, key), itself));
    }
  } else if (shape.kind === 'list' && isArray(value)) {
    for (const [element, items] of groupItems(shape, value)) put(element, items.length > 1 ? LEAF : mentioned(items[0], shape.element, true));
  }
  return nodeOf(member, children);
}

/**
 * The set with the struct fields on the way to its members added, which sets of applied configurations leave out: a set of
 * `a.b.c` also holds `a` where that is a named field.
 */
export function withNamedFields(set: FieldSet, schema: ApplySchema | undefined): FieldSet {
  const out: FieldSetDraft = {};
  for (const element in set) {
    if (element === '.') continue;
    const node = set[element]!;
    const name = element.startsWith('f:') ? element.slice(2) : undefined;
    const inner = name === undefined ? (element.startsWith('k:') && schema?.kind === 'list' ? schema.element : undefined) : elementSchema(schema, name);
    const named = name !== undefined && hasChildren(node) && schema?.kind === 'map' && schema.fields.has(name);
    out[element] = hasChildren(node) ? nodeOf(named || isMember(node), withNamedFields(node, inner) as FieldSetDraft)! : node;
  }
  return out;
}

function elementSchema(schema: ApplySchema | undefined, name: string): ApplySchema | undefined {
  if (schema?.kind === 'untyped') return schema;
  return schema?.kind === 'map' ? (schema.fields.get(name) ?? schema.element) : undefined;
}

/**
 * A set that was written under an earlier schema, under this one: where a type is now replaced whole, the path stands for
 * all that was under it. Returns its argument when nothing is to do.
 */
export function reconcileWithSchema(set: FieldSet, schema: ApplySchema | undefined): FieldSet {
  if (!schema || schema.kind === 'scalar' || schema.kind === 'untyped') return set;
  let out: FieldSet = set;
  for (const element in set) {
    const node = set[element]!;
    if (!hasChildren(node)) continue;
    const inner = element.startsWith('f:') ? elementSchema(schema, element.slice(2)) : schema.kind === 'list' ? schema.element : undefined;
    const whole = inner?.kind === 'map' ? inner.atomic : inner?.kind === 'list' && inner.relationship === 'atomic';
    const reconciled = whole ? LEAF : reconcileWithSchema(node, inner);
    if (reconciled !== node) out = { ...out, [element]: reconciled };
  }
  return out;
}
