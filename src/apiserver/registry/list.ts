/** Lists a resource. Source: the API concepts page, "Semantics for get and list", "Retrieving large results sets in chunks". */
import type { KubeObject } from '#api/object.ts';
import { badRequest, expired, StatusError, timeout } from '#machinery/status-error.ts';
import { ExpiredError } from '#store/cache-watch.ts';
import type { Entry } from '#store/entry.ts';
import type { CacheList } from '#store/list-entries.ts';
import { listPrefix, objectKey } from '#store/keys.ts';
import type { RequestContext } from '../context.ts';
import type { ListResult } from '../request.ts';
import { decodeContinue, encodeContinue, tokenExpired, type ContinueToken } from './continue-token.ts';
import type { ListIdentity } from './list-memo.ts';
import type { CacheEntry, ObjectStorage } from './object-cache.ts';
import { listOptions, parseResourceVersion, type ListOptions } from './options.ts';
import type { ServedResource } from './resource-registry.ts';
import { selectionOf, type Selection } from './selection.ts';

/** How long a read waits for a revision that the cache has not seen: upstream's three seconds. */
const WAIT_FOR_REVISION_MS = 3_000;

export type Select = (entry: Entry<KubeObject>) => boolean;
/** A selection on entries of the cache, prepared ones where the codec `waits`; undefined selects everything. */
export function selectOf(served: ServedResource, selection: Selection): Select | undefined {
  if (selection.empty) return undefined;
  const matches: Select = (entry) => selection.matches(served.codec.fromStorage(entry).object);
  if (selection.name === undefined) return matches;
  // The key tells the name, and no object needs to be decoded for it.
  const end = `/${selection.name}`;
  return (entry) => entry.key.endsWith(end) && matches(entry);
}

export async function listObjects(ctx: RequestContext): Promise<ListResult> {
  const options = listOptions(ctx.request.query, false);
  const selection = selectionOf(ctx.served, options.labelSelector, options.fieldSelector);
  return listSelected(ctx, options, selection);
}

/** A list of any state comes whole, whatever limit is asked for: upstream's cache has no pages there. */
const limitOf = ({ limit, resourceVersion, continue: token }: ListOptions): number => (resourceVersion === '0' && token === '' ? 0 : limit);

export async function listSelected(ctx: RequestContext, options: ListOptions, selection: Selection): Promise<ListResult> {
  const { served } = ctx;
  const storage = served.storage!;
  const prefix = listPrefix(served.info, ctx.namespace);
  const token = options.continue === '' ? undefined : continueToken(options, prefix);
  const exact = token ? (token.revision > 0 ? token.revision : undefined) : await settleRevision(ctx, options);
  if (!token && selection.name !== undefined && (ctx.namespace !== '' || !served.info.namespaced) && exact === undefined) return single(ctx, selection);
  const limit = limitOf(options);
  try {
    if (exact !== undefined && exact < ctx.services.kept.oldest) throw new ExpiredError(ctx.services.kept.oldest, storage.revision);
    const ready = await prepared(served, prefix, selection, exact);
    const whole = !token && ready === undefined && limit === 0;
    const page = whole
      ? newest(ctx, prefix, options, selection)
      : { ...storage.list({ prefix, select: selectOf(served, selection), limit, startKey: token?.startKey, revision: ready }), identity: undefined };
    const last = page.entries.at(-1);
    await served.codec.prepare?.(page.entries);
    const entries = inServedVersion(served, page.entries);
    return {
      kind: 'list',
      served,
      entries,
      ...(entries === page.entries ? { remembered: page.identity } : {}),
      resourceVersion: String(page.revision),
      ...(page.next !== undefined && last ? { continue: encodeContinue(last.key, prefix, page.revision) } : {}),
      ...(page.remaining === undefined ? {} : { remainingItemCount: page.remaining }),
    };
  } catch (err) {
    if (!(err instanceof ExpiredError)) throw err;
    throw token ? tokenExpired(token, prefix) : expired('The resourceVersion for the provided list is too old.');
  }
}

/** Makes everything ready for a selection that needs that; returns the revision to select at, `exact` where nothing is to be done. */
async function prepared({ codec, storage }: ServedResource, prefix: string, selection: Selection, exact: number | undefined): Promise<number | undefined> {
  if (!codec.waits || selection.empty) return exact;
  const { entries, revision } = storage!.list({ prefix, revision: exact });
  await codec.prepare?.(entries);
  return revision;
}

/** The whole newest state of a selection, found by what is remembered of it where that is possible. */
function newest(ctx: RequestContext, prefix: string, options: ListOptions, selection: Selection): CacheList<KubeObject> & { readonly identity: ListIdentity | undefined } {
  const { served, services } = ctx;
  const id = `${options.labelSelector}\n${options.fieldSelector}`;
  const known = services.lists.get(served, prefix, id);
  if (known) return { ...known, next: undefined, remaining: undefined };
  const select = selectOf(served, selection);
  const page = served.storage!.list({ prefix, select });
  return { ...page, identity: services.lists.put(served, prefix, id, select, page.entries) };
}
/** The argument itself where nothing needs to be converted: what is known of the list by its identity stays known. */
function inServedVersion({ codec }: ServedResource, entries: readonly CacheEntry[]): readonly CacheEntry[] {
  const first = entries.findIndex((e) => codec.fromStorage(e) !== e);
  return first < 0 ? entries : entries.map((e) => codec.fromStorage(e));
}

function continueToken(options: ListOptions, prefix: string): ContinueToken {
  if (options.resourceVersion !== '' && options.resourceVersion !== '0') throw badRequest('specifying resource version is not allowed when using continue');
  return decodeContinue(options.continue, prefix);
}

/** Waits until the cache can answer; returns the revision that the list must be at exactly, undefined for the newest. */
async function settleRevision(ctx: RequestContext, options: ListOptions): Promise<number | undefined> {
  const storage = ctx.served.storage!;
  if (options.resourceVersion === '') {
    await storage.freshen(undefined, ctx.signal);
    return undefined;
  }
  const revision = revisionOf(options);
  if (revision === 0) return undefined;
  await reach(ctx, storage, revision);
  const exact = options.resourceVersionMatch === 'Exact' || (options.resourceVersionMatch === '' && options.limit > 0);
  return exact ? revision : undefined;
}

/** Lists check their options before anything else: what is wrong with them is the client's fault. */
function revisionOf(options: ListOptions): number {
  try {
    return parseResourceVersion(options.resourceVersion);
  } catch (err) {
    throw badRequest(`invalid resource version: ${(err as Error).message}`);
  }
}

/** Resolves when the cache is at `revision`; refuses a revision that does not come. */
export async function reach(ctx: RequestContext, storage: ObjectStorage, revision: number): Promise<void> {
  if (storage.revision >= revision) return;
  const late = new AbortController();
  const timer = ctx.services.clock.after(WAIT_FOR_REVISION_MS, () => late.abort());
  try {
    await storage.freshen(revision, AbortSignal.any([late.signal, ctx.signal]));
  } catch (err) {
    if (!late.signal.aborted) throw err;
    throw tooLargeVersion(revision, storage.revision);
  } finally {
    timer.cancel();
  }
}
function tooLargeVersion(asked: number, current: number): StatusError {
  const { status } = timeout(`Too large resource version: ${asked}, current: ${current}`, 1);
  const causes = [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }];
  return new StatusError({ ...status, details: { ...status.details, causes } });
}

/** A list that can hold one object only needs no scan. */
async function single(ctx: RequestContext, selection: Selection): Promise<ListResult> {
  const { served } = ctx;
  const storage = served.storage!;
  const name = selection.name!;
  const stored = name === '' ? undefined : storage.get(objectKey(served.info, ctx.namespace, name));
  if (stored) await served.codec.prepare?.([stored]);
  const entry = stored && served.codec.fromStorage(stored);
  const entries: readonly CacheEntry[] = entry && selection.matches(entry.object) ? [entry] : [];
  return { kind: 'list', served, entries, resourceVersion: String(storage.revision) };
}
