/** Who a StatefulSet's Pods are: names, ordinals, labels, and the claims that go with them. Source: concepts/workloads/controllers/statefulset, "Pod Identity". */
import type { StatefulSet } from '#api/gen/apps-v1.ts';
import type { PersistentVolumeClaim, Pod, PodTemplateSpec, Volume } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf } from '#api/object.ts';
import { STATEFUL_SETS } from '#client/kinds.ts';
import { CONTROLLER_REVISION_HASH } from '../history/revisions.ts';
import { podFromTemplate } from '../workload/pod-control.ts';

const POD_NAME_LABEL = 'statefulset.kubernetes.io/pod-name';
const POD_INDEX_LABEL = 'apps.kubernetes.io/pod-index';

export function startOrdinal(set: StatefulSet): number {
  return set.spec.ordinals?.start ?? 0;
}
/** The set's name and the ordinal in a Pod's name; undefined for a name of another form. */
export function parsePodName(name: string): { parent: string; ordinal: number } | undefined {
  const parts = /^(.*)-(\d+)$/.exec(name);
  return parts ? { parent: parts[1]!, ordinal: Number(parts[2]) } : undefined;
}
/** -1 for a Pod whose name has none. */
export function ordinalOf(pod: Pod): number {
  return parsePodName(nameOf(pod))?.ordinal ?? -1;
}
export function isMemberOf(set: StatefulSet, pod: Pod): boolean {
  return parsePodName(nameOf(pod))?.parent === nameOf(set);
}
export function isInRange(set: StatefulSet, pod: Pod): boolean {
  const ordinal = ordinalOf(pod);
  return ordinal >= startOrdinal(set) && ordinal < startOrdinal(set) + (set.spec.replicas ?? 0);
}
/** The name of the revision that a Pod was made from; '' for none. */
export function revisionOf(pod: Pod): string {
  return pod.metadata.labels?.[CONTROLLER_REVISION_HASH] ?? '';
}

const claimName = (set: StatefulSet, template: string, ordinal: number): string => `${template}-${nameOf(set)}-${ordinal}`;

/** The claims of the Pod with the ordinal, as they are created. */
export function claimsFor(set: StatefulSet, ordinal: number): PersistentVolumeClaim[] {
  return (set.spec.volumeClaimTemplates ?? []).map(({ metadata, spec }) => ({
    apiVersion: 'v1', kind: 'PersistentVolumeClaim',
    metadata: { ...metadata, name: claimName(set, metadata.name ?? '', ordinal), namespace: namespaceOf(set), labels: { ...metadata.labels, ...set.spec.selector.matchLabels } },
    spec,
  }));
}
/** The template's volumes, those of the claims in the place of any of the same name. */
function volumesFor(set: StatefulSet, ordinal: number, own: readonly Volume[]): Volume[] {
  const claims = (set.spec.volumeClaimTemplates ?? []).map((t) => ({ name: nameOf(t), persistentVolumeClaim: { claimName: claimName(set, nameOf(t), ordinal) } }));
  return [...claims, ...own.filter((v) => !claims.some((c) => c.name === v.name))];
}
function identityLabels(name: string, ordinal: number): Readonly<Record<string, string>> {
  return { [POD_NAME_LABEL]: name, [POD_INDEX_LABEL]: String(ordinal) };
}
/** The Pod with the ordinal, made from a revision's template. */
export function newPod(set: StatefulSet, ordinal: number, template: PodTemplateSpec, revision: string): Pod {
  const pod = podFromTemplate(template, set, STATEFUL_SETS);
  const name = `${nameOf(set)}-${ordinal}`;
  const volumes = volumesFor(set, ordinal, pod.spec.volumes ?? []);
  return {
    ...pod,
    metadata: { ...pod.metadata, name, labels: { ...pod.metadata.labels, ...identityLabels(name, ordinal), [CONTROLLER_REVISION_HASH]: revision } },
    spec: { ...pod.spec, hostname: name, ...(set.spec.serviceName ? { subdomain: set.spec.serviceName } : {}), ...(volumes.length ? { volumes } : {}) },
  };
}
/** Whether an existing Pod carries its identity and its claims. */
export function hasIdentity(pod: Pod): boolean {
  return pod.metadata.labels?.[POD_NAME_LABEL] === nameOf(pod);
}
export function hasStorage(set: StatefulSet, pod: Pod): boolean {
  const ordinal = ordinalOf(pod);
  return (set.spec.volumeClaimTemplates ?? []).every((t) => pod.spec.volumes?.some((v) => v.name === nameOf(t) && v.persistentVolumeClaim?.claimName === claimName(set, nameOf(t), ordinal)));
}
/** The Pod with its identity and claims put right. */
export function withIdentity(set: StatefulSet, pod: Pod): Pod {
  const ordinal = ordinalOf(pod);
  const volumes = hasStorage(set, pod) ? pod.spec.volumes : volumesFor(set, ordinal, pod.spec.volumes ?? []);
  return { ...pod, metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, ...identityLabels(nameOf(pod), ordinal) } }, spec: { ...pod.spec, ...(volumes ? { volumes } : {}) } };
}
