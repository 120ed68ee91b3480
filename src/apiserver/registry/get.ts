import { notFound } from '#machinery/status-error.ts';
import { objectKey } from '#store/keys.ts';
import type { RequestContext } from '../context.ts';
import type { ObjectResult } from '../request.ts';
import { reach } from './list.ts';
import type { CacheEntry } from './object-cache.ts';
import { parseResourceVersion } from './options.ts';
import { resultOf } from './result.ts';

/** The stored object a request names; 404 when there is none. */
export function entryOf(ctx: RequestContext, name: string = ctx.name): CacheEntry {
  const { info, storage } = ctx.served;
  const entry = storage!.get(objectKey(info, ctx.namespace, name));
  if (!entry) throw notFound({ group: info.group, resource: info.plural }, name);
  return entry;
}

/** Reads one object: at least as new as the resourceVersion asked for, the newest without one, any for 0. */
export async function getObject(ctx: RequestContext): Promise<ObjectResult> {
  const storage = ctx.served.storage!;
  const asked = ctx.request.query.get('resourceVersion');
  if (asked === '') await storage.freshen(undefined, ctx.signal);
  else await reach(ctx, storage, parseResourceVersion(asked));
  return resultOf(ctx, entryOf(ctx), 200);
}
