/**
 * The options of every verb, from the query (or, for deletes, the body), decoded and checked as upstream's
 * `metav1` parameter codec and `metav1/validation` do.
 */
import { fieldPath, forbiddenField, invalidValue, notSupported, required, tooLong, type FieldError } from '#machinery/field-errors.ts';
import { badRequest, invalid } from '#machinery/status-error.ts';
import type { Query } from '../query.ts';

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

export interface WriteOptions {
  readonly dryRun: boolean;
  readonly fieldManager: string;
  readonly fieldValidation: FieldValidation;
  /** The client named it, so that it is shown to admission. */
  readonly fieldValidationGiven?: boolean;
  /** Patches of type apply: take fields over from other managers. */
  readonly force: boolean;
}
export type WriteKind = 'CreateOptions' | 'UpdateOptions' | 'PatchOptions';

const FIELD_VALIDATIONS: readonly string[] = ['', 'Ignore', 'Strict', 'Warn'];
const MAX_MANAGER_BYTES = 128;

/** A 64-bit integer of the query; undefined when absent. Worded as Go's `strconv.ParseInt`. */
export function intParameter(query: Query, name: string): number | undefined {
  if (!query.has(name)) return undefined;
  const text = query.get(name);
  if (!/^[+-]?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  const value = Number(text);
  if (Math.abs(value) > 2 ** 63) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`);
  return value;
}

export function validateDryRun(values: readonly string[]): FieldError[] {
  return values.every((v) => v === 'All') ? [] : [notSupported(fieldPath('dryRun'), values, ['All'])];
}
function validateFieldManager(manager: string): FieldError[] {
  const path = fieldPath('fieldManager');
  const errors: FieldError[] = [];
  if (Buffer.byteLength(manager) > MAX_MANAGER_BYTES) errors.push(tooLong(path, MAX_MANAGER_BYTES));
  let position = 0;
  for (const c of manager) {
    if (!/[\p{L}\p{M}\p{N}\p{P}\p{S} ]/u.test(c)) errors.push(invalidValue(path, manager, `invalid character U+${c.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')} (at position ${position})`));
    position += Buffer.byteLength(c);
  }
  return errors;
}

/** `apply`: the patch is of type apply, which must name its manager and may use force. */
export function writeOptions(query: Query, kind: WriteKind, apply = false): WriteOptions {
  if (query.size === 0 && !apply) return DEFAULT_WRITE_OPTIONS;
  const dryRun = query.getAll('dryRun').filter((v) => v !== '');
  const fieldManager = query.get('fieldManager');
  const fieldValidation = query.get('fieldValidation');
  const errors = [...validateDryRun(dryRun), ...validateFieldManager(fieldManager)];
  if (!FIELD_VALIDATIONS.includes(fieldValidation)) errors.push(notSupported(fieldPath('fieldValidation'), fieldValidation, FIELD_VALIDATIONS));
  if (kind === 'PatchOptions') {
    if (apply && fieldManager === '') errors.push(required(fieldPath('fieldManager'), 'is required for apply patch'));
    if (!apply && query.has('force')) errors.push(forbiddenField(fieldPath('force'), 'may not be specified for non-apply patch'));
  }
  refuse(kind, errors);
  return { dryRun: dryRun.length > 0, fieldManager, fieldValidation: (fieldValidation || 'Warn') as FieldValidation, fieldValidationGiven: fieldValidation !== '', force: query.bool('force') };
}
const DEFAULT_WRITE_OPTIONS: WriteOptions = { dryRun: false, fieldManager: '', fieldValidation: 'Warn', force: false };

function refuse(kind: string, errors: readonly FieldError[]): void {
  if (errors.length) throw invalid({ group: 'meta.k8s.io', kind }, '', errors);
}

/** Options as the admission plugins and webhooks see them: a patch is a way to create or to update. */
export function writeOptionsObject(kind: 'CreateOptions' | 'UpdateOptions', o: WriteOptions): Readonly<Record<string, unknown>> {
  return {
    kind,
    apiVersion: 'meta.k8s.io/v1',
    ...(o.dryRun ? { dryRun: ['All'] } : {}),
    ...(o.fieldManager ? { fieldManager: o.fieldManager } : {}),
    ...(o.fieldValidationGiven ? { fieldValidation: o.fieldValidation } : {}),
  };
}

/* ---------------------------------------------------------------- reads */

export interface ListOptions {
  readonly labelSelector: string;
  readonly fieldSelector: string;
  readonly limit: number;
  readonly continue: string;
  readonly resourceVersion: string;
  readonly resourceVersionMatch: '' | 'Exact' | 'NotOlderThan';
  readonly timeoutSeconds: number | undefined;
  readonly allowWatchBookmarks: boolean;
  readonly sendInitialEvents: boolean | undefined;
}
const DEFAULT_LIST_OPTIONS: ListOptions = {
  labelSelector: '', fieldSelector: '', limit: 0, continue: '', resourceVersion: '', resourceVersionMatch: '',
  timeoutSeconds: undefined, allowWatchBookmarks: false, sendInitialEvents: undefined,
};

export function listOptions(query: Query, watch: boolean): ListOptions {
  if (query.size === 0) return DEFAULT_LIST_OPTIONS;
  const options = {
    labelSelector: query.get('labelSelector'),
    fieldSelector: query.get('fieldSelector'),
    limit: intParameter(query, 'limit') ?? 0,
    continue: query.get('continue'),
    resourceVersion: query.get('resourceVersion'),
    resourceVersionMatch: query.get('resourceVersionMatch') as ListOptions['resourceVersionMatch'],
    timeoutSeconds: intParameter(query, 'timeoutSeconds'),
    allowWatchBookmarks: query.bool('allowWatchBookmarks'),
    sendInitialEvents: query.has('sendInitialEvents') ? query.bool('sendInitialEvents') : undefined,
  };
  const settled = watch ? withInitialEvents(options) : options;
  refuse('ListOptions', watch ? validateWatchOptions(settled) : validateListOptions(settled));
  return settled;
}

/** A watch from the newest or any state says when it has shown that state, also to those who did not ask (KEP-3157). */
function withInitialEvents(o: ListOptions): ListOptions {
  if (o.sendInitialEvents !== undefined || o.resourceVersionMatch !== '' || (o.resourceVersion !== '' && o.resourceVersion !== '0')) return o;
  return { ...o, sendInitialEvents: true, resourceVersionMatch: 'NotOlderThan' };
}

const MATCH = fieldPath('resourceVersionMatch');
function validateListOptions(o: ListOptions): FieldError[] {
  const errors: FieldError[] = [];
  const match: string = o.resourceVersionMatch;
  if (match !== '') {
    if (o.resourceVersion === '') errors.push(forbiddenField(MATCH, 'resourceVersionMatch is forbidden unless resourceVersion is provided'));
    if (o.continue !== '') errors.push(forbiddenField(MATCH, 'resourceVersionMatch is forbidden when continue is provided'));
    if (match !== 'Exact' && match !== 'NotOlderThan') errors.push(notSupported(MATCH, match, ['Exact', 'NotOlderThan', ''], 'listed'));
    if (match === 'Exact' && o.resourceVersion === '0') errors.push(forbiddenField(MATCH, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'));
  }
  if (o.sendInitialEvents !== undefined) errors.push(forbiddenField(fieldPath('sendInitialEvents'), 'sendInitialEvents is forbidden for list'));
  return errors;
}
function validateWatchOptions(o: ListOptions): FieldError[] {
  const errors: FieldError[] = [];
  const match: string = o.resourceVersionMatch;
  if (o.sendInitialEvents !== undefined && match !== 'NotOlderThan') {
    errors.push(forbiddenField(MATCH, 'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan'));
  }
  if (match !== '') {
    if (o.sendInitialEvents === undefined) errors.push(forbiddenField(MATCH, 'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided'));
    if (match !== 'NotOlderThan') errors.push(notSupported(MATCH, match, ['NotOlderThan']));
    if (o.continue !== '') errors.push(forbiddenField(MATCH, 'resourceVersionMatch is forbidden when continue is provided'));
  }
  return errors;
}

/** A resourceVersion of a request: '' and '0' are 0. Refuses what is not a number in upstream's words. */
export function parseResourceVersion(text: string): number {
  if (text === '' || text === '0') return 0;
  const fail = (why: string) => badRequest(`resourceVersion: Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: ${why}`);
  if (!/^\d+$/.test(text)) throw fail('invalid syntax');
  const value = Number(text);
  if (value >= 2 ** 64) throw fail('value out of range');
  return value;
}

/* ---------------------------------------------------------------- deletes */

export interface DeleteOptions {
  readonly gracePeriodSeconds: number | undefined;
  readonly preconditions: { readonly uid?: string | undefined; readonly resourceVersion?: string | undefined } | undefined;
  readonly orphanDependents: boolean | undefined;
  readonly propagationPolicy: string | undefined;
  readonly dryRun: boolean;
}

/** The query's form of DeleteOptions, as the object that a body would carry. */
export function deleteOptionsOfQuery(query: Query): Readonly<Record<string, unknown>> {
  const uid = query.get('preconditions.uid') || query.get('uid');
  return {
    ...(query.has('gracePeriodSeconds') ? { gracePeriodSeconds: intParameter(query, 'gracePeriodSeconds') } : {}),
    ...(query.has('orphanDependents') ? { orphanDependents: query.bool('orphanDependents') } : {}),
    ...(query.get('propagationPolicy') ? { propagationPolicy: query.get('propagationPolicy') } : {}),
    ...(uid ? { preconditions: { uid } } : {}),
    ...(query.has('dryRun') ? { dryRun: query.getAll('dryRun') } : {}),
  };
}

/** `raw` was decoded as `meta/v1` DeleteOptions. */
export function checkDeleteOptions(raw: Readonly<Record<string, unknown>>): DeleteOptions {
  const dryRun = ((raw['dryRun'] as readonly string[] | undefined) ?? []).filter((v) => v !== '');
  const orphanDependents = raw['orphanDependents'] as boolean | undefined;
  const propagationPolicy = raw['propagationPolicy'] as string | undefined;
  const errors = validateDryRun(dryRun);
  const path = fieldPath('propagationPolicy');
  if (orphanDependents !== undefined && propagationPolicy !== undefined) {
    errors.push(invalidValue(path, propagationPolicy, 'orphanDependents and deletionPropagation cannot be both set'));
  }
  if (propagationPolicy !== undefined && !['Foreground', 'Background', 'Orphan'].includes(propagationPolicy)) {
    errors.push(notSupported(path, propagationPolicy, ['Foreground', 'Background', 'Orphan', 'nil'], 'listed'));
  }
  refuse('DeleteOptions', errors);
  const grace = raw['gracePeriodSeconds'] as number | undefined;
  return {
    // Upstream: a negative period deletes with the shortest one.
    gracePeriodSeconds: grace !== undefined && grace < 0 ? 1 : grace,
    preconditions: raw['preconditions'] as DeleteOptions['preconditions'],
    orphanDependents,
    propagationPolicy,
    dryRun: dryRun.length > 0,
  };
}
