/** Changes an object: upstream's update handler and `Store.Update`, for PUT, every kind of patch, and subresources that write. */
import type { KubeObject } from '#api/object.ts';
import { draftOf, type Draft } from '#base/draft.ts';
import { fieldPath, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { deepEqual, semanticEqual } from '#machinery/equality.ts';
import { validateObjectMetaUpdate } from '#machinery/object-meta.ts';
import { badRequest, conflict, invalid, MODIFIED, notFound } from '#machinery/status-error.ts';
import { RevisionConflictError } from '#store/contract.ts';
import { objectKey } from '#store/keys.ts';
import type { RequestContext } from '../context.ts';
import type { MaybePromise } from '../interfaces.ts';
import { isPromise } from '../maybe-promise.ts';
import type { ObjectResult } from '../request.ts';
import { admissionAttributes } from './admit.ts';
import { createObject } from './create.ts';
import { withClaim } from './claims.ts';
import { sameButTimes, trackFields, type WrittenKind } from './managed-fields.ts';
import { dedupOwnerReferences, groupKindOf, keepSystemFields } from './object-meta.ts';
import type { CacheEntry } from './object-cache.ts';
import { permissionErrors } from './permissions.ts';
import { writeOptionsObject, type WriteKind, type WriteOptions } from './options.ts';
import { resultOf } from './result.ts';
import type { ServedResource } from './resource-registry.ts';
import { keepForeignFields } from './subresource-split.ts';
import { validateUpdatedMetadata } from './update-metadata.ts';

/** The object in another dress: what a subresource shows of it and takes back (a Scale). Field ownership and admission go by what is shown. */
export interface ObjectView extends WrittenKind {
  /** Nothing comes of an apply: upstream cannot bring what is shown into a version of the object. */
  readonly refusesApply?: boolean;
  show(object: KubeObject): KubeObject;
  /** The object as the changed view has it: a new one. */
  merge(shown: Draft<KubeObject>, old: KubeObject): Draft<KubeObject>;
}

export interface UpdateArgs {
  readonly name: string;
  readonly options: WriteOptions;
  readonly optionsKind: WriteKind;
  /** '' for the main resource. */
  readonly subresource: string;
  /**
   * The new object, private to the request, from the one that is stored (with a {@link view}: both as it shows them); asked again when
   * the write lost a race. `existing` is undefined only where {@link allowCreate} is set.
   */
  source(existing: KubeObject | undefined): MaybePromise<Draft<KubeObject>>;
  /** A missing object is created. */
  readonly allowCreate: boolean;
  /** Server-side apply writes the managed fields itself. */
  readonly applied?: boolean;
  /** Called with the object that is about to be written; throws to refuse. Subresources have rules of their own. */
  check?(next: KubeObject, old: KubeObject): void;
  readonly view?: ObjectView | undefined;
}

export async function updateObject(ctx: RequestContext, args: UpdateArgs): Promise<ObjectResult> {
  const { served } = ctx;
  const storage = served.storage!;
  const key = objectKey(served.info, ctx.namespace, args.name);
  await storage.freshen(undefined, ctx.signal);
  for (;;) {
    ctx.signal.throwIfAborted();
    const stored = storage.get(key);
    try {
      if (!stored) return await createInstead(ctx, args);
      return await updateOnce(ctx, args, key, stored);
    } catch (err) {
      // Another write came between: the cache has it already, begin again from there.
      if (!(err instanceof RevisionConflictError)) throw err;
    }
  }
}

async function createInstead(ctx: RequestContext, args: UpdateArgs): Promise<ObjectResult> {
  const { info } = ctx.served;
  if (!args.allowCreate) throw notFound({ group: info.group, resource: info.plural }, args.name);
  const draft = await args.source(undefined);
  if (draft.metadata.uid) throw uidConflict(ctx, args.name, draft.metadata.uid, '');
  if (Number(draft.metadata.resourceVersion ?? 0) !== 0) throw notFound({ group: info.group, resource: info.plural }, args.name);
  return createObject(ctx, { draft, options: args.options, applied: args.applied ?? false });
}

/** Upstream's storage error for a UID that is not the stored one's. */
function uidConflict(ctx: RequestContext, name: string, asked: string, stored: string): Error {
  const { info } = ctx.served;
  const key = objectKey(info, ctx.namespace, name);
  const why = `StorageError: invalid object, Code: 4, Key: ${key}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: ${asked}, UID in object meta: ${stored}`;
  return conflict({ group: info.group, resource: info.plural }, name, why);
}

async function updateOnce(ctx: RequestContext, args: UpdateArgs, key: string, stored: CacheEntry): Promise<ObjectResult> {
  const { served, services } = ctx;
  const { options, subresource, view } = args;
  await served.codec.prepare?.([stored]);
  const old = served.codec.fromStorage(stored).object;
  const seen = view ? view.show(old) : old;
  const made = args.source(seen);
  const sent = isPromise(made) ? await made : made;
  if (!view) {
    checkUid(ctx, args, sent, old);
    served.strategy.default?.(sent);
  }
  if (!args.applied) trackFields(ctx, { live: seen, draft: sent, fieldManager: options.fieldManager, subresource, written: view });
  const admits = services.admission.handles('UPDATE');
  const attributesOf = (object: Draft<KubeObject>) =>
    admissionAttributes(ctx, { operation: 'UPDATE', subresource, name: args.name, object, oldObject: seen, options: writeOptionsObject('UpdateOptions', options), dryRun: options.dryRun, kind: view?.expected });
  const attributes = admits ? attributesOf(sent) : undefined;
  if (attributes) {
    const admitted = services.admission.admit(attributes, ctx.signal);
    if (isPromise(admitted)) await admitted;
  }
  const draft = view ? view.merge(sent, old) : sent;
  if (view) {
    checkUid(ctx, args, draft, old);
    served.strategy.default?.(draft);
  }
  settleVersion(ctx, args, draft, old);
  dedupOwnerReferences(draft, ctx, admits);
  prepareForUpdate(ctx, args, draft, old);
  // A write to a subresource claims nothing.
  const claims = subresource === '' ? served.claims : undefined;
  return withClaim(claims, draft, old, options.dryRun, async () => {
    const required = subresource === 'status' ? (served.strategy.statusPermissions?.(draft, old, ctx.user, ctx.request.info.verb) ?? []) : [];
    validateUpdate(ctx, args, draft, old, required.length > 0 ? await permissionErrors(ctx, required) : []);
    args.check?.(draft, old);
    if (attributes) {
      const validated = services.admission.validate(view ? attributesOf(editable(view.show(draft))) : attributes, ctx.signal);
      if (isPromise(validated)) await validated;
    }
    return commit(ctx, args, { key, stored, draft, old });
  });
}
/** A precondition of PUTs alone: in a patch it is a change of the field. */
function checkUid(ctx: RequestContext, { name, optionsKind }: UpdateArgs, { metadata }: Draft<KubeObject>, old: KubeObject): void {
  if (optionsKind === 'UpdateOptions' && metadata.uid && metadata.uid !== old.metadata.uid) throw uidConflict(ctx, name, metadata.uid, old.metadata.uid ?? '');
}
/** The resourceVersion that the client wrote its change for, and that admission left in place, against the stored one. */
function settleVersion(ctx: RequestContext, { name, view }: UpdateArgs, draft: Draft<KubeObject>, old: KubeObject): void {
  const { info, strategy } = ctx.served;
  const gr = { group: info.group, resource: info.plural };
  const meta = draft.metadata;
  const asked = meta.resourceVersion ?? '';
  if (asked !== '' && !/^\d+$/.test(asked)) {
    throw badRequest(`strconv.ParseUint: parsing ${JSON.stringify(asked)}: invalid syntax`);
  }
  if (asked === '' || asked === '0') {
    // A view of the object, its scale, may always leave the version out.
    if (strategy.allowUnconditionalUpdate === false && !view) {
      // Upstream's storage knows no kinds.
      throw invalid({ group: info.group, kind: info.plural }, name, [invalidValue(fieldPath('metadata', 'resourceVersion'), 0, 'must be specified for an update')]);
    }
  } else if (asked !== old.metadata.resourceVersion) throw conflict(gr, name, MODIFIED);
  meta.resourceVersion = old.metadata.resourceVersion;
}

/** A scale is a write to the main resource in another dress. */
const writtenPart = (args: UpdateArgs): string => (args.subresource === 'scale' ? '' : args.subresource);

function prepareForUpdate(ctx: RequestContext, args: UpdateArgs, draft: Draft<KubeObject>, old: KubeObject): void {
  const { info, strategy } = ctx.served;
  const subresource = writtenPart(args);
  const strategyContext = ctx.strategyContext(subresource);
  if (info.namespaced) draft.metadata.namespace ||= old.metadata.namespace;
  keepSystemFields(draft, old);
  keepForeignFields(draft, old, info, subresource);
  strategy.prepareForUpdate?.(draft, old, strategyContext);
  countGeneration(draft, old, ctx.served);
}

function validateUpdate(ctx: RequestContext, args: UpdateArgs, draft: Draft<KubeObject>, old: KubeObject, refusals: readonly FieldError[]): void {
  const { info, strategy, codec } = ctx.served;
  const subresource = writtenPart(args);
  const strategyContext = ctx.strategyContext(subresource);
  const validate = subresource === 'status' ? (strategy.validateStatusUpdate ?? strategy.validateUpdate) : strategy.validateUpdate;
  const meta = codec.structType ? validateUpdatedMetadata(draft, old, info, strategy, subresource === '') : validateObjectMetaUpdate(draft.metadata, old.metadata);
  const errors = [...meta, ...refusals, ...(validate?.call(strategy, draft, old, strategyContext) ?? [])];
  if (errors.length) throw invalid(groupKindOf(info), args.name, errors);
  if (subresource !== '') return;
  for (const warning of strategy.warnings?.(draft, old) ?? []) ctx.warn(warning);
}

function countGeneration(draft: Draft<KubeObject>, old: KubeObject, { strategy, codec }: Pick<ServedResource, 'strategy' | 'codec'>): void {
  const fields = strategy.generationFields ?? [];
  const changed = (next: KubeObject, isEqual: typeof semanticEqual): boolean =>
    fields.some((f) => !isEqual((next as unknown as Readonly<Record<string, unknown>>)[f], (old as unknown as Readonly<Record<string, unknown>>)[f]));
  if (!changed(draft, semanticEqual)) return;
  // What differs in empty maps alone is as it will be stored: an empty struct can say something, an empty map of labels cannot.
  if (changed(draft, deepEqual) || changed(codec.normalise(draft), semanticEqual)) draft.metadata.generation = (old.metadata.generation ?? 0) + 1;
}

interface Commit {
  readonly key: string;
  readonly stored: CacheEntry;
  readonly draft: Draft<KubeObject>;
  readonly old: KubeObject;
}
async function commit(ctx: RequestContext, args: UpdateArgs, c: Commit): Promise<ObjectResult> {
  const storage = ctx.served.storage!;
  const { stored } = c;
  const draft = ctx.served.codec.normalise(c.draft);
  if (lastFinalizerGone(ctx, draft, c.old)) {
    if (args.options.dryRun) return { kind: 'object', code: 200, object: draft };
    await storage.delete(c.key, stored.revision);
    await ctx.served.claims?.release(c.old);
    return { kind: 'object', code: 200, object: draft };
  }
  if (sameButTimes(draft, c.old) && !ctx.served.codec.isStale?.(stored) && !(await storage.isStale(c.key))) return resultOf(ctx, stored, 200);
  if (args.options.dryRun) return { kind: 'object', code: 200, object: draft };
  const toStore = await ctx.served.codec.toStorage(draft);
  return resultOf(ctx, await storage.update(c.key, toStore, stored.revision), 200);
}

/** An object under deletion whose last finalizer this update takes away is deleted instead of written. */
export function lastFinalizerGone(ctx: RequestContext, next: KubeObject, old: KubeObject): boolean {
  if (old.metadata.deletionTimestamp === undefined || (next.metadata.finalizers?.length ?? 0) > 0) return false;
  if (isNamespace(ctx) && ((next as { spec?: { finalizers?: readonly string[] } }).spec?.finalizers?.length ?? 0) > 0) return false;
  return (old.metadata.deletionGracePeriodSeconds ?? 0) === 0;
}
export function isNamespace(ctx: RequestContext): boolean {
  return ctx.served.info.plural === 'namespaces' && ctx.served.info.group === '';
}
/** A private copy of a stored object to be changed. */
export const editable = (object: KubeObject): Draft<KubeObject> => draftOf(object);
