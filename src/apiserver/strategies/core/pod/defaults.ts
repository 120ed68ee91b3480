/**
 * Defaults of a Pod and of the Pod templates of workloads. Source: the API reference, core/v1 PodSpec and its parts.
 * A template gets fewer of them than a Pod: what the Pod's own creation will add stays out of it.
 */
import type { Container, EnvVar, EphemeralContainer, Lifecycle, PersistentVolumeSpec, PodSpec, PodTemplateSpec, Probe, Pod, PodStatus, ProjectedVolumeSource, Volume } from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';
import { setOwnDefault } from '#base/own.ts';
import { defaultRemoteSources } from '../persistentvolume-sources.ts';
import { defaultClaimSpec } from '../persistentvolumeclaim-defaults.ts';
import { roundRequirements, roundUpToMilli } from '../resource-lists.ts';
import { defaultPullPolicy } from './image-reference.ts';
import { defaultPodLevelResources } from './pod-level-resources.ts';

const FILE_MODE = 0o644;
const TOKEN_SECONDS = 3600;
const GRACE_SECONDS = 30;
export const DEFAULT_SCHEDULER = 'default-scheduler';

type AnyContainer = Draft<Container> | Draft<EphemeralContainer>;
interface FieldRefHolder {
  fieldRef?: { apiVersion?: string | undefined } | undefined;
}

function defaultFieldRef(holder: FieldRefHolder | undefined): void {
  if (holder?.fieldRef) holder.fieldRef.apiVersion ||= 'v1';
}
function defaultHttpGet(handler: Draft<Probe> | Draft<NonNullable<Lifecycle['preStop']>> | undefined): void {
  if (!handler?.httpGet) return;
  handler.httpGet.path ||= '/';
  handler.httpGet.scheme ||= 'HTTP';
}
function defaultProbe(probe: Draft<Probe> | undefined): void {
  if (!probe) return;
  defaultHttpGet(probe);
  if (probe.grpc) probe.grpc.service ??= '';
  probe.timeoutSeconds ||= 1;
  probe.periodSeconds ||= 10;
  probe.successThreshold ||= 1;
  probe.failureThreshold ||= 3;
}
function defaultEnv(env: Draft<EnvVar>[] | undefined): void {
  for (const variable of env ?? []) {
    const from = variable.valueFrom;
    if (!from) continue;
    defaultFieldRef(from);
    if (from.fileKeyRef) from.fileKeyRef.optional ??= false;
  }
}
function defaultContainer(container: AnyContainer): void {
  container.imagePullPolicy ||= defaultPullPolicy(container.image ?? '');
  container.terminationMessagePath ||= '/dev/termination-log';
  container.terminationMessagePolicy ||= 'File';
  container.resources ??= {};
  roundRequirements(container.resources);
  for (const port of container.ports ?? []) port.protocol ||= 'TCP';
  defaultEnv(container.env);
  for (const probe of [container.livenessProbe, container.readinessProbe, container.startupProbe]) defaultProbe(probe);
  defaultHttpGet(container.lifecycle?.postStart);
  defaultHttpGet(container.lifecycle?.preStop);
}

function defaultProjected(projected: Draft<ProjectedVolumeSource>): void {
  projected.defaultMode ??= FILE_MODE;
  for (const source of projected.sources ?? []) {
    if (source.serviceAccountToken) source.serviceAccountToken.expirationSeconds ??= TOKEN_SECONDS;
    for (const item of source.downwardAPI?.items ?? []) defaultFieldRef(item);
    if (source.podCertificate) source.podCertificate.maxExpirationSeconds ??= 86400;
  }
}
function defaultVolume(volume: Draft<Volume>): void {
  const kinds = Object.entries(volume).filter(([key, value]) => key !== 'name' && value !== undefined);
  if (kinds.length === 0) volume.emptyDir = {};
  if (volume.secret) volume.secret.defaultMode ??= FILE_MODE;
  if (volume.configMap) volume.configMap.defaultMode ??= FILE_MODE;
  if (volume.projected) defaultProjected(volume.projected);
  if (volume.downwardAPI) {
    volume.downwardAPI.defaultMode ??= FILE_MODE;
    for (const item of volume.downwardAPI.items ?? []) defaultFieldRef(item);
  }
  if (volume.hostPath) volume.hostPath.type ??= '';
  if (volume.image) volume.image.pullPolicy ||= defaultPullPolicy(volume.image.reference ?? '');
  if (volume.ephemeral?.volumeClaimTemplate?.spec) defaultClaimSpec(volume.ephemeral.volumeClaimTemplate.spec);
  defaultRemoteSources(volume as Draft<Pick<PersistentVolumeSpec, 'iscsi' | 'rbd' | 'azureDisk' | 'scaleIO'>>);
}
function defaultPodSpec(spec: Draft<PodSpec>): void {
  spec.dnsPolicy ||= 'ClusterFirst';
  spec.restartPolicy ||= 'Always';
  spec.securityContext ??= {};
  spec.terminationGracePeriodSeconds ??= GRACE_SECONDS;
  spec.schedulerName ||= DEFAULT_SCHEDULER;
  // The old spelling and the new one are kept alike.
  if (spec.serviceAccountName === undefined && spec.serviceAccount) spec.serviceAccountName = spec.serviceAccount;
  if (spec.serviceAccountName) spec.serviceAccount = spec.serviceAccountName;
  for (const volume of spec.volumes ?? []) defaultVolume(volume);
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...(spec.ephemeralContainers ?? [])]) defaultContainer(container);
  roundUpToMilli(spec.overhead);
  roundRequirements(spec.resources);
}

/** With the host's network, a container's port is the host's. */
function defaultHostPorts(containers: Draft<Container>[] | undefined): void {
  for (const container of containers ?? []) for (const port of container.ports ?? []) if (!port.hostPort) port.hostPort = port.containerPort;
}
function requestsFromLimits(containers: Draft<Container>[] | undefined): void {
  for (const { resources } of containers ?? []) {
    if (!resources?.limits) continue;
    const requests = (resources.requests ??= {});
    for (const [name, limit] of Object.entries(resources.limits)) setOwnDefault(requests, name, limit);
  }
}

/** `podIP` and the first of `podIPs` are one value; where they differ, the older field is right. */
function alignAddresses(status: Draft<PodStatus>): void {
  if (status.podIP && status.podIPs?.[0]?.ip !== status.podIP) status.podIPs = [{ ip: status.podIP }];
  else if (status.podIPs?.[0]?.ip) status.podIP = status.podIPs[0].ip;
}

/** Defaults of the template of a workload. */
export function defaultPodTemplate(template: Draft<PodTemplateSpec> | undefined): void {
  if (!template) return;
  template.metadata ??= {};
  template.spec ??= { containers: [] };
  defaultPodSpec(template.spec);
  // A field of a feature that the release leaves off. Host ports are left to the Pods' creation.
  delete template.spec.schedulingGroup;
}
export function defaultPod(pod: Draft<Pod>): void {
  const spec = (pod.spec ??= { containers: [] });
  defaultPodSpec(spec);
  requestsFromLimits(spec.containers);
  requestsFromLimits(spec.initContainers);
  defaultPodLevelResources(spec);
  // Of Pods alone: templates keep what they say.
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) spec.terminationGracePeriodSeconds = 1;
  spec.enableServiceLinks ??= true;
  if (pod.status) alignAddresses(pod.status);
  if (spec.hostNetwork) {
    defaultHostPorts(spec.containers);
    defaultHostPorts(spec.initContainers);
  }
}
