/** A CSI volume as the driver is told of it, from a PersistentVolume or a Pod's own volume. */
import type { PersistentVolume, Pod, SecretReference, Volume } from '#api/gen/core-v1.ts';
import { csiEphemeralHandle } from '#machinery/volume-names.ts';
import type { Init } from '#cri/schema.ts';
import type { Mode, Type, VolumeCapability } from './types.ts';

export interface CsiSource {
  /** The PersistentVolume's name, or the Pod's own for the volume: part of paths. */
  readonly specName: string;
  readonly driver: string;
  readonly handle: string;
  readonly lifecycle: 'Persistent' | 'Ephemeral';
  readonly block: boolean;
  readonly readOnly: boolean;
  readonly fsType: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly accessModes: readonly string[];
  readonly mountOptions: readonly string[];
  readonly stageSecret?: SecretReference | undefined;
  readonly publishSecret?: SecretReference | undefined;
  readonly expandSecret?: SecretReference | undefined;
}

export function persistentSource(pv: PersistentVolume, readOnly: boolean): CsiSource {
  const csi = pv.spec.csi!;
  return {
    specName: pv.metadata.name!, driver: csi.driver, handle: csi.volumeHandle, lifecycle: 'Persistent', block: pv.spec.volumeMode === 'Block', readOnly: readOnly || (csi.readOnly ?? false),
    fsType: csi.fsType ?? '', attributes: csi.volumeAttributes ?? {}, accessModes: pv.spec.accessModes ?? [], mountOptions: pv.spec.mountOptions ?? [],
    stageSecret: csi.nodeStageSecretRef, publishSecret: csi.nodePublishSecretRef, expandSecret: csi.nodeExpandSecretRef,
  };
}
export function inlineSource(pod: Pod, volume: Volume): CsiSource {
  const csi = volume.csi!;
  const { namespace = '', uid = '' } = pod.metadata;
  return {
    specName: volume.name, driver: csi.driver, handle: csiEphemeralHandle(uid, volume.name), lifecycle: 'Ephemeral', block: false, readOnly: csi.readOnly ?? false,
    fsType: csi.fsType ?? '', attributes: csi.volumeAttributes ?? {}, accessModes: ['ReadWriteOnce'], mountOptions: [],
    publishSecret: csi.nodePublishSecretRef?.name ? { name: csi.nodePublishSecretRef.name, namespace } : undefined,
  };
}

/** The mode that the driver is asked for: the first of the volume's. */
function accessMode(source: CsiSource, capabilities: ReadonlySet<Type>): Mode {
  const [mode = 'ReadWriteOnce'] = source.accessModes;
  const many = capabilities.has('SINGLE_NODE_MULTI_WRITER');
  switch (mode) {
    case 'ReadOnlyMany': return 'MULTI_NODE_READER_ONLY';
    case 'ReadWriteMany': return 'MULTI_NODE_MULTI_WRITER';
    case 'ReadWriteOncePod': return many ? 'SINGLE_NODE_SINGLE_WRITER' : 'SINGLE_NODE_WRITER';
    default: return many ? 'SINGLE_NODE_MULTI_WRITER' : 'SINGLE_NODE_WRITER';
  }
}
/** `mountGroup` where the driver itself gives the volume to the Pod's fsGroup. */
export function volumeCapability(source: CsiSource, capabilities: ReadonlySet<Type>, mountGroup: number | undefined): Init<VolumeCapability> {
  const accessMode_ = { mode: accessMode(source, capabilities) };
  if (source.block) return { block: {}, accessMode: accessMode_ };
  return { mount: { fsType: source.fsType, mountFlags: source.mountOptions, volumeMountGroup: mountGroup === undefined ? '' : String(mountGroup) }, accessMode: accessMode_ };
}
