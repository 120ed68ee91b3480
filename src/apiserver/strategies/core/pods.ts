import type { Container, Pod, PodSpec } from '#api/gen/core-v1.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Draft } from '#base/draft.ts';
import { draftOf } from '#base/draft.ts';
import { fieldPath, forbiddenField, type FieldError } from '#machinery/field-errors.ts';
import type { StrategyContext } from '../../registry/strategy.ts';
import { defineStrategy } from '../define.ts';
import { each } from '../field-checks.ts';
import { validatePodAnnotations, validateProfilesMatch } from './pod/annotations.ts';
import { applyAppArmorAnnotations } from './pod/apparmor-annotations.ts';
import { POD_COLUMNS, podRow } from './pod/columns.ts';
import { validateImageBlanks } from './pod/containers.ts';
import { defaultPod } from './pod/defaults.ts';
import { applyLabelKeys } from './pod/label-keys.ts';
import { defaultPodLevelResources } from './pod/pod-level-resources.ts';
import { dropUnservedProjections } from './pod/projected-volume.ts';
import { qosClassOf } from './pod/qos.ts';
import { validatePodSpec } from './pod/spec.ts';
import { validatePodStatusUpdate } from './pod/status.ts';
import { validateEphemeralContainersUpdate, validateResize } from './pod/subresources.ts';
import { validatePodUpdate } from './pod/update.ts';
import { hostNameWarnings, templateWarnings } from './pod/warnings.ts';

const SPEC = fieldPath('spec');

/** A token needs an account to be for. */
function validateTokens(pod: Pod): FieldError[] {
  if (pod.spec.serviceAccountName) return [];
  return each(pod.spec.volumes, SPEC.child('volumes'), (volume, at) =>
    each(volume.projected?.sources, at.child('projected', 'sources'), (source, path) =>
      source.serviceAccountToken ? [forbiddenField(path.child('serviceAccountToken'), 'must not be specified when serviceAccountName is not set')] : [],
    ),
  );
}
/** Annotations and spec: what creation and every update pass. */
function validatePod(pod: Pod): FieldError[] {
  return [
    ...validatePodAnnotations(pod.metadata.annotations, pod.spec, fieldPath('metadata', 'annotations')),
    ...validatePodSpec(pod.spec, SPEC, { isPod: true, podName: pod.metadata.name ?? '' }),
    ...validateTokens(pod),
    ...each(pod.spec.containers, SPEC.child('containers'), validateImageBlanks),
    ...each(pod.spec.initContainers, SPEC.child('initContainers'), validateImageBlanks),
  ];
}
function validateCreate(pod: Pod): FieldError[] {
  const errors = validatePod(pod);
  if (pod.spec.ephemeralContainers?.length) errors.push(forbiddenField(SPEC.child('ephemeralContainers'), 'cannot be set on create'));
  if (pod.spec.nodeName && pod.spec.schedulingGates?.length) errors.push(forbiddenField(SPEC.child('nodeName'), 'cannot be set until all schedulingGates have been cleared'));
  return [...errors, ...validateProfilesMatch(pod.metadata, pod.spec, SPEC)];
}

function dropStopSignal(container: Draft<Pick<Container, 'lifecycle'>>): void {
  const { lifecycle } = container;
  if (lifecycle?.stopSignal === undefined) return;
  delete lifecycle.stopSignal;
  if (Object.keys(lifecycle).length === 0) delete container.lifecycle;
}
/** Signals to stop with, off by default: a Pod that has none gets none. */
function dropStopSignals(spec: Draft<PodSpec>, old: PodSpec | undefined): void {
  const listsOf = (of: PodSpec | undefined) => [...(of?.containers ?? []), ...(of?.initContainers ?? []), ...(of?.ephemeralContainers ?? [])];
  if (listsOf(old).some(({ lifecycle }) => lifecycle?.stopSignal !== undefined)) return;
  for (const list of [spec.containers, spec.initContainers, spec.ephemeralContainers]) for (const container of list ?? []) dropStopSignal(container);
}
const GATED = 'Scheduling is blocked due to non-empty scheduling gates';
function prepareForCreate(pod: Draft<Pod>, ctx: StrategyContext): void {
  pod.status = { phase: 'Pending', qosClass: qosClassOf(pod.spec) };
  // Gang scheduling is off by default in this release: its field is dropped, as upstream drops fields of disabled features.
  delete pod.spec.schedulingGroup;
  dropStopSignals(pod.spec, undefined);
  if ((pod.spec.terminationGracePeriodSeconds ?? 0) < 0) pod.spec.terminationGracePeriodSeconds = 1;
  dropUnservedProjections(pod.spec, ctx);
  applyLabelKeys(pod);
  applyAppArmorAnnotations(pod, ctx.warn);
  // Admission may have given the containers more than the Pod was defaulted by.
  defaultPodLevelResources(pod.spec);
  if (pod.spec.schedulingGates?.length) {
    pod.status.conditions = [{ type: 'PodScheduled', status: 'False', lastTransitionTime: rfc3339(ctx.now), reason: 'SchedulingGated', message: GATED }];
  }
}

/** Only the part of the spec that a subresource is for changes with it. */
function prepareForUpdate(pod: Draft<Pod>, old: Pod, ctx: { subresource: string }): void {
  dropStopSignals(pod.spec, old.spec);
  if (!old.spec.schedulingGroup) delete pod.spec.schedulingGroup;
  const before = draftOf(old);
  const { spec } = pod;
  switch (ctx.subresource) {
    case 'status':
      pod.spec = before.spec;
      // The class is decided once; a status without it keeps it.
      if (pod.status && !pod.status.qosClass && before.status?.qosClass) pod.status.qosClass = before.status.qosClass;
      return;
    case 'ephemeralcontainers':
      pod.spec = before.spec;
      if (spec.ephemeralContainers) pod.spec.ephemeralContainers = spec.ephemeralContainers;
      else delete pod.spec.ephemeralContainers;
      break;
    case 'resize':
      prepareForResize(pod, before);
      break;
    default:
      if (before.spec.ephemeralContainers) pod.spec.ephemeralContainers = before.spec.ephemeralContainers;
      else delete pod.spec.ephemeralContainers;
  }
  if (before.status) pod.status = before.status;
}
/** Resources and resize policies as they are asked for. Containers that are other ones stay in the draft, for validation to refuse. */
function prepareForResize(pod: Draft<Pod>, before: Draft<Pod>): void {
  const { spec } = pod;
  const lists = ['containers', 'initContainers'] as const;
  if (lists.some((list) => (spec[list] ?? []).length !== (before.spec[list] ?? []).length)) return;
  pod.spec = before.spec;
  putOrDelete(pod.spec, 'resources', spec.resources);
  for (const list of lists) {
    const wanted = spec[list] ?? [];
    const kept = pod.spec[list] ?? [];
    if (kept.some((c, i) => c.name !== wanted[i]!.name)) pod.spec[list] = wanted;
    else for (const [i, { resources, resizePolicy }] of wanted.entries()) {
      putOrDelete(kept[i]!, 'resources', resources);
      putOrDelete(kept[i]!, 'resizePolicy', resizePolicy);
    }
  }
}
function putOrDelete<T extends object, K extends keyof T>(into: T, key: K, value: T[K]): void {
  if (value === undefined) delete into[key];
  else into[key] = value;
}

const TERMINATED = ['Succeeded', 'Failed'];
/**
 * The time a Pod has to stop: what the request says, else the Pod's own. None for one that is on no node, or has ended.
 * A negative period of old objects means one second.
 */
function gracePeriod(pod: Pod, requested: number | undefined): number {
  let seconds = requested ?? pod.spec.terminationGracePeriodSeconds ?? 0;
  if (!pod.spec.nodeName || TERMINATED.includes(pod.status?.phase ?? '')) seconds = 0;
  return seconds < 0 ? 1 : seconds;
}

export const pods = defineStrategy<Pod>('', 'v1', 'pods', {
  givenEmpty: ['spec.resources.claims'],
  default: defaultPod,
  prepareForCreate,
  prepareForUpdate,
  validate: validateCreate,
  validateUpdate(pod, old, ctx) {
    if (ctx.subresource === 'ephemeralcontainers') return validateEphemeralContainersUpdate(pod, old, validatePod);
    if (ctx.subresource === 'resize') return validateResize(pod, old, validatePod);
    return validatePodUpdate(pod, old, validatePod);
  },
  validateStatusUpdate: validatePodStatusUpdate,
  // Of new Pods only: what updates them are mostly controllers.
  warnings: (pod, old) => (old ? [] : [...hostNameWarnings(pod.metadata.name, "the Pod's hostname"), ...templateWarnings(pod)]),
  generationFields: ['spec'],
  columns: POD_COLUMNS,
  row: podRow,
  selectableFields: {
    'spec.nodeName': (pod) => pod.spec.nodeName ?? '',
    'spec.restartPolicy': (pod) => pod.spec.restartPolicy ?? '',
    'spec.schedulerName': (pod) => pod.spec.schedulerName ?? '',
    'spec.serviceAccountName': (pod) => pod.spec.serviceAccountName ?? '',
    'spec.hostNetwork': (pod) => String(pod.spec.hostNetwork ?? false),
    'status.phase': (pod) => pod.status?.phase ?? '',
    'status.podIP': (pod) => pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP ?? '',
    'status.podIPs': (pod) => pod.status?.podIPs?.[0]?.ip ?? '',
    'status.nominatedNodeName': (pod) => pod.status?.nominatedNodeName ?? '',
  },
  gracePeriod,
});
