/**
 * The place of dynamic resource allocation (KEP-4381), which we do not do: Pods with resource claims are refused with a clear word.
 * What it says when it cannot help is part of every FailedScheduling message.
 */
import { StateKey } from '../framework/cycle-state.ts';
import type { Plugin } from '../framework/plugin.ts';
import { errorStatus, skip, unresolvable, unschedulable } from '../framework/status.ts';

const NAME = 'DynamicResources';
const SKIP = skip(NAME);
const REFUSED = unresolvable(NAME, 'dynamic resource allocation is not supported by this cluster');
const NOTHING_TO_FREE = unschedulable(NAME, 'no new claims to deallocate');
const RAN = new StateKey<object>(NAME);

export function newDynamicResources(): Plugin {
  return {
    name: NAME,
    preFilter(state, { pod }) {
      state.set(RAN, {});
      return { status: pod.spec.resourceClaims?.length ? REFUSED : SKIP };
    },
    // A plugin before this one has refused the Pod: upstream then finds no state of its own, and says so in two words.
    postFilter: (state) => ({ status: state.get(RAN) ? NOTHING_TO_FREE : errorStatus(NAME, new Error('not found')) }),
    events: () => [],
  };
}
