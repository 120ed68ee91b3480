/** What workloads ask of their selector and Pod template. */
import type { LabelSelector } from '#api/gen/meta-v1.ts';
import type { PodTemplateSpec } from '#api/gen/core-v1.ts';
import { forbiddenField, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { validateLabelSelector } from '#machinery/object-meta.ts';
import { labelMatcherOf, type LabelMatcher } from '#machinery/selectors.ts';
import { validatePodTemplate } from '../core/pod/spec.ts';
import { shownMap, shownSelector } from '../internal-form.ts';

/** The selector's matcher; undefined where it has errors of its own. */
export function matcherOf(selector: LabelSelector | undefined): LabelMatcher | undefined {
  try {
    return labelMatcherOf(selector);
  } catch {
    return undefined;
  }
}
/** A selector that is required and selects something in particular. `what` is upstream's word for the kind. */
export function validateSelector(selector: LabelSelector | undefined, what: string, path: FieldPath): FieldError[] {
  if (!selector) return [required(path)];
  const errors = validateLabelSelector(selector, path);
  if (isEmptySelector(selector)) errors.push(invalidValue(path, shownSelector(selector), `empty selector is invalid for ${what}`));
  return errors;
}
export function isEmptySelector(selector: LabelSelector | undefined): boolean {
  return Object.keys(selector?.matchLabels ?? {}).length + (selector?.matchExpressions?.length ?? 0) === 0;
}
export function validateSelects(matcher: LabelMatcher, template: PodTemplateSpec | undefined, path: FieldPath): FieldError[] {
  const labels = template?.metadata?.labels;
  return matcher.matches(labels ?? {}) ? [] : [invalidValue(path.child('metadata', 'labels'), shownMap(labels), '`selector` does not match template `labels`')];
}
/** Pods of these workloads run until they are deleted. `kind` is the one upstream names. */
export function validateLongRunning(template: PodTemplateSpec | undefined, kind: string, path: FieldPath): FieldError[] {
  const policy = template?.spec?.restartPolicy ?? '';
  const errors = policy === 'Always' ? [] : [notSupported(path.child('spec', 'restartPolicy'), policy, ['Always'])];
  if (template?.spec?.activeDeadlineSeconds !== undefined) {
    errors.push(forbiddenField(path.child('spec', 'activeDeadlineSeconds'), `activeDeadlineSeconds in ${kind} is not Supported`));
  }
  return errors;
}
/** The template of Deployments and ReplicaSets. */
export function validateReplicaTemplate(template: PodTemplateSpec | undefined, selector: LabelSelector | undefined, spec: FieldPath): FieldError[] {
  const path = spec.child('template');
  const matcher = matcherOf(selector);
  if (!matcher) return [invalidValue(spec.child('selector'), shownSelector(selector), 'invalid label selector')];
  const selects = selector && isEmptySelector(selector) ? [] : validateSelects(matcher, template, path);
  return [...selects, ...validatePodTemplate(template, path), ...validateLongRunning(template, 'ReplicaSet', path)];
}
