/** What a write to a Pod's status may say. */
import type { Container, ContainerStatus, Pod, PodStatus } from '#api/gen/core-v1.ts';
import { getOwn } from '#base/own.ts';
import { mayRestartAll, shouldRestart } from '#machinery/container-restart.ts';
import { duplicate, fieldPath, forbiddenField, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, isDNS1123Subdomain, isQualifiedName, isValidGroupID, isValidUserID } from '#machinery/names.ts';
import { each, fromMessages, immutable } from '../../field-checks.ts';
import { familyOf, ipErrors } from '../../ip-checks.ts';
import { validatePodAnnotationsUpdate } from './annotations.ts';
import { semanticEqual } from '#machinery/equality.ts';

const STATUS = fieldPath('status');
const NO_RESOURCE = 'must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests';
const SYSTEM_CONDITIONS = ['PodScheduled', 'Ready', 'Initialized'];

function validateGeneration(generation: number, path: FieldPath): FieldError[] {
  return generation < 0 ? [invalidValue(path.child('observedGeneration'), generation, 'must be a non-negative integer')] : [];
}
function validateConditions(status: PodStatus): FieldError[] {
  return each(status.conditions, STATUS.child('conditions'), ({ type = '', observedGeneration = 0 }, at) => [
    ...validateGeneration(observedGeneration, at), ...(SYSTEM_CONDITIONS.includes(type) ? [] : fromMessages(at.child('Type'), type, isQualifiedName(type))),
  ]);
}
/** A container that ended and will not be started again stays ended. `restarts` tells who may. */
function validateTransitions(now: readonly ContainerStatus[], old: readonly ContainerStatus[], path: FieldPath, restarts: (status: ContainerStatus) => boolean): FieldError[] {
  return each(old, path, (before, at) => {
    if (!before.state?.terminated || restarts(before)) return [];
    const again = now.filter((after) => after.name === before.name && !after.state?.terminated);
    return again.map(() => forbiddenField(at.child('state'), 'may not be transitioned to non-terminated state'));
  });
}
function validateAllTransitions(pod: Pod, old: Pod): FieldError[] {
  const { initContainers = [], containers = [] } = old.spec;
  const restarts = (from: readonly Container[]) => ({ name, state }: ContainerStatus) => {
    const container = from.find((c) => c.name === name);
    return mayRestartAll(old) || (container !== undefined && shouldRestart(old, container, state!.terminated!.exitCode));
  };
  const check = (list: 'containerStatuses' | 'initContainerStatuses' | 'ephemeralContainerStatuses', restarts: (status: ContainerStatus) => boolean) =>
    validateTransitions(pod.status?.[list] ?? [], old.status?.[list] ?? [], STATUS.child(list), restarts);
  return [
    ...check('containerStatuses', restarts(containers)),
    ...check('initContainerStatuses', restarts(initContainers)),
    ...check('ephemeralContainerStatuses', () => false),
  ];
}

interface Address {
  readonly ip?: string | undefined;
}
function validateAddresses(addresses: readonly Address[], path: FieldPath): FieldError[] {
  const texts = addresses.map((a) => a.ip ?? '');
  const errors = each(texts, path, ipErrors);
  if (texts.length < 2) return errors;
  const dual = new Set(texts.map(familyOf)).size === 2;
  const repeats = each(texts, path, (text, at, i) => (texts.indexOf(text) < i ? [duplicate(at, { IP: text })] : []));
  const tooMany = !dual || texts.length > 2 ? [invalidValue(path, texts.map((text) => ({ IP: text })), 'may specify no more than one IP for each IP family')] : [];
  return [...errors, ...tooMany, ...repeats];
}
function validateHostIPs({ hostIP, hostIPs = [] }: PodStatus): FieldError[] {
  const path = STATUS.child('hostIPs');
  const first = hostIPs[0]?.ip ?? '';
  const errors = hostIPs.length > 0 && hostIP !== first ? [invalidValue(path.index(0).child('ip'), first, 'must be equal to `hostIP`')] : [];
  return [...errors, ...validateAddresses(hostIPs, path)];
}

function validateClaims(pod: Pod): FieldError[] {
  const seen = new Set<string>();
  return each(pod.status?.resourceClaimStatuses, STATUS.child('resourceClaimStatuses'), ({ name = '', resourceClaimName }, at) => {
    const known = pod.spec.resourceClaims?.some((claim) => claim.name === name);
    const errors = known ? [] : [invalidValue(at.child('name'), name, 'must match the name of an entry in `spec.resourceClaims`')];
    if (seen.has(name)) errors.push(duplicate(at.child('name'), name));
    seen.add(name);
    return resourceClaimName === undefined ? errors : [...errors, ...fromMessages(at.child('name'), resourceClaimName, isDNS1123Subdomain(resourceClaimName))];
  });
}
/** The claim that the scheduler made for extended resources: which container's resource each of its requests is for. */
function validateExtendedClaim({ spec, status }: Pod): FieldError[] {
  const claim = status?.extendedResourceClaimStatus;
  if (!claim) return [];
  const path = STATUS.child('extendedResourceClaimStatus');
  const { requestMappings: mappings = [], resourceClaimName: name = '' } = claim;
  const containers = [...spec.containers, ...(spec.initContainers ?? [])];
  const list = path.child('requestMappings');
  const errors = mappings.length ? [] : [required(list, 'at least one request mapping is required')];
  errors.push(...each(mappings, list, (mapping, at, i) => {
    const { containerName, resourceName, requestName = '' } = mapping;
    const container = containers.find((c) => c.name === containerName);
    const repeated = mappings.slice(0, i).some((other) => semanticEqual(other, mapping));
    return [
      ...(container ? [] : [invalidValue(at.child('containerName'), containerName, 'must match the name of an entry in spec.initContainers.name or spec.containers.name')]),
      ...(container && getOwn(container.resources?.requests, resourceName) === undefined ? [invalidValue(at.child('resourceName'), resourceName, NO_RESOURCE)] : []),
      ...fromMessages(path.child('requestName'), requestName, isDNS1123Label(requestName)),
      ...(repeated ? (['containerName', 'resourceName', 'requestName'] as const).map((field) => duplicate(at.child(field), mapping[field])) : []),
    ];
  }));
  const at = path.child('resourceClaimName');
  return [...errors, ...(name === '' ? [required(at)] : fromMessages(at, name, isDNS1123Subdomain(name)))];
}
function validateUser(status: ContainerStatus, os: string, path: FieldPath): FieldError[] {
  const user = status.user?.linux;
  if (!user) return [];
  const at = path.child('linux');
  if (os === 'windows') return [forbiddenField(at, 'cannot be set for a windows pod')];
  return [
    ...fromMessages(at.child('uid'), user.uid, isValidUserID(user.uid)),
    ...fromMessages(at.child('gid'), user.gid, isValidGroupID(user.gid)),
    ...each(user.supplementalGroups, at.child('supplementalGroups'), (gid, gidPath) => fromMessages(gidPath, gid, isValidGroupID(gid))),
  ];
}
const HEALTH = ['Healthy', 'Unhealthy', 'Unknown'];
const NO_CLAIM = "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty";
/** Health of devices: of resources the container asked for, each device once. */
function validateDeviceHealth(status: ContainerStatus, pod: Pod, path: FieldPath): FieldError[] {
  const container = [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])].find((c) => c.name === status.name);
  return each(status.allocatedResourcesStatus, path.child('allocatedResourcesStatus'), ({ name, resources = [] }, at) => {
    const errors: FieldError[] = [];
    if (container) {
      const isClaim = name.startsWith('claim:');
      const claims = (container.resources?.claims ?? []).map((c) => `claim:${c.name}${c.request ? `/${c.request}` : ''}`);
      const found = isClaim ? claims.includes(name) : getOwn(container.resources?.requests, name) !== undefined;
      if (!found) errors.push(invalidValue(at.child('name'), name, isClaim ? NO_CLAIM : "must match one of the container's resource requests"));
    }
    const seen = new Set<string>();
    for (const [k, { resourceID = '', health = '' }] of resources.entries()) {
      const device = at.child('resources').index(k);
      if (!HEALTH.includes(health)) errors.push(notSupported(device.child('health'), health, HEALTH));
      if (seen.has(resourceID)) errors.push(duplicate(device.child('resourceID'), resourceID));
      seen.add(resourceID);
    }
    return errors;
  });
}

export function validatePodStatusUpdate(pod: Pod, old: Pod): FieldError[] {
  const status = pod.status ?? {};
  const errors = [
    ...validatePodAnnotationsUpdate(pod.metadata.annotations, old.metadata.annotations, pod.spec, fieldPath('metadata', 'annotations')),
    ...validateConditions(status),
  ];
  if ((pod.spec.nodeName ?? '') !== (old.spec.nodeName ?? '')) errors.push(forbiddenField(STATUS.child('nodeName'), 'may not be changed directly'));
  const nominated = status.nominatedNodeName ?? '';
  if (nominated !== '' && nominated !== old.status?.nominatedNodeName) errors.push(...fromMessages(STATUS.child('nominatedNodeName'), nominated, isDNS1123Subdomain(nominated)));
  if (old.spec.nodeName && nominated !== '' && nominated !== old.status?.nominatedNodeName) {
    errors.push(forbiddenField(STATUS.child('nominatedNodeName'), 'may not be set on pods that are already bound to a node'));
  }
  errors.push(...validateGeneration(status.observedGeneration ?? 0, STATUS), ...immutable(status.qosClass ?? '', old.status?.qosClass ?? '', STATUS.child('qosClass')));
  errors.push(...validateAllTransitions(pod, old), ...validateClaims(pod), ...validateExtendedClaim(pod));
  errors.push(...validateAddresses(status.podIPs ?? [], STATUS.child('podIPs')), ...validateHostIPs(status));
  const lists = ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses'] as const;
  const os = pod.spec.os?.name ?? 'linux';
  for (const list of lists) errors.push(...each(status[list], STATUS.child(list), (s, at) => validateUser(s, os, at)));
  for (const list of lists.slice(0, 2)) errors.push(...each(status[list], STATUS.child(list), (s, at) => validateDeviceHealth(s, pod, at)));
  const ephemeral = each(status.ephemeralContainerStatuses, STATUS.child('ephemeralContainerStatuses'), (s, at) =>
    s.allocatedResourcesStatus?.length ? [forbiddenField(at.child('allocatedResourcesStatus'), 'must not be specified in container status')] : [],
  );
  return [...errors, ...ephemeral];
}
