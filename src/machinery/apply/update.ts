/**
 * Field ownership after a write that is not an apply: whoever changes a field owns it from then on.
 * Source: KEP-555 and the API reference, "Field management".
 */
import type { ManagedFieldsEntry } from '#api/gen/meta-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import type { JsonObject } from '../patch/json.ts';
import { compareObjects, reconcileWithSchema, type Comparison } from './compare.ts';
import type { FieldFilter } from './field-filter.ts';
import { differenceSets, isEmpty, setOf, unionSets, type FieldSet } from './field-set.ts';
import {
  capUpdateManagers, decodeRequested, decodeStored, dropEmpty, encodeManaged, identityOf, isReset, withSet, type Managed, type ManagedMap,
} from './managed-fields.ts';
import type { ApplySchema } from './schema.ts';

/** Another version of the object's API, for managers that wrote it there. Conversions may share with their argument. */
export interface OtherVersion {
  readonly schema: ApplySchema;
  /** From the version of the request to this one. */
  convert(object: JsonObject): JsonObject;
  /** From this version to that of the request. */
  revert(object: JsonObject): JsonObject;
}

/** What both kinds of writes need to know of the object and the request. */
export interface FieldManagement {
  readonly schema: ApplySchema;
  /** What a new object holds before anybody wrote to it (`zeroObject`); default `{}`. */
  readonly zero?: JsonObject | undefined;
  /** Version that the objects are given in: `apps/v1`. */
  readonly apiVersion: string;
  readonly kind: string;
  /** '' for the main resource. */
  readonly subresource: string;
  readonly manager: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Leaves out the fields that this write resets (`status` on the main resource). */
  readonly filter?: FieldFilter | undefined;
  /** The other versions of the API; managers of a version that is not known are forgotten. */
  readonly versions?: ((apiVersion: string) => OtherVersion | undefined) | undefined;
}

/** Never part of anybody's fields. */
const STRIPPED = setOf(
  ['apiVersion'], ['kind'], ['metadata'],
  ...['name', 'namespace', 'creationTimestamp', 'selfLink', 'uid', 'clusterName', 'generation', 'managedFields', 'resourceVersion'].map((f) => ['metadata', f]),
);

export function stripMetadata(set: FieldSet): FieldSet {
  return differenceSets(set, STRIPPED);
}

/**
 * The managed fields of `updated`, which replaces `live` (undefined: it is created). `updated` carries in
 * `metadata.managedFields` what the client sent. Undefined: none are kept. When no field changed hands the result is the
 * very list that `live` has. Neither object is changed.
 */
export function updateManagedFields(live: KubeObject | undefined, updated: KubeObject, options: FieldManagement): readonly ManagedFieldsEntry[] | undefined {
  const stored = live?.metadata.managedFields;
  const managed = startFrom(stored, updated.metadata.managedFields, options.subresource !== '');
  if (managed.size === 0 && live?.metadata.uid) return undefined;
  const before = live ? asJson(live) : (options.zero ?? {});
  trackUpdate(before, asJson(updated), managed, options);
  const out = encodeManaged(managed);
  return out && stored && out.length === stored.length && out.every((entry, i) => entry === stored[i]) ? stored : out;
}

function asJson(obj: KubeObject): JsonObject {
  return obj as unknown as JsonObject;
}

/** The managers before this write: what the client sent where that is valid and says something, else what is stored. */
function startFrom(stored: readonly ManagedFieldsEntry[] | undefined, sent: readonly ManagedFieldsEntry[] | undefined, isSubresource: boolean): ManagedMap {
  if (!isSubresource) {
    if (isReset(sent)) return new Map();
    try {
      const managed = decodeRequested(sent, stored);
      if (managed.size > 0) return managed;
    } catch {
      // Fields that nobody can read do not cost the object its managers.
    }
  }
  try {
    return decodeStored(stored);
  } catch {
    return new Map();
  }
}

/** Books the changes between two versions of the object on the manager. Changes `managed`. */
export function trackUpdate(before: JsonObject, after: JsonObject, managed: ManagedMap, options: FieldManagement): void {
  const { schema, apiVersion, subresource, manager, now } = options;
  const comparison = compare(before, after, options);
  takeAway(before, after, comparison, managed, options);
  const own = stripMetadata(options.filter ? options.filter(comparison.changed) : comparison.changed);
  if (!isEmpty(own)) {
    const identity = { manager: manager === '' ? 'unknown' : manager, operation: 'Update', apiVersion, subresource } as const;
    const id = identityOf(identity);
    const previous = managed.get(id);
    const set = previous ? unionSets(reconcileWithSchema(previous.set, schema), own) : own;
    managed.set(id, { ...identity, time: rfc3339(now), set });
  }
  capUpdateManagers(managed);
}

export function compare(before: JsonObject, after: JsonObject, options: FieldManagement): Comparison {
  const all = compareObjects(withoutManagedFields(before), withoutManagedFields(after), options.schema);
  return options.filter ? { changed: options.filter(all.changed), removed: options.filter(all.removed) } : all;
}

/** The object without its managed fields, which nobody owns; shares all else. */
function withoutManagedFields(obj: JsonObject): JsonObject {
  const metadata = obj.metadata as JsonObject | undefined;
  return metadata?.managedFields === undefined ? obj : { ...obj, metadata: { ...metadata, managedFields: undefined } };
}

/** Takes what changed or went away from every manager that had it; managers that have nothing left go. */
function takeAway(before: JsonObject, after: JsonObject, comparison: Comparison, managed: ManagedMap, options: FieldManagement): void {
  const others = new Map<string, Comparison | undefined>();
  let changedAny = false;
  for (const [id, m] of managed) {
    const gone = m.apiVersion === options.apiVersion ? comparison : atVersion(before, after, m.apiVersion, others, options);
    if (!gone) {
      managed.delete(id);
      continue;
    }
    if (isEmpty(gone.changed) && isEmpty(gone.removed)) continue;
    const rest = loseFields(m, gone, options);
    if (rest === m) continue;
    changedAny = true;
    managed.set(id, rest);
  }
  if (changedAny) dropEmpty(managed);
}

function loseFields(m: Managed, gone: Comparison, options: FieldManagement): Managed {
  const schema = m.apiVersion === options.apiVersion ? options.schema : options.versions?.(m.apiVersion)?.schema;
  const set = reconcileWithSchema(m.set, schema);
  return withSet(m, differenceSets(differenceSets(set, gone.changed), gone.removed));
}

/** The comparison as a manager of another version sees it; undefined when that version is not known. */
export function atVersion(
  before: JsonObject, after: JsonObject, apiVersion: string, known: Map<string, Comparison | undefined>, options: FieldManagement,
): Comparison | undefined {
  if (known.has(apiVersion)) return known.get(apiVersion);
  const version = options.versions?.(apiVersion);
  const comparison = version && compare(version.convert(before), version.convert(after), { ...options, schema: version.schema });
  known.set(apiVersion, comparison);
  return comparison;
}
