/** Watches a resource. Source: the API concepts page, "Efficient detection of changes", "Watch bookmarks", "Streaming lists" (KEP-3157). */
import { apiVersionOf, type KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { badRequest, expired, StatusError } from '#machinery/status-error.ts';
import { ExpiredError, type CacheEvent } from '#store/cache-watch.ts';
import { Entry, withRevision } from '#store/entry.ts';
import { listPrefix } from '#store/keys.ts';
import type { RequestContext } from '../context.ts';
import type { WatchedEvent, WatchResult } from '../request.ts';
import { reach, selectOf, type Select } from './list.ts';
import type { CacheEntry } from './object-cache.ts';
import { listOptions, parseResourceVersion, type ListOptions } from './options.ts';
import type { ResourceCodec } from './resource-registry.ts';
import { selectionOf } from './selection.ts';

const INITIAL_EVENTS_END = 'k8s.io/initial-events-end';

/** Where a watch begins. */
interface Start {
  /** Changes after this revision; undefined: the whole state first. */
  readonly after: number | undefined;
  readonly initialEventsEnd: boolean;
}

export async function watchObjects(ctx: RequestContext): Promise<WatchResult> {
  const { query, info } = ctx.request;
  const options = listOptions(query, true);
  const fieldSelector = withName(info.name, options.fieldSelector);
  const select = selectOf(ctx.served, selectionOf(ctx.served, options.labelSelector, fieldSelector));
  const start = await settleStart(ctx, options);
  return { kind: 'watch', served: ctx.served, events: stream(ctx, options, select, start) };
}

/** `/api/v1/watch/…/NAME`, the old form, watches one object. */
function withName(name: string, fieldSelector: string): string {
  if (name === '' || /(?:^|,)metadata\.name==?/.test(fieldSelector)) return fieldSelector;
  if (fieldSelector !== '') throw badRequest('fieldSelector metadata.name doesn\'t match requested name');
  return `metadata.name=${name}`;
}

async function settleStart(ctx: RequestContext, options: ListOptions): Promise<Start> {
  const storage = ctx.served.storage!;
  const asked = parseResourceVersion(options.resourceVersion);
  const initialEventsEnd = options.sendInitialEvents === true && options.allowWatchBookmarks;
  if (options.sendInitialEvents === true && asked > 0) await reach(ctx, storage, asked);
  else if (options.resourceVersion === '') await storage.freshen(undefined, ctx.signal);
  if (options.sendInitialEvents === true) return { after: undefined, initialEventsEnd };
  if (asked > 0) return { after: asked, initialEventsEnd: false };
  return { after: options.sendInitialEvents === false ? storage.revision : undefined, initialEventsEnd: false };
}

/** Seconds a watch lasts: what the client asks for, else between one and two times the server's minimum, so that clients do not all come back at once. */
function durationMs(ctx: RequestContext, options: ListOptions): number {
  if (options.timeoutSeconds) return options.timeoutSeconds * 1000;
  return ctx.services.minRequestTimeoutSeconds * 1000 * (1 + ctx.services.random());
}

async function* stream(ctx: RequestContext, options: ListOptions, select: Select | undefined, start: Start): AsyncGenerator<readonly WatchedEvent[]> {
  const over = new AbortController();
  const timer = ctx.services.clock.after(durationMs(ctx, options), () => over.abort());
  const signal = AbortSignal.any([over.signal, ctx.signal]);
  const { info, storage, codec } = ctx.served;
  const translate = (event: CacheEvent): WatchedEvent =>
    event.type === 'BOOKMARK'
      ? { type: 'BOOKMARK', object: bookmark(info, event.revision, event.initialEventsEnd) }
      : { type: event.type, entry: codec.fromStorage(event.entry) };
  try {
    const prefix = listPrefix(info, ctx.namespace);
    const events = storage!.watch({ prefix, select: codec.waits ? undefined : select, after: start.after, initialEventsEnd: start.initialEventsEnd, bookmarks: options.allowWatchBookmarks, signal });
    for await (const batch of events) {
      await codec.prepare?.(batch.flatMap((event) => (event.type === 'BOOKMARK' ? [] : codec.waits && event.previous ? [event.entry, event.previous] : [event.entry])));
      const selected = codec.waits && select ? await selectPrepared(codec, batch, select) : batch;
      if (selected.length) yield selected.map(translate);
    }
  } catch (err) {
    if (!(err instanceof ExpiredError)) throw err;
    const shown = start.after ?? err.oldest;
    yield [{ type: 'ERROR', object: expired(`too old resource version: ${shown} (${err.oldest})`).status as unknown as KubeObject }];
  } finally {
    timer.cancel();
    over.abort();
  }
}

/** The events of a selection that could not be made before the entries were prepared. */
async function selectPrepared(codec: ResourceCodec, batch: readonly CacheEvent[], select: Select): Promise<readonly CacheEvent[]> {
  const left: CacheEntry[] = [];
  const events = batch.flatMap((event): readonly CacheEvent[] => {
    if (event.type === 'BOOKMARK') return [event];
    const { entry, previous } = event;
    if (!previous) return select(entry) ? [event] : [];
    const was = select(previous);
    if (select(entry)) return [{ type: was ? 'MODIFIED' : 'ADDED', entry }];
    if (!was) return [];
    const gone = new Entry(previous.key, withRevision(previous.object, entry.revision), entry.revision);
    left.push(gone);
    return [{ type: 'DELETED', entry: gone }];
  });
  await codec.prepare?.(left);
  return events;
}

function bookmark(info: ResourceInfo, revision: number, end: boolean): KubeObject {
  const annotations = end ? { annotations: { [INITIAL_EVENTS_END]: 'true' } } : {};
  return { kind: info.kind, apiVersion: apiVersionOf(info.group, info.version), metadata: { resourceVersion: String(revision), ...annotations } };
}

/** The bookmark with which a streamed list is whole. */
export function endsInitialEvents(event: WatchedEvent): boolean {
  return event.type === 'BOOKMARK' && event.object.metadata.annotations?.[INITIAL_EVENTS_END] === 'true';
}

/** The Status of an ERROR event for anything thrown. */
export function errorEvent(err: unknown): WatchedEvent {
  return { type: 'ERROR', object: StatusError.from(err).status as unknown as KubeObject };
}
