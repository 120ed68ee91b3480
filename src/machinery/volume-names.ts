/** Names by which controllers, the kubelet and external attachers know volumes. */
import { createHash } from 'node:crypto';

/** The built-in provisioner: directories on nodes. */
export const LOCAL_PATH_PROVISIONER = 'podyard.io/local-path';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** The VolumeAttachment of a volume on a node. */
export function csiAttachmentName(volumeHandle: string, driver: string, nodeName: string): string {
  return `csi-${sha256(`${volumeHandle}${driver}${nodeName}`)}`;
}
/** A volume's name in `node.status.volumesAttached` and `volumesInUse`. */
export function csiUniqueName(driver: string, volumeHandle: string): string {
  return `kubernetes.io/csi/${driver}^${volumeHandle}`;
}
/** The handle of an inline volume, which has none of its own. */
export function csiEphemeralHandle(podUid: string, volumeName: string): string {
  return `csi-${sha256(`${podUid}${volumeName}`)}`;
}
/** Folder of a staged volume below its driver's. */
export function csiHandleHash(volumeHandle: string): string {
  return sha256(volumeHandle);
}
