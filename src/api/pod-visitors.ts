/** Walks over a Pod's containers, and over what it refers to. */
import type * as coreV1 from './gen/core-v1.ts';

type PodSpec = coreV1.PodSpec;
export type AnyContainer = coreV1.Container | coreV1.EphemeralContainer;

/** Init containers, containers, ephemeral containers: the order in which upstream visits them. */
export function containersOf(spec: PodSpec): readonly AnyContainer[] {
  return [...(spec.initContainers ?? []), ...spec.containers, ...(spec.ephemeralContainers ?? [])];
}
/** Names of the secrets a Pod refers to itself (not through volumes' claims). */
export function secretNamesOf(spec: PodSpec): string[] {
  const out: (string | undefined)[] = (spec.imagePullSecrets ?? []).map((r) => r.name);
  for (const c of containersOf(spec)) {
    out.push(...(c.envFrom ?? []).map((e) => e.secretRef?.name), ...(c.env ?? []).map((e) => e.valueFrom?.secretKeyRef?.name));
  }
  for (const v of spec.volumes ?? []) {
    out.push(v.secret?.secretName, v.csi?.nodePublishSecretRef?.name, v.azureFile?.secretName, ...(v.projected?.sources ?? []).map((s) => s.secret?.name));
    for (const source of [v.cephfs, v.cinder, v.flexVolume, v.rbd, v.scaleIO, v.iscsi, v.storageos]) out.push(source?.secretRef?.name);
  }
  return out.filter((n): n is string => !!n);
}
/** Names of the config maps a Pod refers to itself. */
export function configMapNamesOf(spec: PodSpec): string[] {
  const out: (string | undefined)[] = [];
  for (const c of containersOf(spec)) {
    out.push(...(c.envFrom ?? []).map((e) => e.configMapRef?.name), ...(c.env ?? []).map((e) => e.valueFrom?.configMapKeyRef?.name));
  }
  for (const v of spec.volumes ?? []) out.push(v.configMap?.name, ...(v.projected?.sources ?? []).map((s) => s.configMap?.name));
  return out.filter((n): n is string => !!n);
}
