/** Volumes that not every two Pods may use: disks of some kinds on one node, `ReadWriteOncePod` claims anywhere (KEP-2485). */
import type { Pod, Volume } from '#api/gen/core-v1.ts';
import { namespaceOf } from '#api/object.ts';
import { StateKey } from '../framework/cycle-state.ts';
import type { FrameworkHandle } from '../framework/handle.ts';
import type { Plugin } from '../framework/plugin.ts';
import { claimNameOf, type PodInfo } from '../framework/pod-info.ts';
import { skip, unresolvable, unschedulable } from '../framework/status.ts';

const NAME = 'VolumeRestrictions';
const SKIP = skip(NAME);
const DISK_CONFLICT = unschedulable(NAME, 'node(s) had no available disk');
const CLAIM_CONFLICT = unschedulable(NAME, 'node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by another pod');

/** Which of the Pod's claims are for one Pod only, and how often other Pods use one of them. */
class State {
  readonly claims: ReadonlySet<string>;
  uses: number;
  constructor(claims: ReadonlySet<string>, uses: number) {
    this.claims = claims;
    this.uses = uses;
  }
  count(pod: PodInfo, by: 1 | -1): void {
    for (const key of pod.claims) if (this.claims.has(key)) this.uses += by;
  }
  clone(): State {
    return new State(this.claims, this.uses);
  }
}
const STATE = new StateKey<State>(NAME);

function isRestricted(v: Volume): boolean {
  return v.gcePersistentDisk !== undefined || v.awsElasticBlockStore !== undefined || v.rbd !== undefined || v.iscsi !== undefined;
}
/** Are they the same disk, and not both read only? */
function conflicts(a: Volume, b: Volume): boolean {
  if (a.gcePersistentDisk && b.gcePersistentDisk) return a.gcePersistentDisk.pdName === b.gcePersistentDisk.pdName && !(a.gcePersistentDisk.readOnly && b.gcePersistentDisk.readOnly);
  if (a.awsElasticBlockStore && b.awsElasticBlockStore) return a.awsElasticBlockStore.volumeID === b.awsElasticBlockStore.volumeID;
  if (a.iscsi && b.iscsi) return a.iscsi.iqn === b.iscsi.iqn && !(a.iscsi.readOnly && b.iscsi.readOnly);
  if (a.rbd && b.rbd) {
    const { monitors, pool, image, readOnly } = b.rbd;
    return a.rbd.monitors.some((m) => monitors.includes(m)) && a.rbd.pool === pool && a.rbd.image === image && !(a.rbd.readOnly && readOnly);
  }
  return false;
}
function podsConflict(a: Pod, b: Pod): boolean {
  return (a.spec.volumes ?? []).some((v) => isRestricted(v) && (b.spec.volumes ?? []).some((w) => conflicts(v, w)));
}

export function newVolumeRestrictions({ listers }: Pick<FrameworkHandle, 'listers'>): Plugin {
  return {
    name: NAME,
    preFilter(state, info, nodes) {
      const single = new Set<string>();
      const namespace = namespaceOf(info.pod);
      // Claims that a Pod makes for itself are its own.
      for (const name of (info.pod.spec.volumes ?? []).flatMap((v) => v.persistentVolumeClaim?.claimName ?? [])) {
        const key = `${namespace}/${name}`;
        const claim = listers.persistentVolumeClaims.get(namespace, name);
        if (!claim) return { status: unresolvable(NAME, `persistentvolumeclaim ${JSON.stringify(name)} not found`) };
        if (claim.spec.accessModes?.includes('ReadWriteOncePod')) single.add(key);
      }
      if (single.size === 0 && !info.pod.spec.volumes?.some(isRestricted)) return { status: SKIP };
      let uses = 0;
      if (single.size > 0) for (const node of nodes) for (const key of single) uses += node.claims.get(key) ?? 0;
      state.set(STATE, new State(single, uses));
      return undefined;
    },
    filter(state, info, node) {
      if (info.pod.spec.volumes?.some(isRestricted)) for (const other of node.pods.values()) if (podsConflict(info.pod, other.pod)) return DISK_CONFLICT;
      return state.get(STATE)!.uses > 0 ? CLAIM_CONFLICT : undefined;
    },
    addPod: (state, _info, added) => state.get(STATE)!.count(added, 1),
    removePod: (state, _info, removed) => state.get(STATE)!.count(removed, -1),
    events: () => [
      {
        resource: 'AssignedPod', actions: ['Delete'],
        hint: (pod, old) => (old && (podsConflict(pod, old as Pod) || sharesClaim(pod, old as Pod)) ? 'Queue' : 'Skip'),
      },
      { resource: 'Node', actions: ['Add'] },
      { resource: 'PersistentVolumeClaim', actions: ['Add', 'Update'], hint: (pod, _old, claim) => (pod.metadata.namespace === claim!.metadata.namespace && claimNames(pod).has(claim!.metadata.name ?? '') ? 'Queue' : 'Skip') },
    ],
  };
}
function claimNames(pod: Pod): ReadonlySet<string> {
  return new Set((pod.spec.volumes ?? []).map((v) => claimNameOf(pod, v)).filter((n) => n !== undefined));
}
function sharesClaim(a: Pod, b: Pod): boolean {
  return a.metadata.namespace === b.metadata.namespace && !claimNames(a).isDisjointFrom(claimNames(b));
}
