/**
 * Places Pods where the devices are that their ResourceClaims ask for, and allocates them. Source: KEP-4381, and KEP-5004 for extended resources.
 *
 * ```
 *  preEnqueue, preFilter: are the claims there, and the Pod's?     filter: can this node give all devices at once?
 *  reserve: what it gives is taken, in memory                      preBind: … and written: allocation, then the Pod as its user
 *  postFilter: an allocated claim that is in the wrong place is given back
 * ```
 */
import { randomUUID } from 'node:crypto';
import type { Pod } from '#api/gen/core-v1.ts';
import type { AllocationResult, ResourceClaim } from '#api/gen/resource-v1.ts';
import { keyOf, nameOf, uidOf } from '#api/object.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { allocate } from '../dra/allocator.ts';
import { mayBecomeReady } from '../dra/binding-conditions.ts';
import { asksForDevices, claimForExtendedResources, extendedRequestsOf, IN_MEMORY_NAME, resourcesByDevices } from '../dra/extended-resources.ts';
import { claimsOf, missingClass, usesClaim } from '../dra/pod-claims.ts';
import type { QueueingHint } from '../framework/events.ts';
import type { FrameworkHandle } from '../framework/handle.ts';
import type { NodeInfo } from '../framework/node-info.ts';
import { normalizeToMax, type Plugin, type PostFilterResult } from '../framework/plugin.ts';
import { errorStatus, skip, unresolvable, unschedulable, type Status } from '../framework/status.ts';
import type { PodInfo } from '../framework/pod-info.ts';
import { ClaimBinder } from './dynamic-resources-binding.ts';
import { claimStateOf, DynamicResourcesState, STATE, type ClaimState, type NodeAllocation } from './dynamic-resources-state.ts';

const NAME = 'DynamicResources';
const SKIP = skip(NAME);
const NOT_ALL = unresolvable(NAME, 'cannot allocate all claims');
const NOT_HERE = unresolvable(NAME, 'resourceclaim not available on the node');
const NO_RESOURCE = unresolvable(NAME, 'cannot fit resource');
const STALE = unresolvable(NAME, 'cannot schedule extended resource claim');
/** Of one Pod, on all nodes: a cycle holds up all else, where upstream searches for ten seconds on each node. */
const SEARCH_MS = 1000;
/** The clock is read once in so many steps. */
const STEPS = 128;
const MAX_ALTERNATIVES = 8;

class SearchTimeout extends Error {}

export function newDynamicResources(handle: FrameworkHandle): Plugin {
  const { clock, dra } = handle;
  const { claims: tracker, classes } = dra;
  const binder = new ClaimBinder(handle);
  const allocator = { ...dra, ledger: tracker.ledger, classOf: (name: string) => classes.get(name), newShareID: randomUUID };

  /** The claims of the Pod; or why it has to wait. */
  function claimStatesOf({ pod, requests }: PodInfo): ClaimState[] | Status {
    const claims = claimsOf(pod, tracker);
    if (typeof claims === 'string') return unresolvable(NAME, claims);
    for (const claim of claims) {
      if (claim.status?.allocation) continue;
      if (tracker.isPending(uidOf(claim))) return unresolvable(NAME, `resource claim ${keyOf(claim)} is in the process of being allocated`);
      const missing = missingClass(claim, (name) => classes.get(name) !== undefined);
      if (missing !== undefined) return unresolvable(NAME, missing);
    }
    const states = claims.map((claim) => claimStateOf(claim));
    if (asksForDevices(requests, classes)) states.push(claimStateOf(tracker.extendedFor(uidOf(pod)) ?? claimForExtendedResources(pod, randomUUID()), true));
    return states;
  }
  /** Ends the search when the cycle's time is over. */
  function stopwatch(state: DynamicResourcesState): { check(): void; stop(): void } {
    const start = clock.monotonic();
    let steps = 0;
    return {
      check() {
        if (++steps % STEPS === 0 && clock.monotonic() - start > state.remainingMs) throw new SearchTimeout();
      },
      stop: () => { state.remainingMs -= clock.monotonic() - start; },
    };
  }
  function search(state: DynamicResourcesState, claims: readonly ResourceClaim[], { node, name }: NodeInfo): readonly AllocationResult[] | Status {
    const watch = stopwatch(state);
    try {
      const found = allocate(allocator, node!, claims, () => watch.check());
      if (found === 'none') return NOT_ALL;
      return found === 'invalid' ? unresolvable(NAME, 'invalid resource pools were encountered') : found;
    } catch (err) {
      return errorStatus(NAME, err instanceof SearchTimeout ? new Error(`node ${name}: timed out trying to allocate devices`) : err);
    } finally {
      watch.stop();
    }
  }
  /** The claim for extended resources as the node needs it; undefined where the node has them all itself. */
  function extendedOn(each: ClaimState, { pod, requests }: PodInfo, node: NodeInfo): Pick<NodeAllocation, 'mappings'> & { readonly claim: ResourceClaim } | Status | undefined {
    if (each.claim.spec.devices?.requests) return STALE;
    const resources = resourcesByDevices(requests, node, classes);
    if (!resources) return NO_RESOURCE;
    if (resources.length === 0) return undefined;
    const { requests: asked, mappings } = extendedRequestsOf(pod, resources, classes);
    return { mappings, claim: { ...each.claim, spec: { devices: { requests: asked } } } };
  }
  function filter(state: DynamicResourcesState, info: PodInfo, node: NodeInfo): Status | undefined {
    const special = state.claims.find((each) => each.extended);
    const extended = special && extendedOn(special, info, node);
    if (extended && 'code' in extended) return extended;
    const unavailable = state.claims.filter(({ claim, availableOn }) => {
      return (availableOn && !availableOn.matches(node.node!)) || (claim.status?.allocation && !mayBecomeReady(claim, clock.now()));
    });
    const wanting = state.unallocated.filter((each) => !each.extended || extended);
    const results = wanting.length > 0 ? search(state, wanting.map((each) => (each.extended ? extended!.claim : each.claim)), node) : [];
    if ('code' in results) return results;
    for (const each of unavailable) state.unavailable.add(each);
    if (unavailable.length > 0) return NOT_HERE;
    state.byNode.set(node.name, { results: new Map(wanting.map((each, i) => [each, results[i]!])), extendedClaim: extended?.claim, mappings: extended?.mappings ?? [] });
    return undefined;
  }
  function postFilter(state: DynamicResourcesState, pod: Pod): PostFilterResult {
    if (state.claims.length === 0) return { status: unschedulable(NAME, 'no new claims to deallocate') };
    for (const { claim, extended } of state.unavailable) {
      const users = claim.status?.reservedFor ?? [];
      if (extended || users.length > 1 || (users.length === 1 && users[0]!.uid !== uidOf(pod))) continue;
      binder.deallocate(pod, claim);
      return { status: unschedulable(NAME, 'deallocation of ResourceClaim completed') };
    }
    const stale = state.claims.find(({ claim, extended }) => extended && nameOf(claim) !== IN_MEMORY_NAME);
    if (!stale) return { status: unschedulable(NAME, 'still not schedulable') };
    binder.delete(pod, stale.claim);
    return { status: unschedulable(NAME, 'deletion of ResourceClaim completed') };
  }
  /** Errs on the side of trying again. */
  function afterClaim(pod: Pod, old: ResourceClaim | undefined, claim: ResourceClaim): QueueingHint {
    const uses = usesClaim(pod, claim, tracker);
    if (uses === undefined) return 'Skip';
    // Devices became free, perhaps those that the Pod wants.
    if (old?.status?.allocation && !claim.status?.allocation) return 'Queue';
    if (!uses) return 'Skip';
    return old && semanticEqual(old.status ?? {}, claim.status ?? {}) ? 'Skip' : 'Queue';
  }

  return {
    name: NAME,
    preEnqueue(pod) {
      const claims = pod.spec.resourceClaims?.length ? claimsOf(pod, tracker) : [];
      return typeof claims === 'string' ? unresolvable(NAME, claims) : undefined;
    },
    preFilter(state, info) {
      const claims = claimStatesOf(info);
      state.set(STATE, new DynamicResourcesState('code' in claims ? [] : claims, SEARCH_MS));
      if ('code' in claims) return { status: claims };
      return claims.length > 0 ? undefined : { status: SKIP };
    },
    filter: (state, info, node) => filter(state.get(STATE)!, info, node),
    // A plugin before this one has refused the Pod: upstream then finds no state of its own, and says so in two words.
    postFilter(state, { pod }) {
      const own = state.get(STATE);
      return own ? postFilter(own, pod) : { status: errorStatus(NAME, new Error('not found')) };
    },
    preScore: (state) => (state.get(STATE)!.claims.some(({ claim }) => claim.spec.devices?.requests?.some((r) => r.firstAvailable?.length)) ? undefined : SKIP),
    score: (state, _info, node) => preferenceOf(state.get(STATE)!, node.name),
    normalizeScores: (_state, _info, _nodes, scores) => normalizeToMax(scores, false),
    reserve(state, _info, nodeName) {
      for (const [each, allocation] of state.get(STATE)?.byNode.get(nodeName)?.results ?? []) {
        each.decided = { uid: uidOf(each.claim), allocation };
        tracker.setPending(each.decided.uid, allocation);
      }
      return undefined;
    },
    unreserve(state, { pod }) {
      const own = state.get(STATE);
      if (own) binder.unreserve(pod, own);
    },
    needsPreBind: (state) => (state.get(STATE)?.claims.length ?? 0) > 0,
    async preBind(state, { pod }, nodeName, signal) {
      const own = state.get(STATE);
      if (!own || own.claims.length === 0) return undefined;
      try {
        await binder.bind(pod, own, nodeName, signal);
        return undefined;
      } catch (err) {
        return errorStatus(NAME, err);
      }
    },
    events: () => [
      { resource: 'Node', actions: ['Add', 'UpdateLabel', 'UpdateAllocatable'] },
      { resource: 'ResourceClaim', actions: ['Add', 'Update'], hint: (pod, old, obj) => afterClaim(pod, old as ResourceClaim | undefined, obj as ResourceClaim) },
      { resource: 'TargetPod', actions: ['UpdateGeneratedResourceClaim'], hint: (_pod, _old, obj) => (typeof claimsOf(obj as Pod, tracker) === 'string' ? 'Skip' : 'Queue') },
      { resource: 'DeviceClass', actions: ['Add', 'Update'] },
      { resource: 'ResourceSlice', actions: ['Add', 'Update'] },
    ],
  };
}

/** Higher where requests get what they would rather have (KEP-4816). */
function preferenceOf({ claims, byNode }: DynamicResourcesState, nodeName: string): number {
  let score = 0;
  for (const each of claims) {
    const results = (each.claim.status?.allocation ?? byNode.get(nodeName)?.results.get(each))?.devices?.results ?? [];
    const chosen = new Set(results.map((result) => result.request));
    for (const { name, firstAvailable = [] } of each.claim.spec.devices?.requests ?? []) {
      firstAvailable.forEach((sub, i) => {
        if (chosen.has(`${name}/${sub.name}`)) score += MAX_ALTERNATIVES - i;
      });
    }
  }
  return score;
}
