import type { Pod } from '#api/gen/core-v1.ts';
import { keyOf, namespaceOf, uidOf, type KubeObject } from '#api/object.ts';
import type { Informer } from '#client/informer.ts';
import type { KindRef } from '#client/kinds.ts';
import type { WorkQueue } from '#client/work-queue.ts';
import { controllerOf } from './controller-ref.ts';
import { semanticEqual } from '#machinery/equality.ts';
import type { Expectations } from './expectations.ts';

export interface OwnedPods<T extends KubeObject> {
  readonly kind: KindRef<T>;
  readonly owners: Informer<T>;
  /** By UID of the owner. */
  readonly expectations: Expectations;
  /** Whether the owner's selector is valid and chooses the Pod. */
  matches(owner: T, pod: Pod): boolean;
}

/** What a change of a Pod means for its owners: whom to look at again, and which expectation it fulfils. */
export function ownedPodsHandler<T extends KubeObject>({ kind, owners, expectations, matches }: OwnedPods<T>, queue: WorkQueue) {
  const enqueueOwner = (pod: Pod): string | undefined => {
    const ref = controllerOf(pod);
    if (ref?.kind !== kind.kind) return undefined;
    const owner = owners.get(namespaceOf(pod), ref.name);
    if (owner && uidOf(owner) === ref.uid) queue.add(keyOf(owner));
    return ref.uid;
  };
  const enqueueMatching = (pod: Pod): void => {
    for (const owner of owners.list(namespaceOf(pod))) if (matches(owner, pod)) queue.add(keyOf(owner));
  };
  const gone = (pod: Pod): void => {
    const uid = enqueueOwner(pod);
    if (uid !== undefined) expectations.deleted(uid, uidOf(pod));
  };
  return {
    onAdd(pod: Pod) {
      // A Pod already on its way out when first seen was never counted as made.
      if (pod.metadata.deletionTimestamp !== undefined) return gone(pod);
      const uid = controllerOf(pod)?.uid;
      if (uid === undefined) return enqueueMatching(pod);
      expectations.created(uid);
      enqueueOwner(pod);
    },
    onUpdate(old: Pod, pod: Pod) {
      if (pod.metadata.deletionTimestamp !== undefined) gone(pod);
      const moved = controllerOf(old)?.uid !== controllerOf(pod)?.uid;
      if (moved) enqueueOwner(old);
      if (controllerOf(pod)) enqueueOwner(pod);
      else if (moved || !semanticEqual(old.metadata.labels, pod.metadata.labels)) enqueueMatching(pod);
    },
    onDelete: gone,
  };
}
