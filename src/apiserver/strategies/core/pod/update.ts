/** What an update of a Pod may change. Source: the API reference, and the documentation "Pods: Pod update and replacement". */
import type { Container, NodeAffinity, NodeSelectorTerm, Pod, PodSchedulingGate, PodSpec, Toleration } from '#api/gen/core-v1.ts';
import { fieldPath, forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { inclusiveRangeError } from '#machinery/names.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { each } from '../../field-checks.ts';
import { unifiedDiff } from '../../unified-diff.ts';
import { validatePodAnnotationsUpdate } from './annotations.ts';
import { internalPodSpec } from './internal-spec.ts';
import { validateTolerations } from './scheduling.ts';
import { MAX_INT32 } from './spec.ts';

const SPEC = fieldPath('spec');
const UPDATABLE = [
  '`spec.containers[*].image`', '`spec.initContainers[*].image`', '`spec.activeDeadlineSeconds`', '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
].join(',');

/** Errors, or 'stop' after which comparing further makes no sense. */
function validateContainerLists(now: readonly Container[], old: readonly Container[], path: FieldPath): { errors: FieldError[]; stop: boolean } {
  if (now.length !== old.length) return { errors: [forbiddenField(path, 'pod updates may not add or remove containers')], stop: true };
  const errors = each(now, path, ({ image = '' }, at) => {
    const field = at.child('image');
    return [...(image === '' ? [required(field)] : []), ...(image.trim() === image ? [] : [invalidValue(field, image, 'must not have leading or trailing whitespace')])];
  });
  return { errors, stop: false };
}
function validateDeadline(now: number | undefined, old: number | undefined): { errors: FieldError[]; stop: boolean } {
  const path = SPEC.child('activeDeadlineSeconds');
  if (now === undefined) return { errors: old === undefined ? [] : [invalidValue(path, null, 'must not update from a positive integer to nil value')], stop: false };
  if (now < 0 || now > MAX_INT32) return { errors: [invalidValue(path, now, inclusiveRangeError(0, MAX_INT32))], stop: true };
  if (old !== undefined && old < now) return { errors: [invalidValue(path, now, 'must be less than or equal to previous value')], stop: true };
  return { errors: [], stop: false };
}
function validateAddedTolerations(now: readonly Toleration[], old: readonly Toleration[]): FieldError[] {
  const path = SPEC.child('tolerations');
  const kept = old.every((before) => now.some((after) => semanticEqual({ ...before, tolerationSeconds: after.tolerationSeconds }, after)));
  return kept ? validateTolerations(now, path) : [forbiddenField(path, 'existing toleration can not be modified except its tolerationSeconds')];
}
function validateRemovedGates(now: readonly PodSchedulingGate[], old: readonly PodSchedulingGate[]): FieldError[] {
  return each(now, SPEC.child('schedulingGates'), ({ name }, at) =>
    old.some((gate) => gate.name === name) ? [] : [forbiddenField(at.child('name'), `only deletion is allowed, but found new scheduling gate '${name}'`)],
  );
}

/** Requirements may be added at the end of a term's lists. */
function onlyAdds(now: NodeSelectorTerm | undefined, old: NodeSelectorTerm): boolean {
  const lists = ['matchExpressions', 'matchFields'] as const;
  const length = (term: NodeSelectorTerm | undefined) => lists.reduce((sum, list) => sum + (term?.[list]?.length ?? 0), 0);
  if (length(old) === 0 && length(now) > 0) return false;
  return lists.every((list) => semanticEqual((now?.[list] ?? []).slice(0, old[list]?.length ?? 0), old[list] ?? []));
}
function validateNodeAffinityChange(now: NodeAffinity | undefined, old: NodeAffinity | undefined): FieldError[] {
  const before = old?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const after = now?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const path = SPEC.child('affinity', 'nodeAffinity', 'requiredDuringSchedulingIgnoredDuringExecution', 'nodeSelectorTerms');
  if (before.length > 0 && before.length !== after.length) return [invalidValue(path, after, 'no additions/deletions to non-empty NodeSelectorTerms list are allowed')];
  return each(before, path, (term, at, i) => (onlyAdds(after[i], term) ? [] : [invalidValue(at, after[i], 'only additions are allowed (no mutations or deletions)')]));
}
/** A Pod that waits behind scheduling gates may have its node selector and node affinity narrowed (KEP-3838). */
function relaxGated(now: PodSpec, old: PodSpec): { spec: PodSpec; errors: FieldError[] } {
  const errors: FieldError[] = [];
  let spec = now;
  if (!semanticEqual(now.nodeSelector ?? {}, old.nodeSelector ?? {})) {
    const kept = Object.entries(old.nodeSelector ?? {}).every(([key, value]) => now.nodeSelector?.[key] === value);
    if (!kept) errors.push(invalidValue(SPEC.child('nodeSelector'), now.nodeSelector ?? {}, 'only additions to spec.nodeSelector are allowed (no mutations or deletions)'));
    spec = { ...spec, nodeSelector: old.nodeSelector };
  }
  const before = old.affinity?.nodeAffinity;
  if (!semanticEqual(before, now.affinity?.nodeAffinity)) {
    errors.push(...validateNodeAffinityChange(now.affinity?.nodeAffinity, before));
    const alone = !old.affinity && !now.affinity?.podAffinity && !now.affinity?.podAntiAffinity;
    spec = { ...spec, affinity: alone ? undefined : { ...now.affinity, nodeAffinity: before } };
  }
  return { spec, errors };
}

/** The new spec with everything that may change put back: what differs then may not. */
function withoutUpdatable(now: PodSpec, old: PodSpec): PodSpec {
  const images = (list: readonly Container[] | undefined, before: readonly Container[] | undefined) => list?.map((container, i) => ({ ...container, image: before?.[i]?.image }));
  const grace = (old.terminationGracePeriodSeconds ?? 0) < 0 && now.terminationGracePeriodSeconds === 1 ? old.terminationGracePeriodSeconds : now.terminationGracePeriodSeconds;
  return {
    ...now,
    containers: images(now.containers, old.containers) ?? [],
    initContainers: images(now.initContainers, old.initContainers),
    activeDeadlineSeconds: old.activeDeadlineSeconds,
    schedulingGates: old.schedulingGates,
    tolerations: old.tolerations,
    terminationGracePeriodSeconds: grace,
  };
}

/** `validate` is that of a Pod's metadata and spec, which an update passes too. */
export function validatePodUpdate(pod: Pod, old: Pod, validate: (pod: Pod) => FieldError[]): FieldError[] {
  const [now, before] = [pod.spec, old.spec];
  const errors = [
    ...validate(pod),
    ...validatePodAnnotationsUpdate(pod.metadata.annotations, old.metadata.annotations, now, fieldPath('metadata', 'annotations')),
  ];
  for (const list of ['containers', 'initContainers'] as const) {
    const checked = validateContainerLists(now[list] ?? [], before[list] ?? [], SPEC.child(list));
    errors.push(...checked.errors);
    if (checked.stop) return errors;
  }
  const deadline = validateDeadline(now.activeDeadlineSeconds, before.activeDeadlineSeconds);
  errors.push(...deadline.errors);
  if (deadline.stop) return errors;
  errors.push(...validateAddedTolerations(now.tolerations ?? [], before.tolerations ?? []), ...validateRemovedGates(now.schedulingGates ?? [], before.schedulingGates ?? []));
  if (semanticEqual(now, before)) return errors;
  let munged = withoutUpdatable(now, before);
  if (before.schedulingGates?.length) {
    const gated = relaxGated(munged, before);
    munged = gated.spec;
    errors.push(...gated.errors);
  }
  if (!semanticEqual(munged, before)) {
    const diff = unifiedDiff(internalPodSpec(before), internalPodSpec(munged));
    errors.push(forbiddenField(SPEC, `pod updates may not change fields other than ${UPDATABLE}\n${diff}`));
  }
  return errors;
}
