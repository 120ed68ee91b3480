/** Labels of nodes that have a newer name, wherever something selects by them. */
import type { NodeSelectorTerm } from '#api/gen/core-v1.ts';
import type { FieldPath } from '#machinery/field-errors.ts';

const since = (release: string, label: string) => `deprecated since ${release}; use ${JSON.stringify(label)} instead`;
/** By label: what upstream says of it. */
export const DEPRECATED_LABELS: Readonly<Record<string, string>> = {
  'beta.kubernetes.io/arch': since('v1.14', 'kubernetes.io/arch'),
  'beta.kubernetes.io/os': since('v1.14', 'kubernetes.io/os'),
  'failure-domain.beta.kubernetes.io/region': since('v1.17', 'topology.kubernetes.io/region'),
  'failure-domain.beta.kubernetes.io/zone': since('v1.17', 'topology.kubernetes.io/zone'),
  'beta.kubernetes.io/instance-type': since('v1.17', 'node.kubernetes.io/instance-type'),
};

export function termWarnings(term: NodeSelectorTerm | undefined, path: FieldPath): string[] {
  return (term?.matchExpressions ?? []).flatMap(({ key }, i) =>
    DEPRECATED_LABELS[key] ? [`${path.child('matchExpressions').index(i).child('key').toString()}: ${key} is ${DEPRECATED_LABELS[key]}`] : []);
}
