/** Pods with scheduling gates wait outside of the active queue (KEP-3521). The API server sets their `SchedulingGated` condition. */
import type { Plugin } from '../framework/plugin.ts';
import { unresolvable } from '../framework/status.ts';

const NAME = 'SchedulingGates';

export function newSchedulingGates(): Plugin {
  return {
    name: NAME,
    preEnqueue(pod) {
      const gates = pod.spec.schedulingGates ?? [];
      return gates.length === 0 ? undefined : unresolvable(NAME, `waiting for scheduling gates: [${gates.map((g) => g.name).join(' ')}]`);
    },
    events: () => [{ resource: 'TargetPod', actions: ['UpdateGatesEliminated'] }],
  };
}
