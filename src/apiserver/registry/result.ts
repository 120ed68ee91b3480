import type { RequestContext } from '../context.ts';
import type { MaybePromise } from '../interfaces.ts';
import type { ObjectResult } from '../request.ts';
import type { CacheEntry } from './object-cache.ts';

/** The answer that shows a stored object, in the version the request asked for. */
export function resultOf(ctx: RequestContext, entry: CacheEntry, code: number): MaybePromise<ObjectResult> {
  const { codec } = ctx.served;
  const answer = (): ObjectResult => {
    const served = codec.fromStorage(entry);
    return { kind: 'object', code, object: served.object, entry: served };
  };
  return codec.prepare?.([entry])?.then(answer) ?? answer();
}
