/** Places Pods where their volumes are or can be, and has the claims bound before the Pod is. */
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import type { CSIStorageCapacity, StorageClass } from '#api/gen/storage-v1.ts';
import { nameOf, namespaceOf } from '#api/object.ts';
import { StateKey } from '../framework/cycle-state.ts';
import type { FrameworkHandle } from '../framework/handle.ts';
import type { NodeInfo } from '../framework/node-info.ts';
import type { Plugin } from '../framework/plugin.ts';
import { claimNameOf } from '../framework/pod-info.ts';
import { amountOf } from '../framework/resources.ts';
import { errorStatus, skip, unresolvable } from '../framework/status.ts';
import { VolumeBinder, type NodeVolumes } from './volume-binder.ts';
import { podClaims, type PodClaims } from './volume-claims.ts';
import { canProvision, findVolume, requestedBytes, volumeFitsNode } from './volume-matching.ts';

const NAME = 'VolumeBinding';
const SKIP = skip(NAME);
const UNBOUND = unresolvable(NAME, 'pod has unbound immediate PersistentVolumeClaims');
const NODE_CONFLICT = "node(s) didn't match PersistentVolume's node affinity";
const BIND_CONFLICT = "node(s) didn't find available persistent volumes to bind";
const NO_SPACE = 'node(s) did not have enough free storage';
const NO_VOLUME = 'node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)';

interface State {
  readonly claims: PodClaims;
  /** What the filter has found, by node. */
  readonly byNode: Map<string, NodeVolumes>;
}
const STATE = new StateKey<State>(NAME);

function usesClaim(pod: Pod, claim: PersistentVolumeClaim): boolean {
  return namespaceOf(pod) === namespaceOf(claim) && (pod.spec.volumes ?? []).some((v) => claimNameOf(pod, v) === nameOf(claim));
}
function limitOf(capacity: CSIStorageCapacity): number {
  return amountOf('storage', capacity.maximumVolumeSize ?? capacity.capacity ?? '0');
}

export function newVolumeBinding(handle: FrameworkHandle): Plugin {
  const { listers } = handle;
  const binder = new VolumeBinder(handle);

  /** The volumes the Pod would have on the node; or why it cannot have them there. */
  function find({ bound, delayed }: PodClaims, { node }: NodeInfo): NodeVolumes | readonly string[] {
    const reasons: string[] = [];
    const volumes = bound.map((c) => listers.persistentVolumes.get('', c.spec.volumeName!));
    if (volumes.includes(undefined)) reasons.push(NO_VOLUME);
    else if (!volumes.every((v) => volumeFitsNode(v!, node!))) reasons.push(NODE_CONFLICT);
    const bindings: { volume: PersistentVolume; claim: PersistentVolumeClaim }[] = [];
    const provisions: PersistentVolumeClaim[] = [];
    const taken = new Set<string>();
    const all = delayed.length > 0 ? binder.volumes() : [];
    for (const claim of delayed.toSorted((a, b) => requestedBytes(a) - requestedBytes(b))) {
      const selected = binder.selectedNode(claim);
      if (selected !== undefined && selected !== nameOf(node!)) return [...reasons, BIND_CONFLICT];
      const volume = selected === undefined ? findVolume(claim, node!, all, taken) : undefined;
      if (volume) {
        taken.add(nameOf(volume));
        bindings.push({ volume, claim });
      } else provisions.push(claim);
    }
    const answers = provisions.map((claim) => canProvision(claim, node!, listers));
    if (answers.includes('no')) reasons.push(BIND_CONFLICT);
    else if (answers.includes('space')) reasons.push(NO_SPACE);
    return reasons.length > 0 ? reasons : { bindings, provisions };
  }

  return {
    name: NAME,
    preFilter(state, { pod }) {
      const claims = podClaims(pod, listers);
      if (!claims) return { status: SKIP };
      if ('refusal' in claims) return { status: unresolvable(NAME, claims.refusal) };
      if (claims.immediate.length > 0) return { status: UNBOUND };
      state.set(STATE, { claims, byNode: new Map() });
      return undefined;
    },
    filter(state, _info, node) {
      const { claims, byNode } = state.get(STATE)!;
      const found = find(claims, node);
      if (!('bindings' in found)) return unresolvable(NAME, ...found);
      if (claims.delayed.length > 0) byNode.set(node.name, found);
      return undefined;
    },
    reserve(state, info, nodeName) {
      const found = state.get(STATE)?.byNode.get(nodeName);
      if (found) binder.assume(info.uid, found, nodeName);
      return undefined;
    },
    unreserve: (_state, info) => binder.forget(info.uid),
    needsPreBind: (state, _info, nodeName) => state.get(STATE)?.byNode.has(nodeName) ?? false,
    async preBind(state, info, nodeName, signal) {
      const found = state.get(STATE)?.byNode.get(nodeName);
      if (!found) return undefined;
      try {
        await binder.bind(info.pod, found, nodeName, signal);
        binder.forget(info.uid);
        return undefined;
      } catch (err) {
        return errorStatus(NAME, err);
      }
    },
    events: () => [
      {
        resource: 'StorageClass', actions: ['Add', 'Update'],
        hint: (_pod, old, obj) => (!old || JSON.stringify((old as StorageClass).allowedTopologies) !== JSON.stringify((obj as StorageClass).allowedTopologies) ? 'Queue' : 'Skip'),
      },
      { resource: 'PersistentVolumeClaim', actions: ['Add', 'Update'], hint: (pod, _old, obj) => (usesClaim(pod, obj as PersistentVolumeClaim) ? 'Queue' : 'Skip') },
      { resource: 'PersistentVolume', actions: ['Add', 'Update'] },
      { resource: 'Node', actions: ['Add', 'UpdateLabel'] },
      { resource: 'CSIDriver', actions: ['Update'] },
      { resource: 'CSIStorageCapacity', actions: ['Add', 'Update'], hint: (_pod, old, obj) => (!old || limitOf(obj as CSIStorageCapacity) > limitOf(old as CSIStorageCapacity) ? 'Queue' : 'Skip') },
    ],
  };
}
