/** Pods that need what not every supported release of the kubelet can go where the node says that it can. Source: KEP-5328. */
import type { Node } from '#api/gen/core-v1.ts';
import { mayRestartAll } from '#machinery/container-restart.ts';
import type { Plugin } from '../framework/plugin.ts';
import { unresolvable } from '../framework/status.ts';

const NAME = 'NodeDeclaredFeatures';
const REFUSED = unresolvable(NAME, "node(s) didn't match Pod's required features");
/** The only one that a Pod needs from its start. */
const RESTART_ALL = 'RestartAllContainersOnContainerExits';

const declares = (node: Node): boolean => node.status?.declaredFeatures?.includes(RESTART_ALL) ?? false;

export function newNodeDeclaredFeatures(): Plugin {
  return {
    name: NAME,
    filter: (_state, { pod }, { node }) => (mayRestartAll(pod) && !declares(node!) ? REFUSED : undefined),
    events: () => [{ resource: 'Node', actions: ['Add', 'UpdateDeclaredFeature'], hint: (_pod, _old, node) => (declares(node as Node) ? 'Queue' : 'Skip') }],
  };
}
