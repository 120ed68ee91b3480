import { namespaceOf, uidOf, type KubeObject } from '#api/object.ts';
import type { Informer } from '#client/informer.ts';
import { controllerOf } from './controller-ref.ts';

const INDEX = 'controllerUid';
const indexed = new WeakSet<object>();
const orphanKey = (namespace: string): string => `orphans/${namespace}`;

/** Objects by who controls them. */
export interface ByController<T> {
  /** Controlled by the owner with this UID. */
  owned(uid: string): T[];
  /** Controlled by nobody, in a namespace. */
  orphans(namespace: string): T[];
  /** What the owner may claim: its own, and the orphans of its namespace. */
  claimable(owner: KubeObject): T[];
}
/** The index of a shared informer, made at the first call. */
export function byController<T extends KubeObject>(informer: Informer<T>): ByController<T> {
  if (!indexed.has(informer)) {
    indexed.add(informer);
    informer.addIndex(INDEX, (obj) => [controllerOf(obj)?.uid ?? orphanKey(namespaceOf(obj))]);
  }
  const owned = (uid: string): T[] => informer.byIndex(INDEX, uid);
  const orphans = (namespace: string): T[] => informer.byIndex(INDEX, orphanKey(namespace));
  return { owned, orphans, claimable: (owner) => [...owned(uidOf(owner)), ...orphans(namespaceOf(owner))] };
}
