/** Annotations that a Pod's machinery reads, and how they go together with the fields that came after them. */
import type { ObjectMeta } from '#api/gen/meta-v1.ts';
import type { PodSpec, SeccompProfile } from '#api/gen/core-v1.ts';
import { forbiddenField, invalidValue, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { validateDescendingPath } from '../volume-paths.ts';
import { APPARMOR_ANNOTATION as APPARMOR } from './apparmor-annotations.ts';
import { allContainers } from './container-kinds.ts';

type Annotations = Readonly<Record<string, string>>;
export const MIRROR = 'kubernetes.io/config.mirror';
const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';
const SECCOMP_POD = 'seccomp.security.alpha.kubernetes.io/pod';
const SECCOMP_CONTAINER = 'container.seccomp.security.alpha.kubernetes.io/';
const MAX_INT32 = 2 ** 31 - 1;

function validateDeletionCost(value: string | undefined, path: FieldPath): FieldError[] {
  if (value === undefined) return [];
  // No sign of plus and no leading zeros, so that equal costs are equal texts.
  const valid = /^(0|-?[1-9][0-9]*)$/.test(value) && Number(value) <= MAX_INT32 && Number(value) >= -MAX_INT32 - 1;
  return valid ? [] : [invalidValue(path.key(DELETION_COST), value, 'must be a 32bit integer')];
}
function validateSeccompText(profile: string, path: FieldPath): FieldError[] {
  if (['runtime/default', 'docker/default', 'unconfined'].includes(profile)) return [];
  if (profile.startsWith('localhost/')) return validateDescendingPath(profile.slice('localhost/'.length), path);
  return [invalidValue(path, profile, 'must be a valid seccomp profile')];
}
function validateAppArmorText(key: string, profile: string, spec: PodSpec, path: FieldPath): FieldError[] {
  const name = key.slice(APPARMOR.length);
  const errors = allContainers(spec, path).some(({ container }) => container.name === name) ? [] : [invalidValue(path.key(key), name, 'container not found')];
  if (profile !== '' && profile !== 'runtime/default' && profile !== 'unconfined' && !profile.startsWith('localhost/')) {
    errors.push(invalidValue(path.key(key), profile, `invalid AppArmor profile name: ${JSON.stringify(profile)}`));
  }
  return errors;
}

export function validatePodAnnotations(annotations: Annotations | undefined, spec: PodSpec, path: FieldPath): FieldError[] {
  if (!annotations) return [];
  const errors: FieldError[] = [];
  const mirror = annotations[MIRROR];
  if (mirror !== undefined && !spec.nodeName) errors.push(invalidValue(path.key(MIRROR), mirror, 'must set spec.nodeName if mirror pod annotation is set'));
  errors.push(...validateDeletionCost(annotations[DELETION_COST], path));
  const pod = annotations[SECCOMP_POD];
  if (pod !== undefined) errors.push(...validateSeccompText(pod, path.child(SECCOMP_POD)));
  const entries = Object.entries(annotations);
  for (const [key, value] of entries) if (key.startsWith(SECCOMP_CONTAINER)) errors.push(...validateSeccompText(value, path.child(key)));
  for (const [key, value] of entries) if (key.startsWith(APPARMOR)) errors.push(...validateAppArmorText(key, value, spec, path));
  return errors;
}

export function validatePodAnnotationsUpdate(now: Annotations | undefined, old: Annotations | undefined, spec: PodSpec, path: FieldPath): FieldError[] {
  const errors: FieldError[] = [];
  for (const key of Object.keys(old ?? {})) {
    if (now?.[key] === old![key]) continue;
    if (key.startsWith(APPARMOR)) errors.push(forbiddenField(path.key(key), 'may not remove or update AppArmor annotations'));
    if (key === MIRROR) errors.push(forbiddenField(path.key(key), 'may not remove or update mirror pod annotation'));
  }
  for (const key of Object.keys(now ?? {})) {
    if (old?.[key] !== undefined) continue;
    if (key.startsWith(APPARMOR)) errors.push(forbiddenField(path.key(key), 'may not add AppArmor annotations'));
    if (key === MIRROR) errors.push(forbiddenField(path.key(key), 'may not add mirror pod annotation'));
  }
  return [...errors, ...validatePodAnnotations(now, spec, path)];
}

interface Profile {
  readonly type: string;
  readonly localhostProfile?: string | undefined;
}
/** The texts that stand for a profile's type in annotations. */
const RUNTIME_DEFAULT = ['runtime/default', 'docker/default'];
function mismatch(annotation: string | undefined, profile: Profile | undefined, what: 'seccomp' | 'apparmor', path: FieldPath): FieldError[] {
  if (annotation === undefined || !profile) return [];
  const wrongType = [forbiddenField(path.child('type'), `${what} type in annotation and field must match`)];
  if (profile.type === 'Unconfined') return annotation === 'unconfined' ? [] : wrongType;
  if (profile.type === 'RuntimeDefault') return RUNTIME_DEFAULT.includes(annotation) && (what === 'seccomp' || annotation === 'runtime/default') ? [] : wrongType;
  if (profile.type !== 'Localhost') return [];
  if (!annotation.startsWith('localhost/')) return wrongType;
  const same = profile.localhostProfile === annotation.slice('localhost/'.length);
  return same ? [] : [forbiddenField(path.child('localhostProfile'), `${what} profile in annotation and field must match`)];
}
/** Annotation and field may both be given, if they say the same. `path` is the spec's. */
export function validateProfilesMatch(meta: ObjectMeta | undefined, spec: PodSpec, path: FieldPath): FieldError[] {
  const annotations = meta?.annotations;
  if (!annotations) return [];
  const pod: SeccompProfile | undefined = spec.securityContext?.seccompProfile;
  const errors = mismatch(annotations[SECCOMP_POD], pod, 'seccomp', path.child('securityContext', 'seccompProfile'));
  const containers = allContainers(spec, path);
  for (const { container, path: at } of containers) {
    errors.push(...mismatch(annotations[SECCOMP_CONTAINER + container.name], container.securityContext?.seccompProfile, 'seccomp', at.child('securityContext', 'seccompProfile')));
  }
  if (spec.os?.name === 'windows') return errors;
  for (const { container, path: at } of containers) {
    const profile = container.securityContext?.appArmorProfile ?? spec.securityContext?.appArmorProfile;
    errors.push(...mismatch(annotations[APPARMOR + container.name], profile, 'apparmor', at.child('securityContext', 'appArmorProfile')));
  }
  return errors;
}
