/**
 * `matchLabelKeys` and `mismatchLabelKeys` become part of their label selectors when a Pod is created: the values are those of the
 * Pod's own labels at that time. Those of a topology spread constraint too. Source: KEP-3633, KEP-3243.
 */
import type { Pod, PodAffinityTerm } from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';

type Term = Pick<Draft<PodAffinityTerm>, 'labelSelector' | 'matchLabelKeys' | 'mismatchLabelKeys'>;

function extend(term: Term, labels: Readonly<Record<string, string>>): void {
  if (!term.labelSelector) return;
  const add = (keys: readonly string[], operator: 'In' | 'NotIn') => {
    for (const key of keys) {
      const value = labels[key];
      if (value !== undefined) (term.labelSelector!.matchExpressions ??= []).push({ key, operator, values: [value] });
    }
  };
  add(term.matchLabelKeys ?? [], 'In');
  add(term.mismatchLabelKeys ?? [], 'NotIn');
}
export function applyLabelKeys(pod: Draft<Pod>): void {
  const labels = pod.metadata.labels ?? {};
  for (const affinity of [pod.spec.affinity?.podAffinity, pod.spec.affinity?.podAntiAffinity]) {
    for (const term of affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) extend(term, labels);
    for (const { podAffinityTerm } of affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []) extend(podAffinityTerm, labels);
  }
  for (const constraint of pod.spec.topologySpreadConstraints ?? []) extend(constraint, labels);
}
