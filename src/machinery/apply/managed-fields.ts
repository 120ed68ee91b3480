/**
 * `metadata.managedFields`: entries decoded by manager, and encoded back in upstream's order. An entry whose fields did not
 * change is kept as it is. Source: meta/v1 ManagedFieldsEntry.
 */
import type { ManagedFieldsEntry } from '#api/gen/meta-v1.ts';
import { jsonEqual } from '../patch/json.ts';
import { EMPTY, isEmpty, parseFieldsV1, sortSet, unionSets, type FieldSet } from './field-set.ts';

/** One manager's part: who, and which fields. */
export interface Managed {
  readonly manager: string;
  readonly operation: 'Apply' | 'Update';
  readonly apiVersion: string;
  /** '' for the main resource. */
  readonly subresource: string;
  /** RFC 3339, in seconds. */
  readonly time: string | undefined;
  readonly set: FieldSet;
  /** The entry this was decoded from, to keep where nothing changes. */
  readonly entry?: ManagedFieldsEntry | undefined;
}
/** Parts by manager identity ({@link identityOf}). */
export type ManagedMap = Map<string, Managed>;

type Identity = Pick<Managed, 'manager' | 'operation' | 'apiVersion' | 'subresource'>;

/** What makes two entries the same manager's: an applier is one whatever version it applies. Upstream sorts by this text. */
export function identityOf(m: Identity): string {
  const { manager, operation, apiVersion, subresource } = m;
  const version = operation === 'Apply' ? '' : apiVersion;
  return `{${manager === '' ? '' : `"manager":${JSON.stringify(manager)},`}"operation":"${operation}"${version === '' ? '' : `,"apiVersion":${JSON.stringify(version)}`}${subresource === '' ? '' : `,"subresource":${JSON.stringify(subresource)}`}}`;
}

/** Entries that the server wrote itself: taken as they are. Throws an Error in upstream's words where one is invalid. */
export function decodeStored(entries: readonly ManagedFieldsEntry[] | undefined): ManagedMap {
  return decode(entries, (value) => (value ?? EMPTY) as FieldSet);
}

/** Entries from a client: their sets are checked and brought into canonical form. Throws an Error where one is invalid. */
export function decodeRequested(entries: readonly ManagedFieldsEntry[] | undefined, stored?: readonly ManagedFieldsEntry[]): ManagedMap {
  if (entries === stored || jsonEqual(entries, stored)) return decodeStored(stored);
  return decode(entries, parseFieldsV1);
}

/** Throws an Error in upstream's words when an entry is invalid: for what admission plugins and tools hand in. */
export function validateManagedFields(entries: readonly ManagedFieldsEntry[] | undefined): void {
  decode(entries, parseFieldsV1);
}

function decode(entries: readonly ManagedFieldsEntry[] | undefined, parse: (value: unknown) => FieldSet): ManagedMap {
  const out: ManagedMap = new Map();
  for (const [i, entry] of (entries ?? []).entries()) {
    const { operation, apiVersion = '', fieldsType = '', manager = '', subresource = '', time, fieldsV1 } = entry;
    if (operation !== 'Apply' && operation !== 'Update') throw new Error('operation must be `Apply` or `Update`');
    if (apiVersion === '') throw new Error('apiVersion must not be empty');
    if (fieldsType === '') throw new Error(`missing fieldsType in managed fields entry ${i}`);
    if (fieldsType !== 'FieldsV1') throw new Error(`invalid fieldsType ${JSON.stringify(fieldsType)} in managed fields entry ${i}`);
    const set = parse(fieldsV1);
    const kept = set === fieldsV1 || jsonEqual(set, fieldsV1) ? entry : undefined;
    const managed: Managed = { manager, operation, apiVersion, subresource, time: time ?? undefined, set, entry: kept };
    out.set(identityOf(managed), managed);
  }
  return out;
}

/** The entries to store; undefined when there is none. Managers whose set is empty have to be gone already. */
export function encodeManaged(managed: ManagedMap): readonly ManagedFieldsEntry[] | undefined {
  if (managed.size === 0) return undefined;
  const all = [...managed.values()];
  if (all.length > 1) all.sort(compareManaged);
  return all.map((m) => m.entry ?? encodeEntry(m));
}

function encodeEntry(m: Managed): ManagedFieldsEntry {
  return {
    ...(m.manager === '' ? {} : { manager: m.manager }),
    operation: m.operation,
    apiVersion: m.apiVersion,
    ...(m.time === undefined ? {} : { time: m.time }),
    fieldsType: 'FieldsV1',
    fieldsV1: sortSet(m.set),
    ...(m.subresource === '' ? {} : { subresource: m.subresource }),
  } as ManagedFieldsEntry;
}

const seconds = (m: Managed): number => (m.time === undefined ? 0 : Math.floor(Date.parse(m.time) / 1000));
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function compareManaged(a: Managed, b: Managed): number {
  return (
    compareText(a.operation, b.operation) || seconds(a) - seconds(b) || compareText(a.manager, b.manager) ||
    compareText(a.apiVersion, b.apiVersion) || compareText(a.subresource, b.subresource)
  );
}

/** The same manager with other fields; the manager itself when they are the same. */
export function withSet(m: Managed, set: FieldSet): Managed {
  return set === m.set ? m : { ...m, set, entry: undefined };
}

/** Drops managers that own nothing any more. */
export function dropEmpty(managed: ManagedMap): void {
  for (const [id, m] of managed) if (isEmpty(m.set)) managed.delete(id);
}

export const MAX_UPDATE_MANAGERS = 10;
const ANCIENT = 'ancient-changes';

/** Where more than {@link MAX_UPDATE_MANAGERS} updated the object, the oldest become one entry `ancient-changes` per version. */
export function capUpdateManagers(managed: ManagedMap): void {
  if (managed.size <= MAX_UPDATE_MANAGERS) return;
  const updaters = [...managed].filter(([, m]) => m.operation === 'Update');
  let count = updaters.length;
  if (count <= MAX_UPDATE_MANAGERS) return;
  updaters.sort(([idA, a], [idB, b]) => seconds(a) - seconds(b) || compareText(idA, idB));
  const firstOf = new Map<string, string>();
  for (const [id, m] of updaters) {
    if (count <= MAX_UPDATE_MANAGERS) return;
    const first = firstOf.get(m.apiVersion);
    if (first === undefined) {
      firstOf.set(m.apiVersion, id);
      continue;
    }
    const bucket: Identity = { manager: ANCIENT, operation: 'Update', apiVersion: m.apiVersion, subresource: '' };
    const bucketId = identityOf(bucket);
    const into = managed.get(bucketId) ?? managed.get(first)!;
    if (!managed.has(bucketId)) managed.delete(first);
    managed.delete(id);
    managed.set(bucketId, { ...bucket, time: m.time, set: unionSets(m.set, into.set) });
    count--;
  }
}

/** True when the client asks to forget all managers: an empty list, or one empty entry. */
export function isReset(entries: readonly ManagedFieldsEntry[] | undefined | null): boolean {
  if (!entries) return false;
  if (entries.length === 0) return true;
  return entries.length === 1 && Object.values(entries[0]!).every((v) => v === undefined || v === null || v === '');
}

/** True when two lists of entries differ in nothing but their times: upstream then keeps the old ones and writes nothing. */
export function equalButForTimes(a: readonly ManagedFieldsEntry[] | undefined, b: readonly ManagedFieldsEntry[] | undefined): boolean {
  if (a === b) return true;
  if (!a || !b || a.length !== b.length) return false;
  return a.every((entry, i) => entry === b[i] || jsonEqual({ ...entry, time: undefined }, { ...b[i], time: undefined }));
}
