/** The system's part of `metadata`: what a client may send there and what the registry makes of it (upstream's `rest.Before…`). */
import type { KubeObject } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Draft } from '#base/draft.ts';
import { fieldPath, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { badRequest } from '#machinery/status-error.ts';
import type { RequestContext } from '../context.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { structByKind } from '#api/schema.ts';

/** An object that is created has no identity of its sender's making. */
export function wipeSystemFields({ metadata: meta }: Draft<KubeObject>): void {
  delete meta.uid;
  delete meta.creationTimestamp;
  delete meta.deletionTimestamp;
  delete meta.deletionGracePeriodSeconds;
  delete meta.selfLink;
}
/** Fresh identity for an object that is created. */
export function fillSystemFields(draft: Draft<KubeObject>, ctx: RequestContext): void {
  wipeSystemFields(draft);
  draft.metadata.uid = ctx.services.uid();
  draft.metadata.creationTimestamp = rfc3339(ctx.services.clock.now());
}

/** Groups whose kinds, as custom resources and core Events, take any finalizer that is a qualified name. */
const ANY_FINALIZER: ReadonlySet<string> = new Set(['apiextensions.k8s.io', 'apiregistration.k8s.io', 'admissionregistration.k8s.io', 'coordination.k8s.io', 'node.k8s.io', 'policy']);
const takesAnyFinalizer = ({ group, plural }: ResourceInfo) => ANY_FINALIZER.has(group) || (group === '' && plural === 'events');
const STANDARD_FINALIZERS: ReadonlySet<string> = new Set(['kubernetes', 'orphan', 'foregroundDeletion']);
/** Finalizers of built-in kinds name who owns them. */
export function validateFinalizerNames(object: KubeObject, info: ResourceInfo): FieldError[] {
  const { finalizers } = object.metadata;
  if (!finalizers?.length || takesAnyFinalizer(info) || !structByKind(info.group, info.version, info.kind)) return [];
  const path = fieldPath('metadata', 'finalizers');
  return finalizers.flatMap((name, i) => (name.includes('/') || STANDARD_FINALIZERS.has(name) ? [] : [invalidValue(path.index(i), name, 'name is neither a standard finalizer name nor is it fully qualified')]));
}

/** The object's namespace against the request's; an absent one is filled in. */
export function settleNamespace(draft: Draft<KubeObject>, info: ResourceInfo, requestNamespace: string): void {
  const meta = draft.metadata;
  if (!info.namespaced) delete meta.namespace;
  else if (!meta.namespace) meta.namespace = requestNamespace;
  else if (meta.namespace !== requestNamespace) throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
}

/** A PUT's or patched object must be the one that the URL names. */
export function checkName(draft: Draft<KubeObject>, name: string, namespace: string): void {
  const { name: objectName = '', namespace: objectNamespace = '' } = draft.metadata;
  if (objectName === '') throw badRequest(`the name of the object (${name} based on URL) was undeterminable: name must be provided`);
  if (objectName !== name) throw badRequest(`the name of the object (${objectName}) does not match the name on the URL (${name})`);
  if (namespace !== '' && objectNamespace !== '' && objectNamespace !== namespace) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request');
  }
}

/** Identity and deletion marks are the server's: an update never changes them. */
export function keepSystemFields(draft: Draft<KubeObject>, old: KubeObject): void {
  const meta = draft.metadata as Draft<KubeObject>['metadata'] & Record<string, unknown>;
  meta.uid ||= old.metadata.uid;
  restore(meta, old, 'creationTimestamp');
  restore(meta, old, 'generation');
  // Marks of a deletion that nobody asked for are for validation to refuse.
  if (old.metadata.deletionTimestamp !== undefined) restore(meta, old, 'deletionTimestamp');
  if (old.metadata.deletionGracePeriodSeconds !== undefined) meta.deletionGracePeriodSeconds ??= old.metadata.deletionGracePeriodSeconds;
  delete meta.selfLink;
}
function restore(meta: Record<string, unknown>, old: KubeObject, field: 'creationTimestamp' | 'generation' | 'deletionTimestamp'): void {
  const value = old.metadata[field];
  if (value === undefined) delete meta[field];
  else meta[field] = value;
}

/** Drops owner references that repeat an owner (all fields alike, as upstream compares), with a warning that names the UIDs. */
export function dedupOwnerReferences(draft: Draft<KubeObject>, ctx: RequestContext, afterAdmission: boolean): void {
  const refs = draft.metadata.ownerReferences;
  if (!refs || refs.length < 2) return;
  const seen = new Set<string>();
  const repeated = new Set<string>();
  const kept = refs.filter((ref) => {
    const id = JSON.stringify([ref.apiVersion, ref.kind, ref.name, ref.uid, ref.controller ?? null, ref.blockOwnerDeletion ?? null]);
    if (!seen.has(id)) return Boolean(seen.add(id));
    repeated.add(ref.uid);
    return false;
  });
  if (repeated.size === 0) return;
  draft.metadata.ownerReferences = kept;
  const when = afterAdmission ? ' after mutating admission happens' : '';
  ctx.warn(`.metadata.ownerReferences contains duplicate entries${when}; API server dedups owner references in 1.20+, and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: ${[...repeated].join(', ')}`);
}

/** What an invalid object is called: by the group that its kind is stored in. */
export function groupKindOf({ group, kind, storedAs }: ResourceInfo): { readonly group: string; readonly kind: string } {
  return { group: storedAs ? storedAs.slice(0, storedAs.indexOf('/')) : group, kind };
}
