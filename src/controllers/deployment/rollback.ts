/** Rollback by annotation, as clients of the former `rollback` subresource ask for it. Source: the API reference of extensions/v1beta1, RollbackConfig. */
import type { Deployment, ReplicaSet } from '#api/gen/apps-v1.ts';
import { isCopied, revisionOf, ROLLBACK_TO } from './annotations.ts';
import { HASH_LABEL } from './replicasets.ts';

/** The revision to go back to, 0 for the one before the last; undefined where nothing is asked. */
export function rollbackRevision({ metadata }: Deployment): bigint | undefined {
  const text = metadata.annotations?.[ROLLBACK_TO] ?? '';
  return /^[-+]?\d{1,19}$/.test(text) ? BigInt(text) : undefined;
}
/** The revision before the last; 0 where there is none. */
export function lastRevision(sets: readonly ReplicaSet[]): bigint {
  const [, second = 0n] = sets.map(revisionOf).toSorted((a, b) => (a < b ? 1 : a > b ? -1 : 0));
  return second;
}
export function withoutRollback(deployment: Deployment): Deployment {
  const { [ROLLBACK_TO]: _, ...annotations } = (deployment.metadata.annotations ?? {}) as Record<string, string>;
  return { ...deployment, metadata: { ...deployment.metadata, annotations } };
}
/** The Deployment with a set's template, and with the annotations that it had then. */
export function rolledBackTo(deployment: Deployment, set: ReplicaSet): Deployment {
  const pick = (annotations: Readonly<Record<string, string>> | undefined, copied: boolean) => Object.fromEntries(Object.entries(annotations ?? {}).filter(([key]) => isCopied(key) === copied));
  const { [HASH_LABEL]: _, ...labels } = (set.spec.template?.metadata?.labels ?? {}) as Record<string, string>;
  const annotations = { ...pick(deployment.metadata.annotations, false), ...pick(set.metadata.annotations, true) };
  return { ...deployment, metadata: { ...deployment.metadata, annotations }, spec: { ...deployment.spec, template: { ...set.spec.template, metadata: { ...set.spec.template?.metadata, labels } } } };
}
