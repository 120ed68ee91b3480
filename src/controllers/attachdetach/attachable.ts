/** Which volumes of Pods must be attached to their nodes. */
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import type { CSIDriver } from '#api/gen/storage-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { csiAttachmentName, csiUniqueName } from '#machinery/volume-names.ts';
import { claimNames } from '../pvc-protection/pvc-protection.ts';

/** A volume that must be on a node, and the Pods there that want it. */
export interface Wanted {
  /** Of the VolumeAttachment. */
  readonly attachmentName: string;
  readonly uniqueName: string;
  readonly volume: PersistentVolume;
  readonly pods: Pod[];
}
/** What is known of claims, volumes and drivers. */
export interface Known {
  claim(namespace: string, name: string): PersistentVolumeClaim | undefined;
  volume(name: string): PersistentVolume | undefined;
  driver(name: string): CSIDriver | undefined;
}

const OUT_OF_SERVICE = 'node.kubernetes.io/out-of-service';

/** The kubelet leaves attaching to the controller. */
export function isManaged(node: Node): boolean {
  return node.metadata.annotations?.['volumes.kubernetes.io/controller-managed-attach-detach'] === 'true';
}
/** Whether what is attached may be taken away although nobody says that it is unmounted. */
export function maySnatch(node: Node | undefined): 'now' | 'later' | 'no' {
  if (!node) return 'later';
  if (node.spec.taints?.some((t) => t.key === OUT_OF_SERVICE)) return 'now';
  return node.status?.conditions?.find((c) => c.type === 'Ready')?.status === 'True' ? 'no' : 'later';
}
export function isEnded(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}
/** The PersistentVolumes of a Pod that a CSI driver attaches. */
export function attachableVolumes(pod: Pod, known: Known): PersistentVolume[] {
  return claimNames(pod).flatMap((name) => {
    const claim = known.claim(namespaceOf(pod), name);
    const volume = claim?.spec.volumeName ? known.volume(claim.spec.volumeName) : undefined;
    if (!volume?.spec.csi || volume.spec.claimRef?.uid !== (claim && uidOf(claim))) return [];
    return known.driver(volume.spec.csi.driver)?.spec.attachRequired === false ? [] : [volume];
  });
}
/** What must be attached to a node, by the name of its VolumeAttachment. */
export function wantedOn(nodeName: string, pods: readonly Pod[], known: Known): Map<string, Wanted> {
  const out = new Map<string, Wanted>();
  for (const pod of pods) {
    if (isEnded(pod)) continue;
    for (const volume of attachableVolumes(pod, known)) {
      const { driver, volumeHandle } = volume.spec.csi!;
      const attachmentName = csiAttachmentName(volumeHandle, driver, nodeName);
      const found = out.get(attachmentName);
      if (found) found.pods.push(pod);
      else out.set(attachmentName, { attachmentName, uniqueName: csiUniqueName(driver, volumeHandle), volume, pods: [pod] });
    }
  }
  return out;
}
/** Volumes that one node has to itself. */
export function isExclusive({ spec }: PersistentVolume): boolean {
  return !spec.accessModes?.some((m) => m === 'ReadWriteMany' || m === 'ReadOnlyMany');
}
/** Why a volume that another node has cannot come to the Pod. `others` are the Pods that use it elsewhere. */
export function multiAttachMessage(volumeName: string, pod: Pod, others: readonly Pod[]): string {
  const start = `Multi-Attach error for volume "${volumeName}" Volume is already`;
  if (others.length === 0) return `${start} exclusively attached to one node and can't be attached to another`;
  const near = others.filter((p) => namespaceOf(p) === namespaceOf(pod)).map(nameOf);
  const far = others.length - near.length;
  if (near.length === 0) return `${start} used by ${far} pod(s) in different namespaces`;
  return `${start} used by pod(s) ${near.join(', ')}${far > 0 ? ` and ${far} pod(s) in different namespaces` : ''}`;
}
