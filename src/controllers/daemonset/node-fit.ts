/** On which nodes a DaemonSet's Pods belong, and how a Pod is bound to its node. Source: concepts/workloads/controllers/daemonset, "How Daemon Pods are scheduled". */
import type { DaemonSet } from '#api/gen/apps-v1.ts';
import type { Affinity, Node, NodeSelector, Pod, PodSpec, Taint, Toleration } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { requiredNodeAffinity } from '#machinery/node-selector.ts';
import { toleratesTaint } from '#machinery/tolerations.ts';

const NODE_NAME_FIELD = 'metadata.name';

/** What every daemon Pod tolerates: a node in trouble keeps its daemons. */
const DAEMON_TOLERATIONS: readonly Toleration[] = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
];
const HOST_NETWORK_TOLERATION: Toleration = { key: 'node.kubernetes.io/network-unavailable', operator: 'Exists', effect: 'NoSchedule' };

/** The template's tolerations and the daemons' own, which replace equal ones. */
export function daemonTolerations(spec: PodSpec): Toleration[] {
  const added = spec.hostNetwork ? [...DAEMON_TOLERATIONS, HOST_NETWORK_TOLERATION] : DAEMON_TOLERATIONS;
  const same = (a: Toleration, b: Toleration) => a.key === b.key && a.operator === b.operator && a.effect === b.effect && (a.value ?? '') === (b.value ?? '');
  return [...(spec.tolerations ?? []).filter((t) => !added.some((a) => same(a, t))), ...added];
}
function isUntolerated(spec: PodSpec, taint: Taint): boolean {
  return !toleratesTaint(daemonTolerations(spec), taint);
}

export interface NodeFit {
  readonly shouldRun: boolean;
  /** A taint that came later sends Pods away only with the effect NoExecute. */
  readonly shouldContinue: boolean;
}
export function nodeFit(ds: DaemonSet, node: Node): NodeFit {
  const spec = ds.spec.template.spec;
  if (!spec || (spec.nodeName && spec.nodeName !== nameOf(node)) || !(requiredNodeAffinity(spec)?.(node) ?? true)) return { shouldRun: false, shouldContinue: false };
  const untolerated = (node.spec?.taints ?? []).filter((t) => isUntolerated(spec, t));
  return {
    shouldRun: !untolerated.some((t) => t.effect === 'NoSchedule' || t.effect === 'NoExecute'),
    shouldContinue: !untolerated.some((t) => t.effect === 'NoExecute'),
  };
}

/** The affinity that lets the scheduler choose this node only; what the template required has been seen to. */
export function affinityTo(nodeName: string, affinity: Affinity | undefined): Affinity {
  const only: NodeSelector = { nodeSelectorTerms: [{ matchFields: [{ key: NODE_NAME_FIELD, operator: 'In', values: [nodeName] }] }] };
  return { ...affinity, nodeAffinity: { ...affinity?.nodeAffinity, requiredDuringSchedulingIgnoredDuringExecution: only } };
}
/** The node that a daemon Pod is on or is meant for. */
export function targetNodeOf(pod: Pod): string | undefined {
  if (pod.spec.nodeName) return pod.spec.nodeName;
  const terms = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const fields = terms.flatMap((t) => t.matchFields ?? []);
  return fields.find((f) => f.key === NODE_NAME_FIELD && f.operator === 'In' && f.values?.length === 1)?.values?.[0];
}
