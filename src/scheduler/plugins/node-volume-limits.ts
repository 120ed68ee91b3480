/** A node can attach only so many volumes of a CSI driver: `CSINode.spec.drivers[].allocatable.count`. */
import type { PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import type { CSINode } from '#api/gen/storage-v1.ts';
import { keyOf, nameOf, namespaceOf } from '#api/object.ts';
import type { FrameworkHandle } from '../framework/handle.ts';
import type { Plugin } from '../framework/plugin.ts';
import { claimNameOf } from '../framework/pod-info.ts';
import { skip, unschedulable } from '../framework/status.ts';
import { storageClassOf } from './volume-claims.ts';

const NAME = 'NodeVolumeLimits';
const SKIP = skip(NAME);
const REFUSED = unschedulable(NAME, 'node(s) exceed max volume count');

function hasVolumes(pod: Pod): boolean {
  return pod.spec.volumes?.some((v) => v.persistentVolumeClaim ?? v.ephemeral) ?? false;
}

export function newNodeVolumeLimits({ listers }: Pick<FrameworkHandle, 'listers'>): Plugin {
  /** `driver` and an id of the volume: its handle, or one made up for a claim that is yet to be provisioned for. */
  function volumeOf(claim: PersistentVolumeClaim): readonly [driver: string, id: string] | undefined {
    const volume = claim.spec.volumeName ? listers.persistentVolumes.get('', claim.spec.volumeName) : undefined;
    if (volume) return volume.spec?.csi && [volume.spec.csi.driver, volume.spec.csi.volumeHandle];
    const provisioner = listers.storageClasses.get('', storageClassOf(claim))?.provisioner;
    return provisioner === undefined ? undefined : [provisioner, `claim ${keyOf(claim)}`];
  }
  /** Ids of a Pod's volumes, by driver, added to `into`. */
  function collect(pod: Pod, into: Map<string, Set<string>>): Map<string, Set<string>> {
    for (const v of pod.spec.volumes ?? []) {
      const name = claimNameOf(pod, v);
      const claim = name === undefined ? undefined : listers.persistentVolumeClaims.get(namespaceOf(pod), name);
      const found = claim && volumeOf(claim);
      if (found) into.set(found[0], (into.get(found[0]) ?? new Set()).add(found[1]));
    }
    return into;
  }
  function attachedTo(nodeName: string, into: Map<string, Set<string>>): void {
    for (const { spec } of listers.volumeAttachments.list()) {
      const csi = spec.nodeName === nodeName && spec.source.persistentVolumeName ? listers.persistentVolumes.get('', spec.source.persistentVolumeName)?.spec?.csi : undefined;
      if (csi) into.set(csi.driver, (into.get(csi.driver) ?? new Set()).add(csi.volumeHandle));
    }
  }
  function limits(node: CSINode | undefined): ReadonlyMap<string, number> {
    return new Map((node?.spec.drivers ?? []).flatMap((d) => (d.allocatable?.count === undefined ? [] : [[d.name, d.allocatable.count] as const])));
  }

  return {
    name: NAME,
    preFilter: (_state, { pod }) => (hasVolumes(pod) ? undefined : { status: SKIP }),
    filter(_state, { pod }, node) {
      const allowed = limits(listers.csiNodes.get('', node.name));
      if (allowed.size === 0) return undefined;
      const wanted = collect(pod, new Map());
      if (wanted.size === 0) return undefined;
      const used = new Map<string, Set<string>>();
      for (const other of node.pods.values()) collect(other.pod, used);
      attachedTo(node.name, used);
      for (const [driver, ids] of wanted) {
        const limit = allowed.get(driver);
        if (limit === undefined) continue;
        const there = used.get(driver) ?? new Set<string>();
        const more = ids.difference(there).size;
        if (more > 0 && there.size + more > limit) return REFUSED;
      }
      return undefined;
    },
    events: () => [
      { resource: 'CSINode', actions: ['Add', 'Update'] },
      { resource: 'AssignedPod', actions: ['Delete'], hint: (_pod, old) => (old && hasVolumes(old as Pod) ? 'Queue' : 'Skip') },
      { resource: 'PersistentVolumeClaim', actions: ['Add'], hint: (pod, _old, claim) => (namespaceOf(claim!) === namespaceOf(pod) && pod.spec.volumes?.some((v) => claimNameOf(pod, v) === nameOf(claim!)) ? 'Queue' : 'Skip') },
      { resource: 'VolumeAttachment', actions: ['Delete'] },
    ],
  };
}
