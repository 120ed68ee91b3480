/**
 * The history of a workload's Pod template, kept in ControllerRevisions: each holds a strategic merge patch that restores a template.
 * Upstream's counterpart: pkg/controller/history.
 */
import type { ControllerRevision } from '#api/gen/apps-v1.ts';
import type { PodTemplateSpec } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf, type KubeObject } from '#api/object.ts';
import type { Client } from '#client/client.ts';
import { CONTROLLER_REVISIONS, type KindRef } from '#client/kinds.ts';
import { safeEncodeString } from '#machinery/names.ts';
import { isReason } from '#machinery/status-error.ts';
import { newControllerRef } from '../workload/controller-ref.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { canonicalJson, fnv32 } from '../workload/hash.ts';
import { isGone } from '../workload/pod-control.ts';

/** On every revision: the hash of its data. */
const REVISION_HASH = 'controller.kubernetes.io/hash';
/** On Pods: the revision that they were made from; a DaemonSet's revisions have it too. */
export const CONTROLLER_REVISION_HASH = 'controller-revision-hash';
const MAX_PREFIX = 223;

export interface RevisionData {
  readonly spec: { readonly template: PodTemplateSpec & { readonly $patch?: string } };
}
/** The patch that puts the template in the place of any other. Its keys are sorted, as Go writes them: clients compare the bytes. */
export function revisionData(template: PodTemplateSpec): RevisionData {
  const data: RevisionData = { spec: { template: { ...template, $patch: 'replace' } } };
  return JSON.parse(canonicalJson(data)) as RevisionData;
}
/** The template that a revision holds. */
export function templateOf(revision: ControllerRevision): PodTemplateSpec {
  const { $patch: _, ...template } = (revision.data as RevisionData).spec.template;
  return template;
}
/** `collisionCount` gives another hash when other data has taken the name. */
export function revisionHash(data: unknown, collisionCount?: number): string {
  return safeEncodeString(String(fnv32(canonicalJson(data), collisionCount === undefined ? '' : String(collisionCount))));
}
export function revisionName(owner: KubeObject, hash: string): string {
  return `${nameOf(owner).slice(0, MAX_PREFIX)}-${hash}`;
}
/** By number; of equals the older first. */
export function compareRevisions(a: ControllerRevision, b: ControllerRevision): number {
  const [left, right] = [a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? ''];
  if (a.revision !== b.revision) return a.revision - b.revision;
  if (left !== right) return left < right ? -1 : 1;
  return nameOf(a) < nameOf(b) ? -1 : 1;
}
export function nextRevisionNumber(revisions: readonly ControllerRevision[]): number {
  return revisions.reduce((max, r) => Math.max(max, r.revision), 0) + 1;
}
export function equalData(a: ControllerRevision, b: ControllerRevision): boolean {
  return semanticEqual(a.data, b.data);
}

export interface NewRevision {
  readonly owner: KubeObject;
  readonly ownerKind: KindRef<KubeObject>;
  readonly template: PodTemplateSpec;
  readonly number: number;
}
/** A revision that is yet to be created: {@link createRevision} gives it its name. */
export function newRevision({ owner, ownerKind, template, number }: NewRevision): ControllerRevision {
  const { annotations } = owner.metadata;
  return {
    apiVersion: 'apps/v1', kind: 'ControllerRevision',
    metadata: { namespace: namespaceOf(owner), labels: { ...template.metadata?.labels }, ...(annotations ? { annotations } : {}), ownerReferences: [newControllerRef(owner, ownerKind)] },
    data: revisionData(template),
    revision: number,
  };
}
/** Creates a revision, or finds the very same one created already. A name that other data has taken raises the collision count. */
export async function createRevision(client: Client, owner: KubeObject, revision: ControllerRevision, collisionCount: number, signal: AbortSignal): Promise<{ revision: ControllerRevision; collisionCount: number }> {
  for (let count = collisionCount; ; count++) {
    const hash = revisionHash(revision.data, count);
    const named = { ...revision, metadata: { ...revision.metadata, name: revisionName(owner, hash), labels: { ...revision.metadata.labels, [REVISION_HASH]: hash } } };
    try {
      return { revision: await client.of(CONTROLLER_REVISIONS).create(named, { signal }), collisionCount: count };
    } catch (err) {
      if (!isReason(err, 'AlreadyExists')) throw err;
      const live = await client.of(CONTROLLER_REVISIONS).get(namespaceOf(named), nameOf(named), signal);
      if (equalData(live, named)) return { revision: live, collisionCount: count };
    }
  }
}
export async function renumberRevision(client: Client, revision: ControllerRevision, number: number, signal: AbortSignal): Promise<ControllerRevision> {
  if (revision.revision === number) return revision;
  return await client.of(CONTROLLER_REVISIONS).update({ ...revision, revision: number }, { signal });
}
/** Deletes the oldest of the revisions that nothing uses, beyond `limit`. */
export async function truncateHistory(client: Client, revisions: readonly ControllerRevision[], isLive: (revision: ControllerRevision) => boolean, limit: number, signal: AbortSignal): Promise<void> {
  const unused = revisions.filter((r) => !isLive(r)).toSorted(compareRevisions);
  for (const revision of unused.slice(0, Math.max(0, unused.length - limit))) {
    await client.of(CONTROLLER_REVISIONS).delete(namespaceOf(revision), nameOf(revision), { preconditions: { uid: uidOf(revision) } }, signal).catch((err: unknown) => {
      if (!isGone(err)) throw err;
    });
  }
}
