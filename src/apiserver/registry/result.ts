import type { RequestContext } from '../context.ts';
import type { ObjectResult } from '../request.ts';
import type { CacheEntry } from './object-cache.ts';

/** The answer that shows a stored object, in the version the request asked for. */
export function resultOf(ctx: RequestContext, entry: CacheEntry, code: number): ObjectResult {
  const served = ctx.served.codec.fromStorage(entry);
  return { kind: 'object', code, object: served.object, entry: served };
}
