/**
 * Server-side apply: merges a configuration into an object by field ownership.
 * Source: KEP-555 and the API reference, "Server-Side Apply".
 */
import type { KubeObject } from '#api/object.ts';
import { splitApiVersion } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import { readJson, writeJson } from '../json.ts';
import { badRequest, internalError } from '../status-error.ts';
import { jsonKind } from '../patch/go-format.ts';
import { isObject, jsonEqual, shallowCopy, type JsonObject } from '../patch/json.ts';
import { compareObjects, fieldSetOf, reconcileWithSchema, type Comparison } from './compare.ts';
import { conflictError, type Conflict } from './conflict.ts';
import { differenceSets, intersectSets, isEmpty, sortSet, type FieldSet } from './field-set.ts';
import { decodeStored, dropEmpty, encodeManaged, identityOf, withSet, type Managed, type ManagedMap } from './managed-fields.ts';
import { mergeApplied } from './merge.ts';
import { pruneApplied } from './prune.ts';
import { atVersion, compare, stripMetadata, trackUpdate, type FieldManagement } from './update.ts';
import { violationsOf } from './validate.ts';

export interface ApplyOptions extends FieldManagement {
  /** Takes fields over from others instead of failing with a conflict. */
  readonly force: boolean;
}
export interface Applied {
  /** The merged object with its new managed fields, not yet defaulted. Shares with `live` what stayed the same. */
  readonly object: KubeObject;
  /** False when nothing but, maybe, the managed fields differs from `live`. */
  readonly changed: boolean;
}

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const BEFORE_FIRST_APPLY = 'before-first-apply';

/**
 * Applies a configuration to `live` (undefined: the object is created). Throws 400 for a configuration of another kind or
 * with managed fields, or that does not fit the schema, 409 for conflicts. Inputs are never changed.
 */
export function applyPatch(live: KubeObject | undefined, patch: unknown, options: ApplyOptions): Applied {
  const config = checkConfig(patch, options);
  const applying: Applying = { live: live ? (live as unknown as JsonObject) : undefined, config, options, managed: managersOf(live, options) };
  const merged = withLastAppliedUpgrade(applying);
  dropEmpty(merged.managed);
  return finish(applying, merged);
}

interface Applying {
  readonly live: JsonObject | undefined;
  readonly config: JsonObject;
  readonly options: ApplyOptions;
  readonly managed: ManagedMap;
}
interface Merged {
  readonly object: JsonObject;
  readonly managed: ManagedMap;
}

function checkConfig(patch: unknown, options: ApplyOptions): JsonObject {
  if (!isObject(patch)) throw badRequest(`error decoding patch: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${jsonKind(patch)} into Go value of type map[string]interface {}`);
  const { apiVersion, kind } = patch;
  if (apiVersion !== options.apiVersion || kind !== options.kind) throw badRequest(`invalid object type: ${gvk(String(apiVersion ?? ''), String(kind ?? ''))}`);
  const metadata = isObject(patch.metadata) ? patch.metadata : {};
  if (metadata.managedFields !== undefined && metadata.managedFields !== null) throw badRequest('metadata.managedFields must be nil');
  const wrong = violationsOf(patch, options.schema);
  if (wrong !== undefined) {
    const text = (value: unknown) => (typeof value === 'string' ? value : '');
    throw badRequest(`failed to create typed patch object (${text(metadata.namespace)}/${text(metadata.name)}; ${gvk(options.apiVersion, options.kind)}): ${wrong}`);
  }
  return patch;
}

/** `apps/v1, Kind=Deployment`; the core group leaves its slash: `/v1, Kind=Pod`. */
function gvk(apiVersion: string, kind: string): string {
  const { group, version } = splitApiVersion(apiVersion);
  return `${group}/${version}, Kind=${kind}`;
}

/** The managers of the live object. One that was never tracked gets a manager for all it holds. */
function managersOf(live: KubeObject | undefined, options: ApplyOptions): ManagedMap {
  let managed: ManagedMap;
  try {
    managed = decodeStored(live?.metadata.managedFields);
  } catch (err) {
    throw internalError(`failed to decode managed fields: ${(err as Error).message}`, err);
  }
  if (managed.size === 0 && live) {
    trackUpdate(options.zero ?? {}, live as unknown as JsonObject, managed, { ...options, manager: BEFORE_FIRST_APPLY });
    // In the order of stored sets: conflicts are told in it.
    for (const [id, m] of managed) managed.set(id, { ...m, set: sortSet(m.set) });
  }
  for (const [id, m] of managed) if (m.apiVersion === options.apiVersion) managed.set(id, withSet(m, reconcileWithSchema(m.set, options.schema)));
  return managed;
}

/** kubectl taking over from its own client-side apply does not conflict over what the last applied configuration says. */
function withLastAppliedUpgrade(applying: Applying): Merged {
  const { options } = applying;
  const first = merge(applying, options.force);
  if (!('conflicts' in first)) return first;
  if (options.manager !== 'kubectl') throw conflictError(first.conflicts);
  const allowed = lastAppliedFields(applying);
  const left = allowed ? first.conflicts.map((c) => ({ ...c, fields: differenceSets(c.fields, allowed) })).filter((c) => !isEmpty(c.fields)) : first.conflicts;
  if (left.length > 0) throw conflictError(left);
  return merge(applying, true) as Merged;
}

function merge(applying: Applying, force: boolean): Merged | { conflicts: readonly Conflict[] } {
  const { live, config, options } = applying;
  const { schema, filter, apiVersion, subresource } = options;
  const managed = new Map(applying.managed);
  const identity = { manager: options.manager === '' ? 'unknown' : options.manager, operation: 'Apply', apiVersion, subresource } as const;
  const id = identityOf(identity);
  const last = managed.get(id);
  const all = fieldSetOf(config, schema);
  const set = filter ? filter(all) : all;
  const own: Managed = { ...identity, time: last?.time, set };
  managed.set(id, own);
  const merged = live === undefined ? config : (mergeApplied(live, config, schema) as JsonObject);
  const object = pruneApplied(merged, managed, last, set, options);
  const conflicts = live === undefined ? [] : settle(live, object, id, managed, options);
  if (conflicts.length > 0 && !force) return { conflicts };
  for (const { with: m, fields } of conflicts) {
    const other = managed.get(identityOf(m))!;
    managed.set(identityOf(m), withSet(other, differenceSets(other.set, fields)));
  }
  managed.set(id, withSet(own, stripMetadata(set)));
  return { object, managed };
}

/** Takes what the apply removes from the other managers, and gives what it changes though they own it. */
function settle(live: JsonObject, object: JsonObject, self: string, managed: ManagedMap, options: ApplyOptions): Conflict[] {
  const here = compare(live, object, options);
  const others = new Map<string, Comparison | undefined>();
  const conflicts: Conflict[] = [];
  for (const [id, m] of managed) {
    if (id === self) continue;
    const gone = m.apiVersion === options.apiVersion ? here : atVersion(live, object, m.apiVersion, others, options);
    if (!gone) {
      managed.delete(id);
      continue;
    }
    const taken = intersectSets(m.set, gone.changed);
    if (!isEmpty(taken)) conflicts.push({ with: m, fields: taken });
    managed.set(id, withSet(m, differenceSets(m.set, gone.removed)));
  }
  return conflicts;
}

/** Fields of the last applied configuration that the live object still has as it says; undefined where there is none. */
function lastAppliedFields({ live, options }: Applying): FieldSet | undefined {
  const text = annotationsOf(live)[LAST_APPLIED];
  if (typeof text !== 'string' || text === '') return undefined;
  let config: unknown;
  try {
    config = readJson(text);
  } catch {
    return undefined;
  }
  if (!isObject(config) || config.apiVersion !== options.apiVersion || violationsOf(config, options.schema) !== undefined) return undefined;
  const differs = compareObjects(config, live!, options.schema);
  return differenceSets(differenceSets(fieldSetOf(config, options.schema), differs.changed), differs.removed);
}

function annotationsOf(obj: JsonObject | undefined): JsonObject {
  const metadata = isObject(obj?.metadata) ? obj.metadata : {};
  return isObject(metadata.annotations) ? metadata.annotations : {};
}

function finish({ live, config, options, managed: before }: Applying, merged: Merged): Applied {
  const same = live !== undefined && jsonEqual(live, merged.object);
  const { managed } = merged;
  const id = identityOf({ manager: options.manager === '' ? 'unknown' : options.manager, operation: 'Apply', apiVersion: options.apiVersion, subresource: options.subresource });
  const own = managed.get(id);
  if (own) {
    const previous = before.get(id);
    const time = same ? own.time : rfc3339(options.now);
    const unchanged = previous?.entry && previous.time === time && previous.apiVersion === own.apiVersion && jsonEqual(previous.set, own.set);
    managed.set(id, unchanged ? previous : { ...own, time, entry: undefined });
  }
  const object = same ? live : merged.object;
  const synced = syncLastApplied(object, config, options);
  const metadata = shallowCopy(isObject(synced.metadata) ? synced.metadata : {});
  const entries = encodeManaged(managed);
  if (entries) metadata.managedFields = entries;
  else delete metadata.managedFields;
  return { object: { ...synced, metadata } as unknown as KubeObject, changed: !same || synced !== object };
}

/** Upstream's limit on the bytes of all annotations. */
const MAX_ANNOTATION_BYTES = 256 * 1024;

/** Keeps kubectl's annotation for client-side apply up to date, where the object has it. */
function syncLastApplied(object: JsonObject, config: JsonObject, options: ApplyOptions): JsonObject {
  const before = annotationsOf(object)[LAST_APPLIED];
  if (options.manager !== 'kubectl' || !before) return object;
  const { [LAST_APPLIED]: _, ...others } = annotationsOf(config);
  const metadata = isObject(config.metadata) ? config.metadata : {};
  const text = `${sortedJson('annotations' in metadata ? { ...config, metadata: { ...metadata, annotations: others } } : config)}\n`;
  if (text === before) return object;
  const annotations = shallowCopy(annotationsOf(object));
  annotations[LAST_APPLIED] = text;
  const bytes = Object.entries(annotations).reduce((sum, [k, v]) => sum + Buffer.byteLength(k) + Buffer.byteLength(String(v)), 0);
  if (bytes > MAX_ANNOTATION_BYTES) delete annotations[LAST_APPLIED];
  return { ...object, metadata: { ...(object.metadata as JsonObject), annotations } };
}

/** JSON with sorted keys and HTML's characters escaped, as Go writes it. */
function sortedJson(value: unknown): string {
  const sorted = (v: unknown): unknown => {
    if (Array.isArray(v)) return v.map(sorted);
    return isObject(v) ? Object.fromEntries(Object.keys(v).sort().map((k) => [k, sorted(v[k])])) : v;
  };
  return writeJson(sorted(value));
}
