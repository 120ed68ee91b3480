/**
 * Who controls whom: owner references with `controller: true`, and their adoption and release by selector.
 * Source: concepts/overview/working-with-objects/owners-dependents; upstream's counterpart: ControllerRefManager.
 */
import type { OwnerReference } from '#api/gen/meta-v1.ts';
import { apiVersionOf, nameOf, namespaceOf, uidOf, type KubeObject } from '#api/object.ts';
import type { ResourceClient } from '#client/client.ts';
import type { KindRef } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';

/** The reference to the one controller of an object. */
export function controllerOf(obj: KubeObject): OwnerReference | undefined {
  return obj.metadata.ownerReferences?.find((r) => r.controller);
}
export function isControlledBy(obj: KubeObject, owner: KubeObject): boolean {
  return controllerOf(obj)?.uid === uidOf(owner);
}
/** The reference that makes `owner` an object's controller. */
export function newControllerRef(owner: KubeObject, kind: KindRef<KubeObject>): OwnerReference {
  return { apiVersion: apiVersionOf(kind.group, kind.version), kind: kind.kind, name: nameOf(owner), uid: uidOf(owner), controller: true, blockOwnerDeletion: true };
}

export interface ClaimOptions<T extends KubeObject> {
  readonly owner: KubeObject;
  readonly ownerKind: KindRef<KubeObject>;
  /** Kind of the claimed objects, as messages name it: `Pod`. */
  readonly kind: string;
  readonly client: ResourceClient<T>;
  /** Reads the owner anew: a controller about to be deleted adopts nothing. */
  liveOwner(): Promise<KubeObject>;
  matches(obj: T): boolean;
  /** Finalizers that an adopted object gets. */
  readonly finalizers?: readonly string[];
  readonly signal: AbortSignal;
}

/**
 * The objects that belong to the owner: those it controls and that match, and matching orphans, which it adopts. What it controls
 * but no longer matches is released. Rejects when an adoption or a release failed; what others took meanwhile is left out.
 */
export async function claimObjects<T extends KubeObject>(objects: readonly T[], options: ClaimOptions<T>): Promise<T[]> {
  const { owner, matches } = options;
  const deleting = owner.metadata.deletionTimestamp !== undefined;
  const claimed: T[] = [];
  const failures: unknown[] = [];
  let adoptable: Promise<void> | undefined;
  for (const obj of objects) {
    const controller = controllerOf(obj);
    try {
      if (controller) {
        if (controller.uid !== uidOf(owner)) continue;
        if (matches(obj)) claimed.push(obj);
        else if (!deleting) await release(obj, options);
      } else if (!deleting && obj.metadata.deletionTimestamp === undefined && matches(obj)) {
        await (adoptable ??= checkAdoptable(obj, options));
        if (await adopt(obj, options)) claimed.push(obj);
      }
    } catch (err) {
      failures.push(err);
    }
  }
  if (failures.length === 1) throw failures[0];
  if (failures.length) throw new AggregateError(failures, failures.map((f) => (f instanceof Error ? f.message : String(f))).join(', '));
  return claimed;
}

async function checkAdoptable<T extends KubeObject>(obj: T, { owner, ownerKind, kind, liveOwner }: ClaimOptions<T>): Promise<void> {
  const refuse = (why: string) => new Error(`can't adopt ${kind} ${namespaceOf(obj)}/${nameOf(obj)} (${uidOf(obj)}): ${why}`);
  const live = await liveOwner();
  const name = `${namespaceOf(owner)}/${nameOf(owner)}`;
  if (uidOf(live) !== uidOf(owner)) throw refuse(`original ${ownerKind.kind} ${name} is gone: got uid ${uidOf(live)}, wanted ${uidOf(owner)}`);
  if (live.metadata.deletionTimestamp !== undefined) throw refuse(`${name} has just been deleted at ${live.metadata.deletionTimestamp}`);
}

/** False when the object is gone. The UID in the patch keeps a namesake from being taken. */
async function adopt<T extends KubeObject>(obj: T, { owner, ownerKind, client, finalizers, signal }: ClaimOptions<T>): Promise<boolean> {
  const patch = { metadata: { uid: uidOf(obj), ownerReferences: [newControllerRef(owner, ownerKind)], ...(finalizers ? { finalizers } : {}) } };
  try {
    await client.patch(namespaceOf(obj), nameOf(obj), 'application/strategic-merge-patch+json', patch, { signal });
    return true;
  } catch (err) {
    if (isReason(err, 'NotFound')) return false;
    throw err;
  }
}
async function release<T extends KubeObject>(obj: T, { owner, client, signal }: ClaimOptions<T>): Promise<void> {
  const patch = { metadata: { uid: uidOf(obj), ownerReferences: [{ $patch: 'delete', uid: uidOf(owner) }] } };
  try {
    await client.patch(namespaceOf(obj), nameOf(obj), 'application/strategic-merge-patch+json', patch, { signal });
  } catch (err) {
    // Invalid: the object has no owners any more, or is a namesake with another UID. Either way nothing is left to release.
    if (!isReason(err, 'NotFound') && !isReason(err, 'Invalid') && !isReason(err, 'Conflict')) throw err;
  }
}
