/** A Pod that names its node goes there or nowhere. */
import { nameOf } from '#api/object.ts';
import type { Plugin } from '../framework/plugin.ts';
import { unresolvable } from '../framework/status.ts';

const NAME = 'NodeName';
const REFUSED = unresolvable(NAME, "node(s) didn't match the requested node name");

export function newNodeName(): Plugin {
  return {
    name: NAME,
    filter: (_state, { pod }, node) => (pod.spec.nodeName && pod.spec.nodeName !== node.name ? REFUSED : undefined),
    events: () => [{ resource: 'Node', actions: ['Add'], hint: (pod, _old, node) => (node && nameOf(node) === pod.spec.nodeName ? 'Queue' : 'Skip') }],
  };
}
