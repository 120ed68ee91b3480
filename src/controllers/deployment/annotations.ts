/** What a Deployment and its ReplicaSets tell each other in annotations: revisions, and the sizes that proportional scaling needs. */
import type { Deployment, ReplicaSet } from '#api/gen/apps-v1.ts';

export const REVISION = 'deployment.kubernetes.io/revision';
export const REVISION_HISTORY = 'deployment.kubernetes.io/revision-history';
export const DESIRED_REPLICAS = 'deployment.kubernetes.io/desired-replicas';
export const ROLLBACK_TO = 'deprecated.deployment.rollback.to';
export const MAX_REPLICAS = 'deployment.kubernetes.io/max-replicas';

/** A set's own; all others come from its Deployment. */
const NOT_COPIED: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration', REVISION, REVISION_HISTORY, DESIRED_REPLICAS, MAX_REPLICAS, ROLLBACK_TO,
]);
/** Whether a Deployment and its newest set share an annotation. */
export const isCopied = (key: string): boolean => !NOT_COPIED.has(key);
const MAX_HISTORY_CHARS = 2000;

type Annotations = Readonly<Record<string, string>>;

/** The set's revision; 0 for none. An int64: anybody may have set it to more than a number can hold. */
export function revisionOf(rs: ReplicaSet): bigint {
  const text = rs.metadata.annotations?.[REVISION] ?? '';
  return /^\d{1,19}$/.test(text) ? BigInt(text) : 0n;
}
/** The Deployment's size when the set was last scaled. */
export function desiredReplicasOf(rs: ReplicaSet): number | undefined {
  return numberOf(rs.metadata.annotations?.[DESIRED_REPLICAS]);
}
/** The most Pods the Deployment might have when the set was last scaled. */
export function maxReplicasOf(rs: ReplicaSet): number | undefined {
  return numberOf(rs.metadata.annotations?.[MAX_REPLICAS]);
}
function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^[-+]?\d+$/.test(text) ? Number(text) : undefined;
}
export function sizeAnnotations(desired: number, max: number): Annotations {
  return { [DESIRED_REPLICAS]: String(desired), [MAX_REPLICAS]: String(max) };
}

/** The annotations that the newest set must have: the Deployment's, and the revision. A set that is taken up again keeps its former revisions. */
export function newSetAnnotations(deployment: Deployment, before: Annotations, revision: bigint): Annotations {
  const copied = Object.fromEntries(Object.entries(deployment.metadata.annotations ?? {}).filter(([k]) => isCopied(k)));
  const known = before[REVISION];
  const oldRevision = known === undefined ? 0n : /^\d{1,19}$/.test(known) ? BigInt(known) : undefined;
  const out = { ...before, ...copied };
  // A revision that is no number is left alone: whoever wrote it meant something.
  if (oldRevision === undefined || oldRevision >= revision) return out;
  const history = known === undefined ? before[REVISION_HISTORY] : extendHistory(before[REVISION_HISTORY] ?? '', known);
  return { ...out, [REVISION]: String(revision), ...(history === undefined ? {} : { [REVISION_HISTORY]: history }) };
}
/** Drops the oldest revisions where the list would grow beyond its bound. */
function extendHistory(history: string, revision: string): string {
  if (history === '') return revision;
  const kept = history.split(',');
  while (kept.length && [...kept, revision].join(',').length > MAX_HISTORY_CHARS) kept.shift();
  return [...kept, revision].join(',');
}
