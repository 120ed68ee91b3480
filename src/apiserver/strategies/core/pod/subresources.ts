/** Updates through `ephemeralcontainers` and `resize`, and the Binding of a Pod to its node. */
import type { Binding, Container, ContainerResizePolicy, Pod, PodSpec, ResourceRequirements } from '#api/gen/core-v1.ts';
import { getOwn } from '#base/own.ts';
import { fieldPath, FieldPath, forbiddenField, invalidValue, notSupported, required, type FieldError } from '#machinery/field-errors.ts';
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

function validateRemovals(now: ResourceRequirements | undefined, old: ResourceRequirements | undefined, path: FieldPath): FieldError[] {
  return [
    ...(removed(now?.requests, old?.requests) ? [forbiddenField(path.child('requests'), 'resource requests cannot be removed')] : []),
    ...(removed(now?.limits, old?.limits) ? [forbiddenField(path.child('limits'), 'resource limits cannot be removed')] : []),
  ];
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
/** A container with its cpu, memory and resize policy put back. */
function unresized(container: Container, old: Container | undefined): Container {
  const policy: readonly ContainerResizePolicy[] | undefined = old?.resizePolicy;
  return { ...container, resources: withoutComputeChanges(container.resources, old?.resources), resizePolicy: policy };
}
const sameContainer = (now: Container, old: Container | undefined) => semanticEqual(now, old && { ...old, resources: { claims: old.resources?.claims, ...old.resources } });

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
  errors.push(...validateRemovals(now.resources, before.resources, SPEC.child('resources')));
  for (const list of ['initContainers', 'containers'] as const) {
    for (const [i, container] of (before[list] ?? []).entries()) {
      if (list === 'initContainers' && !isSidecar(container)) continue;
      errors.push(...validateRemovals(now[list]?.[i]?.resources, container.resources, SPEC.child(list).index(i).child('resources')));
    }
  }
  const munged = mungeResized(now, before, errors);
  if (errors.length > 0) return errors;
  return semanticEqual(munged, { ...before, resources: before.resources && { claims: before.resources.claims, ...before.resources } })
    ? errors
    : [forbiddenField(SPEC, 'only cpu and memory resources are mutable')];
}
function mungeResized(now: PodSpec, before: PodSpec, errors: FieldError[]): PodSpec {
  const containers = (now.containers ?? []).map((container, i) => {
    const old = before.containers?.[i];
    const munged = unresized(container, old);
    if (!sameContainer(munged, old)) errors.push(forbiddenField(SPEC, 'only cpu and memory resources are mutable'));
    return old ?? munged;
  });
  const initContainers = now.initContainers?.map((container, i) => {
    const old = before.initContainers?.[i];
    if (!isSidecar(container)) {
      if (!semanticEqual(container, old)) errors.push(forbiddenField(SPEC, 'resources for non-sidecar init containers are immutable'));
      return old ?? container;
    }
    if (!sameContainer(unresized(container, old), old)) errors.push(forbiddenField(SPEC, 'only cpu and memory resources for sidecar containers are mutable'));
    return old ?? container;
  });
  const resources = now.resources && withoutComputeChanges(now.resources, before.resources);
  return { ...now, containers, initContainers, resources };
}

/** The body of `pods/binding`. */
export function validateBinding(binding: Binding): FieldError[] {
  const errors: FieldError[] = [];
  const { kind = '', name = '' } = binding.target ?? {};
  if (kind !== '' && kind !== 'Node') errors.push(notSupported(fieldPath('target', 'kind'), kind, ['Node', '<empty>'], 'listed'));
  if (name === '') errors.push(required(fieldPath('target', 'name')));
  return errors;
}
