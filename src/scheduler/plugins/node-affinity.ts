/** `nodeSelector` and node affinity. */
import type { Node } from '#api/gen/core-v1.ts';
import { StateKey } from '../framework/cycle-state.ts';
import { normalizeToMax, type Plugin } from '../framework/plugin.ts';
import { skip, unresolvable } from '../framework/status.ts';
import { compilePreferences, requiredNodeAffinity, requiredNodeNames, type CompiledPreference } from '#machinery/node-selector.ts';

const NAME = 'NodeAffinity';
const REFUSED = unresolvable(NAME, "node(s) didn't match Pod's node affinity/selector");
const CONFLICT = unresolvable(NAME, 'pod affinity terms conflict');
const SKIP = skip(NAME);
const REQUIRED = new StateKey<(node: Node) => boolean>(`${NAME}/required`);
const PREFERRED = new StateKey<readonly CompiledPreference[]>(`${NAME}/preferred`);

export function newNodeAffinity(): Plugin {
  return {
    name: NAME,
    preFilter(state, { pod }) {
      const required = requiredNodeAffinity(pod.spec);
      if (!required) return { status: SKIP };
      state.set(REQUIRED, required);
      const nodeNames = requiredNodeNames(pod);
      return nodeNames?.size === 0 ? { status: CONFLICT } : { nodeNames };
    },
    filter: (state, _info, node) => (state.get(REQUIRED)!(node.node!) ? undefined : REFUSED),
    preScore(state, { pod }) {
      const preferred = compilePreferences(pod);
      if (preferred.length === 0) return SKIP;
      state.set(PREFERRED, preferred);
      return undefined;
    },
    score: (state, _info, node) => state.get(PREFERRED)!.reduce((sum, p) => (p.matches(node.node!) ? sum + p.weight : sum), 0),
    normalizeScores: (_state, _info, _nodes, scores) => normalizeToMax(scores, false),
    events: () => [{
      resource: 'Node', actions: ['Add', 'UpdateLabel'],
      hint(pod, old, node) {
        const required = requiredNodeAffinity(pod.spec);
        if (!required) return 'Queue';
        return required(node as Node) && !(old && required(old as Node)) ? 'Queue' : 'Skip';
      },
    }],
  };
}
