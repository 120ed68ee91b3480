/** Creates an object: upstream's create handler and `Store.Create`. */
import type { KubeObject } from '#api/object.ts';
import type { Draft } from '#base/draft.ts';
import { generateName, nameIsPathSegment } from '#machinery/names.ts';
import { validateObjectMeta } from '#machinery/object-meta.ts';
import { alreadyExists, badRequest, invalid, StatusError } from '#machinery/status-error.ts';
import { RevisionConflictError } from '#store/contract.ts';
import { objectKey } from '#store/keys.ts';
import type { RequestContext } from '../context.ts';
import { isPromise } from '../maybe-promise.ts';
import type { ObjectResult } from '../request.ts';
import { admissionAttributes } from './admit.ts';
import { withClaim } from './claims.ts';
import { trackFields } from './managed-fields.ts';
import { dedupOwnerReferences, fillSystemFields, groupKindOf, settleNamespace, validateFinalizerNames, wipeSystemFields } from './object-meta.ts';
import type { CacheEntry } from './object-cache.ts';
import { writeOptionsObject, type WriteOptions } from './options.ts';
import { resultOf } from './result.ts';
import { copyDraft } from './spelled-out.ts';
import { dropStatusOnCreate } from './subresource-split.ts';

/** How often a name is generated before the create gives up: upstream's `maxNameGenerationCreateAttempts`. */
const NAME_ATTEMPTS = 8;

export interface CreateArgs {
  /** Decoded and defaulted by the schema; private to the request. */
  readonly draft: Draft<KubeObject>;
  readonly options: WriteOptions;
  /** Server-side apply has written the managed fields already. */
  readonly applied?: boolean;
  readonly subresource?: string;
}

export async function createObject(ctx: RequestContext, args: CreateArgs): Promise<ObjectResult> {
  const { draft } = args;
  const generated = !draft.metadata.name && Boolean(draft.metadata.generateName);
  const attempts = generated ? NAME_ATTEMPTS : 1;
  for (let attempt = 1; ; attempt++) {
    const copy = attempt < attempts ? copyDraft(draft) : draft;
    try {
      return await createOnce(ctx, copy, args);
    } catch (err) {
      if (!generated || !(err instanceof StatusError) || err.reason !== 'AlreadyExists') throw err;
      if (attempt === attempts) throw nameNotGenerated(ctx, copy);
    }
  }
}

function nameNotGenerated(ctx: RequestContext, draft: Draft<KubeObject>): StatusError {
  const { status } = alreadyExists({ group: ctx.served.info.group, resource: ctx.served.info.plural }, draft.metadata.name ?? '');
  return new StatusError({
    ...status,
    message: `${status.message}, the server was not able to generate a unique name for the object`,
    details: { ...status.details, retryAfterSeconds: 1 },
  });
}

async function createOnce(ctx: RequestContext, draft: Draft<KubeObject>, args: CreateArgs): Promise<ObjectResult> {
  const { served, services } = ctx;
  const { options } = args;
  settleNamespace(draft, served.info, ctx.namespace);
  wipeSystemFields(draft);
  served.strategy.default?.(draft);
  dedupOwnerReferences(draft, ctx, false);
  if (!args.applied) trackFields(ctx, { live: undefined, draft, fieldManager: options.fieldManager, subresource: args.subresource ?? '' });
  const input = { operation: 'CREATE' as const, subresource: args.subresource, name: draft.metadata.name ?? '', object: draft, oldObject: undefined, options: writeOptionsObject('CreateOptions', options), dryRun: options.dryRun };
  const admits = services.admission.handles('CREATE');
  const attributes = admits ? admissionAttributes(ctx, input) : undefined;
  if (attributes) {
    const admitted = services.admission.admit(attributes, ctx.signal);
    if (isPromise(admitted)) await admitted;
    dedupOwnerReferences(draft, ctx, true);
  }
  // Who changes the object on its way sees none of it, and cannot choose it.
  fillIdentity(ctx, draft);
  prepareForCreate(ctx, draft);
  return withClaim(served.claims, draft, undefined, options.dryRun, async () => {
    validateNew(ctx, draft);
    if (attributes) {
      // By now it has a name, also where that was to be generated.
      const validated = services.admission.validate(attributes.name === '' ? { ...attributes, name: draft.metadata.name! } : attributes, ctx.signal);
      if (isPromise(validated)) await validated;
    }
    return writeNew(ctx, draft, options);
  });
}

async function writeNew(ctx: RequestContext, draft: Draft<KubeObject>, options: WriteOptions): Promise<ObjectResult> {
  const { served } = ctx;
  const storage = served.storage!;
  const key = objectKey(served.info, ctx.namespace, draft.metadata.name!);
  // A dry run does not come as far as the store, which is what objects.
  if (!options.dryRun && draft.metadata.resourceVersion && draft.metadata.resourceVersion !== '0') throw badRequest('resourceVersion should not be set on objects to be created');
  if (!options.dryRun) delete draft.metadata.resourceVersion;
  const normal = served.codec.normalise(draft);
  const stored = await served.codec.toStorage(normal);
  if (options.dryRun) return dryRun(ctx, key, normal);
  try {
    return await resultOf(ctx, await storage.create(key, stored), 201);
  } catch (err) {
    if (err instanceof RevisionConflictError) throw existsError(ctx, draft, storage.get(key));
    throw err;
  }
}

function fillIdentity(ctx: RequestContext, draft: Draft<KubeObject>): void {
  const { info } = ctx.served;
  settleNamespace(draft, info, ctx.namespace);
  fillSystemFields(draft, ctx);
  const { name, generateName: base } = draft.metadata;
  if (!name && base) draft.metadata.name = generateName(base, ctx.services.random);
}

function prepareForCreate(ctx: RequestContext, draft: Draft<KubeObject>): void {
  const { info, strategy } = ctx.served;
  const strategyContext = ctx.strategyContext('');
  if (strategy.generationFields?.length) draft.metadata.generation = 1;
  dropStatusOnCreate(draft, info);
  strategy.prepareForCreate?.(draft, strategyContext);
}

function validateNew(ctx: RequestContext, draft: Draft<KubeObject>): void {
  const { info, strategy } = ctx.served;
  const strategyContext = ctx.strategyContext('');
  const errors = [
    ...validateObjectMeta(draft.metadata, info.namespaced, strategy.validateName ?? undefined),
    ...validateFinalizerNames(draft, info),
    ...(strategy.validate?.(draft, strategyContext) ?? []),
  ];
  if (errors.length) throw invalid(groupKindOf(info), draft.metadata.name ?? '', errors);
  const segment = nameIsPathSegment(draft.metadata.name ?? '', false);
  if (segment.length) throw badRequest(`metadata.name: ${segment.join('; ')}`);
  for (const warning of strategy.warnings?.(draft, undefined) ?? []) ctx.warn(warning);
}

function existsError(ctx: RequestContext, draft: Draft<KubeObject>, existing: CacheEntry | undefined): StatusError {
  const { info } = ctx.served;
  const error = alreadyExists({ group: info.group, resource: info.plural }, draft.metadata.name ?? '');
  if (!existing?.object.metadata.deletionTimestamp) return error;
  // Upstream tells that the name frees up when the deletion is through.
  return new StatusError({ ...error.status, message: `object is being deleted: ${error.message}` });
}

function dryRun(ctx: RequestContext, key: string, draft: Draft<KubeObject>): ObjectResult {
  const existing = ctx.served.storage!.get(key);
  if (existing) throw existsError(ctx, draft, existing);
  return { kind: 'object', code: 201, object: draft };
}
