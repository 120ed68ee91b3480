import type { Namespace } from '#api/gen/core-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import { draftOf, type Draft } from '#base/draft.ts';
import { changeFinalizers } from './deletion-finalizers.ts';
import type { DeleteOptions } from './options.ts';

/**
 * A namespace is not deleted but sent into phase Terminating; the namespace controller empties it and then takes its finalizer
 * away. Returns the namespace to write, `pending` when it is Terminating already, `now` when nothing holds it any more.
 */
export function markNamespace(object: KubeObject, options: DeleteOptions, now: number): Draft<KubeObject> | 'pending' | 'now' {
  const old = object as Namespace;
  if (old.metadata.deletionTimestamp !== undefined) return (old.spec?.finalizers?.length ?? 0) > 0 ? 'pending' : 'now';
  const next = draftOf(old);
  next.metadata.deletionTimestamp = rfc3339(now);
  next.status = { ...next.status, phase: 'Terminating' };
  changeFinalizers(next, options);
  return next;
}
