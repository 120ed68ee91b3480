/** The selector that a Pod's Services and its workload give it: Pods under it are alike. */
import type { Pod } from '#api/gen/core-v1.ts';
import { namespaceOf } from '#api/object.ts';
import { LabelMatcher, labelMatcherOfSet, type LabelRequirement } from '#machinery/selectors.ts';
import type { Listers } from '../framework/handle.ts';
import { matcher } from '../framework/pod-info.ts';

/** Undefined where nothing selects the Pod. */
export function defaultSelector(pod: Pod, listers: Pick<Listers, 'services' | 'replicationControllers' | 'replicaSets' | 'statefulSets'>): LabelMatcher | undefined {
  const namespace = namespaceOf(pod);
  const byKey = new Map<string, LabelRequirement>();
  const add = (m: LabelMatcher) => { for (const r of m.requirements) byKey.set(`${r.key} ${r.operator} ${r.values.join()}`, r); };
  for (const service of listers.services.list(namespace)) {
    const selector = service.spec.selector;
    if (selector && Object.keys(selector).length > 0 && labelMatcherOfSet(selector).matches(pod.metadata.labels)) add(labelMatcherOfSet(selector));
  }
  const owner = pod.metadata.ownerReferences?.find((o) => o.controller);
  if (owner?.kind === 'ReplicationController') add(labelMatcherOfSet(listers.replicationControllers.get(namespace, owner.name)?.spec.selector));
  else if (owner?.kind === 'ReplicaSet') add(matcher(listers.replicaSets.get(namespace, owner.name)?.spec.selector));
  else if (owner?.kind === 'StatefulSet') add(matcher(listers.statefulSets.get(namespace, owner.name)?.spec.selector));
  return byKey.size === 0 ? undefined : new LabelMatcher([...byKey.values()]);
}
