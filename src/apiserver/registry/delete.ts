/** Deletes an object: upstream's delete handler, `rest.BeforeDelete` and `Store.Delete`. Source: the API concepts page, "Resource deletion". */
import type { KubeObject } from '#api/object.ts';
import { returnsDeletedObject } from '#api/resources.ts';
import type { Status } from '#api/gen/meta-v1.ts';
import { conflict, notFound } from '#machinery/status-error.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Draft } from '#base/draft.ts';
import { RevisionConflictError } from '#store/contract.ts';
import { objectKey } from '#store/keys.ts';
import type { RequestContext } from '../context.ts';
import type { ObjectResult } from '../request.ts';
import { admitWhole } from './admit.ts';
import { isPromise } from '../maybe-promise.ts';
import { changeFinalizers } from './deletion-finalizers.ts';
import { markNamespace } from './namespace-deletion.ts';
import type { CacheEntry } from './object-cache.ts';
import type { DeleteOptions } from './options.ts';
import { resultOf } from './result.ts';
import { editable, isNamespace } from './update.ts';

export interface DeleteArgs {
  readonly name: string;
  /** The name that admission is told; that of the object where it is absent. A request for many names none. */
  readonly admitsAs?: string;
  readonly options: DeleteOptions;
  /** As admission plugins see them. */
  readonly rawOptions: Readonly<Record<string, unknown>>;
  /** Checks the object that is about to go; throws to refuse. */
  check?(object: KubeObject): void;
}

export async function deleteObject(ctx: RequestContext, args: DeleteArgs): Promise<ObjectResult> {
  const { info } = ctx.served;
  const storage = ctx.served.storage!;
  const key = objectKey(info, ctx.namespace, args.name);
  await storage.freshen(undefined, ctx.signal);
  for (;;) {
    ctx.signal.throwIfAborted();
    const stored = storage.get(key);
    if (!stored) throw notFound({ group: info.group, resource: info.plural }, args.name);
    try {
      return await deleteOnce(ctx, args, key, stored);
    } catch (err) {
      if (!(err instanceof RevisionConflictError)) throw err;
    }
  }
}

async function deleteOnce(ctx: RequestContext, args: DeleteArgs, key: string, stored: CacheEntry): Promise<ObjectResult> {
  const storage = ctx.served.storage!;
  await ctx.served.codec.prepare?.([stored]);
  const old = ctx.served.codec.fromStorage(stored).object;
  checkPreconditions(ctx, args.options, old);
  args.check?.(old);
  const admitted = admitWhole(ctx, { operation: 'DELETE', name: args.admitsAs ?? args.name, object: undefined, oldObject: old, options: args.rawOptions, dryRun: args.options.dryRun });
  if (isPromise(admitted)) await admitted;
  const plan = planDeletion(ctx, args.options, old);
  if (plan.kind === 'pending') return resultOf(ctx, stored, 200);
  if (plan.kind === 'now') {
    const shown = (gone: KubeObject) => (plan.shown ? ctx.served.codec.normalise({ ...plan.shown, metadata: { ...plan.shown.metadata, resourceVersion: gone.metadata.resourceVersion } }) : gone);
    if (args.options.dryRun) return deleted(ctx, shown(old));
    const last = await storage.delete(key, stored.revision);
    await ctx.served.codec.prepare?.([last]);
    const gone = ctx.served.codec.fromStorage(last).object;
    await ctx.served.claims?.release(gone);
    return deleted(ctx, shown(gone));
  }
  const code = args.options.orphanDependents === false ? 202 : 200;
  const next = ctx.served.codec.normalise(plan.next);
  if (args.options.dryRun) return { kind: 'object', code, object: next };
  return resultOf(ctx, await storage.update(key, await ctx.served.codec.toStorage(next), stored.revision), code);
}

function checkPreconditions(ctx: RequestContext, options: DeleteOptions, object: KubeObject): void {
  const { info } = ctx.served;
  const { uid, resourceVersion } = options.preconditions ?? {};
  const meta = object.metadata;
  // Upstream names the kind, not the resource, in these two.
  const gr = { group: info.group, resource: info.kind };
  if (uid !== undefined && uid !== meta.uid) {
    throw conflict(gr, meta.name ?? '', `the UID in the precondition (${uid}) does not match the UID in record (${meta.uid ?? ''}). The object might have been deleted and then recreated`);
  }
  if (resourceVersion !== undefined && resourceVersion !== meta.resourceVersion) {
    throw conflict(gr, meta.name ?? '', `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${meta.resourceVersion ?? ''}). The object might have been modified`);
  }
}

type Plan = { readonly kind: 'now'; /** What the client sees of it: the last state as a deletion marks it. */ readonly shown?: KubeObject } | { readonly kind: 'pending' } | { readonly kind: 'write'; readonly next: Draft<KubeObject> };

/** What a delete does to the object: goes at once, is written with a deletionTimestamp, or stays as it is (under deletion already). */
function planDeletion(ctx: RequestContext, options: DeleteOptions, old: KubeObject): Plan {
  if (isNamespace(ctx)) {
    const plan = markNamespace(old, options, ctx.services.clock.now());
    if (plan !== 'now') return plan === 'pending' ? { kind: 'pending' } : { kind: 'write', next: plan };
  }
  const next = editable(old);
  if (old.metadata.deletionTimestamp === undefined) ctx.served.strategy.beforeDelete?.(next, ctx.services.clock.now());
  const grace = beginGrace(ctx, options, next);
  if (grace === 'pending') return { kind: 'pending' };
  const finalizersChanged = changeFinalizers(next, options, ctx.served.strategy.dependents);
  if ((next.metadata.finalizers?.length ?? 0) > 0) {
    const isMarked = next.metadata.deletionTimestamp !== undefined && old.metadata.deletionTimestamp === undefined;
    if (grace === 'none' && !isMarked) markDeleting(next, ctx.services.clock.now());
    const unchanged = grace === 'none' && !finalizersChanged && old.metadata.deletionTimestamp !== undefined && old.metadata.deletionGracePeriodSeconds === 0;
    return unchanged ? { kind: 'pending' } : { kind: 'write', next };
  }
  if (grace !== 'graceful') return { kind: 'now' };
  return (next.metadata.deletionGracePeriodSeconds ?? 0) > 0 ? { kind: 'write', next } : { kind: 'now', shown: next };
}

/**
 * Graceful deletion (upstream's `BeforeDelete`): sets or shortens the grace period. `none`: the kind has no grace, or this
 * request asks for none; `pending`: a deletion with no longer a period is under way.
 */
function beginGrace(ctx: RequestContext, options: DeleteOptions, next: Draft<KubeObject>): 'graceful' | 'pending' | 'none' {
  const { strategy } = ctx.served;
  const meta = next.metadata;
  if (!strategy.gracePeriod) return 'none';
  if (meta.deletionTimestamp !== undefined) {
    const current = meta.deletionGracePeriodSeconds;
    if (current === undefined) return 'none';
    const asked = options.gracePeriodSeconds;
    if (asked === undefined || asked >= current) return 'pending';
    meta.deletionTimestamp = rfc3339(Date.parse(meta.deletionTimestamp) + (asked - current) * 1000);
    meta.deletionGracePeriodSeconds = asked;
    return 'graceful';
  }
  const seconds = strategy.gracePeriod(next as KubeObject, options.gracePeriodSeconds);
  if (seconds === undefined) return 'none';
  meta.deletionTimestamp = rfc3339(ctx.services.clock.now() + seconds * 1000);
  meta.deletionGracePeriodSeconds = seconds;
  if (meta.generation) meta.generation += 1;
  return 'graceful';
}

function markDeleting(next: Draft<KubeObject>, now: number): void {
  const meta = next.metadata;
  if (meta.deletionTimestamp === undefined) {
    meta.deletionTimestamp = rfc3339(now);
    if (meta.generation) meta.generation += 1;
  }
  meta.deletionGracePeriodSeconds = 0;
}

function deleted(ctx: RequestContext, object: KubeObject): ObjectResult {
  const { info } = ctx.served;
  if (returnsDeletedObject(info)) return { kind: 'object', code: 200, object };
  const { name, uid } = object.metadata;
  const details = { ...(name ? { name } : {}), ...(info.group ? { group: info.group } : {}), kind: info.plural, ...(uid ? { uid } : {}) };
  const status: Status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
  return { kind: 'object', code: 200, object: status as KubeObject };
}
