/** Two Pods on a node cannot use the same host port. */
import type { Pod } from '#api/gen/core-v1.ts';
import { HostPorts } from '../framework/host-ports.ts';
import type { Plugin } from '../framework/plugin.ts';
import { hostPortsOf } from '../framework/pod-info.ts';
import { skip, unschedulable } from '../framework/status.ts';

const NAME = 'NodePorts';
const REFUSED = unschedulable(NAME, "node(s) didn't have free ports for the requested pod ports");
const SKIP = skip(NAME);

function conflict(a: Pod, b: Pod): boolean {
  const used = new HostPorts();
  used.add(hostPortsOf(a));
  return used.conflicts(hostPortsOf(b));
}

export function newNodePorts(): Plugin {
  return {
    name: NAME,
    preFilter: (_state, info) => (info.hostPorts.length === 0 ? { status: SKIP } : undefined),
    filter: (_state, info, node) => (node.ports.conflicts(info.hostPorts) ? REFUSED : undefined),
    events: () => [
      { resource: 'AssignedPod', actions: ['Delete'], hint: (pod, old) => (old && conflict(old as Pod, pod) ? 'Queue' : 'Skip') },
      { resource: 'Node', actions: ['Add'] },
    ],
  };
}
