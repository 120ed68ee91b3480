import type { KubeObject } from '#api/object.ts';
import type { Client } from '#client/client.ts';
import type { KindRef } from '#client/kinds.ts';
import type { ReconcileResult } from '#client/reconciler.ts';
import { isReason } from '#machinery/status-error.ts';
import { untilCaughtUp } from '../workload/stale.ts';

export interface ProtectionOptions<T extends KubeObject> {
  readonly client: Client;
  readonly kind: KindRef<T>;
  readonly finalizer: string;
  /** Asked only of objects that are going. */
  isUsed(obj: T, signal: AbortSignal): boolean | Promise<boolean>;
}

/**
 * Keeps a finalizer on an object while it stands, and takes it off when the object is going and nothing uses it. `obj` is the informer's.
 * Source: concepts/storage/persistent-volumes, "Storage Object in Use Protection".
 */
export async function protect<T extends KubeObject>(obj: T | undefined, options: ProtectionOptions<T>, signal: AbortSignal): Promise<ReconcileResult> {
  const { client, kind, finalizer, isUsed } = options;
  const finalizers = obj?.metadata.finalizers ?? [];
  const held = finalizers.includes(finalizer);
  const going = obj?.metadata.deletionTimestamp !== undefined;
  if (!obj || held !== going || (going && (await isUsed(obj, signal)))) return undefined;
  const next = going ? finalizers.filter((f) => f !== finalizer) : [...finalizers, finalizer];
  return await untilCaughtUp(async () => {
    await client.of(kind).update({ ...obj, metadata: { ...obj.metadata, finalizers: next } }, { signal }).catch((err: unknown) => {
      if (!isReason(err, 'NotFound')) throw err;
    });
    return undefined;
  });
}
