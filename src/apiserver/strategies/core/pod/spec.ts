/** A Pod's spec as a whole, in upstream's order of checks. Pods and the templates of workloads share it. */
import type { PodResourceClaim, PodSpec, PodTemplateSpec } from '#api/gen/core-v1.ts';
import { duplicate, forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, isDNS1123Subdomain, isQualifiedName } from '#machinery/names.ts';
import { validateAnnotations, validateLabels } from '#machinery/object-meta.ts';
import { each, fromMessages, inRange, requiredOneOf } from '../../field-checks.ts';
import { validateAffinity } from './affinity.ts';
import { validatePodAnnotations, validateProfilesMatch } from './annotations.ts';
import { validateContainers, validateEphemeralContainers, validateInitContainers, type ContainerContext } from './containers.ts';
import { validateDNSConfig, validateHostAliases, validateHostnames, validateHostNetworkPorts, validateHostUsers } from './network.ts';
import { TEMPLATE, type PodOptions } from './options.ts';
import { validatePodLevelResources } from './pod-level-resources.ts';
import { validateResourceRequirements } from './resources.ts';
import { validateSchedulingGates, validateTolerations, validateTopologySpread } from './scheduling.ts';
import { validatePodSecurityContext } from './security-context.ts';
import { validateVolumes } from './volumes.ts';
import { validateHostProcess, validateOS } from './windows.ts';
import { validateFileVolumes } from './env.ts';

const RESTART_POLICIES = ['Always', 'OnFailure', 'Never'];
const DNS_POLICIES = ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'];
export const MAX_INT32 = 2 ** 31 - 1;

function validateResourceClaims(claims: readonly PodResourceClaim[] | undefined, path: FieldPath): FieldError[] {
  const names = new Set<string>();
  return each(claims, path, (claim, at) => {
    const { name = '', resourceClaimName, resourceClaimTemplateName } = claim;
    const errors = name === '' ? [required(at.child('name'))] : names.has(name) ? [duplicate(at.child('name'), name)] : fromMessages(at.child('name'), name, isDNS1123Label(name));
    names.add(name);
    const shown = { Name: name, ResourceClaimName: resourceClaimName ?? null, ResourceClaimTemplateName: resourceClaimTemplateName ?? null };
    const count = [resourceClaimName, resourceClaimTemplateName].filter((n) => n !== undefined).length;
    if (count === 2) errors.push(invalidValue(at, shown, 'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified'));
    if (count === 0) errors.push(invalidValue(at, shown, 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`'));
    if (resourceClaimName !== undefined) errors.push(...fromMessages(at.child('resourceClaimName'), resourceClaimName, isDNS1123Subdomain(resourceClaimName)));
    if (resourceClaimTemplateName !== undefined) {
      errors.push(...fromMessages(at.child('resourceClaimTemplateName'), resourceClaimTemplateName, isDNS1123Subdomain(resourceClaimTemplateName)));
    }
    return errors;
  });
}
/** Names of other objects. */
function validateReferences(spec: PodSpec, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  for (const field of ['serviceAccountName', 'nodeName'] as const) {
    const value = spec[field];
    if (value) errors.push(...fromMessages(path.child(field), value, isDNS1123Subdomain(value)));
  }
  if (spec.activeDeadlineSeconds !== undefined) errors.push(...inRange(spec.activeDeadlineSeconds, 1, MAX_INT32, path.child('activeDeadlineSeconds')));
  errors.push(...validateHostnames(spec, path), ...validateTolerations(spec.tolerations, path.child('tolerations')), ...validateHostAliases(spec.hostAliases, path.child('hostAliases')));
  if (spec.priorityClassName) errors.push(...fromMessages(path.child('priorityClassName'), spec.priorityClassName, isDNS1123Subdomain(spec.priorityClassName)));
  if (spec.runtimeClassName !== undefined) errors.push(...fromMessages(path.child('runtimeClassName'), spec.runtimeClassName, isDNS1123Subdomain(spec.runtimeClassName)));
  return errors;
}

export function validatePodSpec(spec: PodSpec, path: FieldPath, options: PodOptions): FieldError[] {
  const { errors: volumeErrors, byName } = validateVolumes(spec.volumes, path.child('volumes'), options);
  const claimNames = new Set((spec.resourceClaims ?? []).map((c) => c.name).filter((name) => name));
  const context: ContainerContext = { spec, volumes: byName, claimNames, hostUsers: spec.hostUsers !== false };
  return [
    ...(spec.terminationGracePeriodSeconds === undefined ? [required(path.child('terminationGracePeriodSeconds'))] : []),
    ...volumeErrors,
    ...validateResourceClaims(spec.resourceClaims, path.child('resourceClaims')),
    ...validateContainers(path.child('containers'), context),
    ...validateInitContainers(path.child('initContainers'), context),
    ...validateEphemeralContainers(path.child('ephemeralContainers'), context),
    ...validatePodLevelResources(spec, path.child('resources')),
    ...validateHostNetworkPorts(spec, options, path),
    ...requiredOneOf(spec.restartPolicy, RESTART_POLICIES, path.child('restartPolicy'), 'listed'),
    ...requiredOneOf(spec.dnsPolicy, DNS_POLICIES, path.child('dnsPolicy'), 'listed'),
    ...validateLabels(spec.nodeSelector, path.child('nodeSelector')),
    ...validatePodSecurityContext(spec.securityContext, spec, path.child('securityContext')),
    ...validateAffinity(spec.affinity, options, path.child('affinity')),
    ...validateDNSConfig(spec.dnsConfig, spec.dnsPolicy, path.child('dnsConfig')),
    ...each(spec.readinessGates, path.child('readinessGates'), ({ conditionType = '' }, at) => fromMessages(at.child('conditionType'), conditionType, isQualifiedName(conditionType))),
    ...validateSchedulingGates(spec.schedulingGates, path.child('schedulingGates')),
    ...validateTopologySpread(spec.topologySpreadConstraints, options, path.child('topologySpreadConstraints')),
    ...validateHostProcess(spec, path),
    ...validateHostUsers(spec, path),
    ...validateReferences(spec, path),
    ...(spec.preemptionPolicy === undefined ? [] : requiredOneOf(spec.preemptionPolicy, ['Never', 'PreemptLowerPriority'], path.child('preemptionPolicy'))),
    ...(spec.overhead ? validateResourceRequirements({ limits: spec.overhead }, new Set(), path.child('overhead')) : []),
    ...validateOS(spec, path),
    ...validateFileVolumes(spec, path),
  ];
}

/** The template of a workload. `path` is the template's. */
export function validatePodTemplate(template: PodTemplateSpec | undefined, path: FieldPath, options: PodOptions = TEMPLATE): FieldError[] {
  const meta = template?.metadata;
  const spec = template?.spec ?? { containers: [] };
  const errors = [
    // Upstream's paths leave `metadata` out.
    ...validateLabels(meta?.labels, path.child('labels')),
    ...validateAnnotations(meta?.annotations, path.child('annotations')),
    ...validatePodAnnotations(meta?.annotations, spec, path.child('annotations')),
    ...validatePodSpec(spec, path.child('spec'), options),
    ...validateProfilesMatch(meta, spec, path.child('spec')),
  ];
  if (spec.ephemeralContainers?.length) errors.push(forbiddenField(path.child('spec', 'ephemeralContainers'), 'ephemeral containers not allowed in pod template'));
  return errors;
}
