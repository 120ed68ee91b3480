/** Questions about the ReplicaSets of a Deployment. */
import type { Deployment, ReplicaSet } from '#api/gen/apps-v1.ts';
import type { PodTemplateSpec } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { desiredReplicasOf, revisionOf } from './annotations.ts';

export const HASH_LABEL = 'pod-template-hash';

export const replicasOf = (obj: ReplicaSet | Deployment): number => obj.spec.replicas ?? 0;
export const isActive = (rs: ReplicaSet): boolean => replicasOf(rs) > 0;
/** Sum of what the sets ask for. */
export const specReplicas = (sets: readonly ReplicaSet[]): number => sets.reduce((n, rs) => n + replicasOf(rs), 0);
/** Sum of the Pods that the sets have. */
export const actualReplicas = (sets: readonly ReplicaSet[]): number => sets.reduce((n, rs) => n + (rs.status?.replicas ?? 0), 0);
export const availableReplicas = (sets: readonly ReplicaSet[]): number => sets.reduce((n, rs) => n + (rs.status?.availableReplicas ?? 0), 0);

const byName = (a: ReplicaSet, b: ReplicaSet): number => (nameOf(a) < nameOf(b) ? -1 : 1);
const created = (rs: ReplicaSet): string => rs.metadata.creationTimestamp ?? '';
export const byCreation = (a: ReplicaSet, b: ReplicaSet): number => (created(a) === created(b) ? byName(a, b) : created(a) < created(b) ? -1 : 1);
export const byRevision = (a: ReplicaSet, b: ReplicaSet): number => Number(revisionOf(a) - revisionOf(b)) || byCreation(a, b);
/** Largest first; of equals the older first, or the newer. */
export const bySizeOlder = (a: ReplicaSet, b: ReplicaSet): number => replicasOf(b) - replicasOf(a) || byCreation(a, b);
export const bySizeNewer = (a: ReplicaSet, b: ReplicaSet): number => replicasOf(b) - replicasOf(a) || byCreation(b, a);

/** Templates are compared without the hash, which the Deployment's does not have. */
export function equalIgnoringHash(a: PodTemplateSpec | undefined, b: PodTemplateSpec | undefined): boolean {
  return semanticEqual(withoutHash(a), withoutHash(b));
}
function withoutHash(template: PodTemplateSpec | undefined): PodTemplateSpec | undefined {
  const labels = template?.metadata?.labels;
  if (!labels || !(HASH_LABEL in labels)) return template;
  const { [HASH_LABEL]: _, ...others } = labels;
  return { ...template, metadata: { ...template.metadata, labels: others } };
}
/** The set of the Deployment's present template: the oldest, should there be several. */
export function findNewSet(deployment: Deployment, sets: readonly ReplicaSet[]): ReplicaSet | undefined {
  return sets.toSorted(byCreation).find((rs) => equalIgnoringHash(rs.spec.template, deployment.spec.template));
}
/** The only set with Pods, or the newest when none has any; undefined when several have. */
export function findActiveOrLatest(newSet: ReplicaSet | undefined, old: readonly ReplicaSet[]): ReplicaSet | undefined {
  const active = [...old, ...(newSet ? [newSet] : [])].filter(isActive);
  if (active.length > 1) return undefined;
  return active[0] ?? newSet ?? old.toSorted(byCreation).at(-1);
}
/** The set carries the whole Deployment by itself. */
export function isSaturated(deployment: Deployment, rs: ReplicaSet | undefined): boolean {
  const want = replicasOf(deployment);
  return rs !== undefined && replicasOf(rs) === want && desiredReplicasOf(rs) === want && (rs.status?.availableReplicas ?? 0) === want;
}
