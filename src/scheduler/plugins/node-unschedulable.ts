/** Cordoned nodes take only Pods that tolerate `node.kubernetes.io/unschedulable:NoSchedule`. */
import type { Taint } from '#api/gen/core-v1.ts';
import type { Plugin } from '../framework/plugin.ts';
import { unresolvable } from '../framework/status.ts';
import { toleratesTaint } from '#machinery/tolerations.ts';

const NAME = 'NodeUnschedulable';
const REFUSED = unresolvable(NAME, 'node(s) were unschedulable');
const TAINT: Taint = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' };

export function newNodeUnschedulable(): Plugin {
  return {
    name: NAME,
    filter: (_state, info, node) => (node.node!.spec.unschedulable && !toleratesTaint(info.pod.spec.tolerations, TAINT) ? REFUSED : undefined),
    events: () => [
      { resource: 'Node', actions: ['Add', 'UpdateTaint'], hint: (_pod, _old, node) => ((node as { spec?: { unschedulable?: boolean } }).spec?.unschedulable ? 'Skip' : 'Queue') },
      { resource: 'TargetPod', actions: ['UpdateToleration'] },
    ],
  };
}
