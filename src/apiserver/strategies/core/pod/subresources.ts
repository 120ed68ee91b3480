/** Updates through `ephemeralcontainers` and `resize`, and the Binding of a Pod to its node. */
import type { Container, Pod, PodSpec, ResourceRequirements } from '#api/gen/core-v1.ts';
import { getOwn } from '#base/own.ts';
import { fieldPath, FieldPath, forbiddenField, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { unifiedDiff } from '../../unified-diff.ts';
import { MIRROR } from './annotations.ts';
import { internalEphemeralContainer } from './internal-spec.ts';
import { isSidecar } from './quantities.ts';
import { qosClassOf } from './qos.ts';

const SPEC = fieldPath('spec');
/** The error of the object as a whole. */
const whole = (detail: string): FieldError[] => [{ ...forbiddenField(new FieldPath(), detail), field: '' }];

export function validateEphemeralContainersUpdate(pod: Pod, old: Pod, validate: (pod: Pod) => FieldError[]): FieldError[] {
  const errors = validate(pod);
  if (old.metadata.annotations?.[MIRROR] !== undefined) return whole('static pods do not support ephemeral containers');
  const path = SPEC.child('ephemeralContainers');
  for (const before of old.spec.ephemeralContainers ?? []) {
    const after = pod.spec.ephemeralContainers?.find((c) => c.name === before.name);
    const named = `existing ephemeral containers ${JSON.stringify(before.name)}`;
    if (!after) errors.push(forbiddenField(path, `${named} may not be removed\n`));
    else if (!semanticEqual(before, after)) {
      errors.push(forbiddenField(path, `${named} may not be changed\n${unifiedDiff(internalEphemeralContainer(before), internalEphemeralContainer(after))}`));
    }
  }
  return errors;
}

type List = Readonly<Record<string, string>> | undefined;
const removed = (now: List, old: List) => Object.keys(old ?? {}).some((name) => getOwn(now, name) === undefined);

function validateRemovals(now: ResourceRequirements | undefined, old: ResourceRequirements | undefined, path: FieldPath, level = ''): FieldError[] {
  return [
    ...(removed(now?.requests, old?.requests) ? [forbiddenField(path.child('requests'), `${level}resource requests cannot be removed`)] : []),
    ...(removed(now?.limits, old?.limits) ? [forbiddenField(path.child('limits'), `${level}resource limits cannot be removed`)] : []),
  ];
}
/** The Pod's own resources: cpu and memory may change, and may come to a Pod that had none. */
function validatePodLevelResize({ resources: now }: PodSpec, { resources: old }: PodSpec): FieldError[] {
  const path = SPEC.child('resources');
  if (!now) return old ? [forbiddenField(path, 'pod-level resources cannot be removed')] : [];
  const munged = withoutComputeChanges(now, old);
  const same = semanticEqual(munged, withoutComputeChanges(old, old));
  return [...validateRemovals(now, old, path, 'pod-level '), ...(same ? [] : [forbiddenField(SPEC, 'only cpu and memory resources are mutable at pod-level')])];
}
/** A resize neither adds nor removes, renames nor reorders containers. */
function validateOrder(now: PodSpec, old: PodSpec): FieldError[] {
  return (['containers', 'initContainers'] as const).flatMap((list) => {
    const [after, before] = [now[list] ?? [], old[list] ?? []];
    if (after.length !== before.length) return [forbiddenField(SPEC.child(list), `${list} may not be added or removed on resize`)];
    return before.flatMap((c, i) => (after[i]!.name === c.name ? [] : [forbiddenField(SPEC.child(list).index(i).child('name'), `${list} may not be renamed or reordered on resize`)]));
  });
}
/** Requests and limits with cpu and memory put back as they were. */
function withoutComputeChanges(now: ResourceRequirements | undefined, old: ResourceRequirements | undefined): ResourceRequirements {
  const restore = (list: List, before: List): List => {
    if (!before) return undefined;
    const { cpu: _cpu, memory: _memory, ...others } = list ?? {};
    const kept = Object.fromEntries(['cpu', 'memory'].filter((name) => before[name] !== undefined).map((name) => [name, before[name]!]));
    return { ...others, ...kept };
  };
  return { limits: restore(now?.limits, old?.limits), requests: restore(now?.requests, old?.requests), claims: now?.claims };
}
/** Whether a container differs from what it was in its cpu and memory at most. */
function differsInComputeOnly(now: Container, old: Container): boolean {
  return semanticEqual({ ...now, resources: withoutComputeChanges(now.resources, old.resources) }, { ...old, resources: withoutComputeChanges(old.resources, old.resources) });
}

/** Whether the node tells the resources of running containers: an old kubelet would not resize. */
function isResizeSupported(pod: Pod): boolean {
  const running = pod.status?.containerStatuses?.find((s) => s.state?.running);
  return running === undefined || running.resources !== undefined;
}

export function validateResize(pod: Pod, old: Pod, validate: (pod: Pod) => FieldError[]): FieldError[] {
  if (old.metadata.annotations?.[MIRROR] !== undefined) return whole('static pods cannot be resized');
  if (old.spec.os?.name === 'windows') return whole('windows pods cannot be resized');
  const errors = validate(pod);
  const [now, before] = [pod.spec, old.spec];
  if (qosClassOf(now) !== (old.status?.qosClass ?? qosClassOf(before))) {
    errors.push(invalidValue(SPEC, pod.status?.qosClass ?? '', 'Pod QOS Class may not change as a result of resizing'));
  }
  if (!isResizeSupported(old)) errors.push(forbiddenField(SPEC, 'Pod running on node without support for resize'));
  errors.push(...validatePodLevelResize(now, before));
  const order = validateOrder(now, before);
  if (order.length > 0) return [...errors, ...order];
  for (const list of ['initContainers', 'containers'] as const) {
    for (const [i, container] of (before[list] ?? []).entries()) errors.push(...validateRemovals(now[list]?.[i]?.resources, container.resources, SPEC.child(list).index(i).child('resources')));
  }
  errors.push(...validateContainersResize(now, before));
  if (errors.length > 0) return errors;
  return semanticEqual({ ...now, containers: [], initContainers: [], resources: undefined }, { ...before, containers: [], initContainers: [], resources: undefined })
    ? errors
    : [forbiddenField(SPEC, 'only cpu and memory resources are mutable')];
}
function validateContainersResize(now: PodSpec, before: PodSpec): FieldError[] {
  const errors: FieldError[] = [];
  for (const [i, container] of now.containers.entries()) if (!differsInComputeOnly(container, before.containers[i]!)) errors.push(forbiddenField(SPEC, 'only cpu and memory resources are mutable'));
  for (const [i, container] of (now.initContainers ?? []).entries()) {
    const old = before.initContainers![i]!;
    const path = SPEC.child('initContainers').index(i);
    if (!differsInComputeOnly(container, old)) errors.push(forbiddenField(path, 'only cpu and memory resources for init or sidecar containers are mutable'));
    if (isSidecar(container) || semanticEqual(container, old)) continue;
    // It runs once: it cannot be restarted for its resources.
    if (container.resizePolicy?.some((p) => p.restartPolicy === 'RestartContainer')) errors.push(forbiddenField(path, 'non-sidecar init containers with a resize policy of RestartContainer cannot be resized'));
  }
  return errors;
}

/** The body of `pods/binding`. */
