/**
 * The SubjectAccessReview family: questions about what somebody may do, answered by the API server's own authorizer.
 * Source: the API reference, authorization.k8s.io/v1.
 */
import type * as authorizationV1 from '#api/gen/authorization-v1.ts';
import type { FieldSelectorRequirement, LabelSelectorRequirement, ObjectMeta } from '#api/gen/meta-v1.ts';
import { fieldPath, invalidValue, required, type FieldError } from '#machinery/field-errors.ts';
import { parseFieldSelector, parseLabelSelector } from '#machinery/selectors.ts';
import { badRequest, invalid, StatusError } from '#machinery/status-error.ts';
import type { AuthorizationAttributes, Authorizer, RuleResolver, UserInfo } from '../interfaces.ts';

type SelfSpec = authorizationV1.SelfSubjectAccessReviewSpec;
type Spec = authorizationV1.SubjectAccessReviewSpec;
const SPEC = fieldPath('spec');

/** As the internal type is shown. */
function shownPath({ path = '', verb = '' }: authorizationV1.NonResourceAttributes): unknown {
  return { Path: path, Verb: verb };
}
/** A selector is given either as text or as requirements. */
function validateSelectors({ fieldSelector, labelSelector }: authorizationV1.ResourceAttributes): FieldError[] {
  return ([['fieldSelector', fieldSelector], ['labelSelector', labelSelector]] as const).flatMap(([field, selector]) => {
    if (!selector) return [];
    const path = SPEC.child('resourceAttributes', field);
    const { rawSelector = '', requirements = [] } = selector;
    if (rawSelector !== '' && requirements.length > 0) return [invalidValue(path.child('rawSelector'), rawSelector, 'may not specified at the same time as requirements')];
    return rawSelector === '' && requirements.length === 0 ? [required(path.child('requirements'), `when ${path.toString()} is specified, requirements or rawSelector is required`)] : [];
  });
}
/** Selectors that cannot be read, wholly or in part: the answer is then about more than was asked for, and says so. */
function unreadable({ fieldSelector, labelSelector }: authorizationV1.ResourceAttributes): string[] {
  const fields = fieldSelector ? readable(fieldSelector.rawSelector, parseFieldSelector, fieldSelector.requirements, isField) : [];
  const labels = labelSelector ? readable(labelSelector.rawSelector, parseLabelSelector, labelSelector.requirements, isLabel) : [];
  return ([['fieldSelector', fields], ['labelSelector', labels]] as const).flatMap(([field, parts]) =>
    parts.every(Boolean) ? [] : [`spec.resourceAttributes.${field} ${parts.some(Boolean) ? 'partially ' : ''}ignored due to parse error`]);
}
/** Which parts of a selector can be read. */
function readable<R>(raw: string | undefined, parse: (text: string) => unknown, requirements: readonly R[] | undefined, holds: (requirement: R) => boolean): boolean[] {
  const reads = (read: () => boolean): boolean => {
    try {
      return read();
    } catch {
      return false;
    }
  };
  return raw ? [reads(() => parse(raw) !== undefined)] : (requirements ?? []).map((r) => reads(() => holds(r)));
}
const isField = (r: FieldSelectorRequirement): boolean => (r.operator === 'In' || r.operator === 'NotIn') && r.values?.length === 1;
const isLabel = (r: LabelSelectorRequirement): boolean => LABEL_OPERATORS[r.operator] !== undefined && parseLabelSelector(LABEL_OPERATORS[r.operator]!(r)) !== undefined;
function validateWhat(spec: SelfSpec): FieldError[] {
  if (spec.resourceAttributes && spec.nonResourceAttributes) return [invalidValue(SPEC.child('nonResourceAttributes'), shownPath(spec.nonResourceAttributes), 'cannot be specified in combination with resourceAttributes')];
  if (spec.resourceAttributes) return validateSelectors(spec.resourceAttributes);
  if (!spec.nonResourceAttributes) return [invalidValue(SPEC.child('resourceAttributes'), null, 'exactly one of nonResourceAttributes or resourceAttributes must be specified')];
  return [];
}
function validateSpec(spec: Spec): FieldError[] {
  const errors = validateWhat(spec);
  if (!spec.user && !spec.groups?.length) errors.push(invalidValue(SPEC.child('user'), spec.user ?? '', 'at least one of user or group must be specified'));
  return errors;
}
/** Upstream names no kind in these. */
function refuse(errors: readonly FieldError[]): void {
  if (!errors.length) return;
  const { status } = invalid({ group: 'authorization.k8s.io', kind: '' }, '', errors);
  const { kind: _, ...details } = status.details ?? {};
  throw new StatusError({ ...status, details });
}

const LABEL_OPERATORS: Readonly<Record<string, (r: LabelSelectorRequirement) => string>> = {
  In: (r) => `${r.key} in (${(r.values ?? []).join(',')})`,
  NotIn: (r) => `${r.key} notin (${(r.values ?? []).join(',')})`,
  Exists: (r) => r.key,
  DoesNotExist: (r) => `!${r.key}`,
};
function labelSelectorText(selector: authorizationV1.LabelSelectorAttributes | undefined): string | undefined {
  return selector?.rawSelector ?? selector?.requirements?.map((r) => LABEL_OPERATORS[r.operator]?.(r) ?? '').filter((t) => t !== '').join(',');
}
/** Requirements that a field selector can say: equal to one value, or different from one. Others only narrow further and may be left out. */
function fieldSelectorText(selector: authorizationV1.FieldSelectorAttributes | undefined): string | undefined {
  return selector?.rawSelector ?? selector?.requirements?.flatMap((r) => (r.values?.length !== 1 ? [] : r.operator === 'In' ? [`${r.key}=${r.values[0]}`] : r.operator === 'NotIn' ? [`${r.key}!=${r.values[0]}`] : [])).join(',');
}

/** What an authorizer is asked for a spec. */
export function attributesOfSpec(spec: SelfSpec, user: UserInfo): AuthorizationAttributes {
  const r = spec.resourceAttributes;
  if (!r) {
    const path = spec.nonResourceAttributes?.path ?? '';
    return { isResourceRequest: false, verb: spec.nonResourceAttributes?.verb ?? '', path, apiGroup: '', apiVersion: '', namespace: '', resource: '', subresource: '', name: '', user };
  }
  return {
    isResourceRequest: true, verb: r.verb ?? '', path: '', apiGroup: r.group ?? '', apiVersion: r.version || '*', namespace: r.namespace ?? '', resource: r.resource ?? '', subresource: r.subresource ?? '', name: r.name ?? '',
    labelSelector: labelSelectorText(r.labelSelector), fieldSelector: fieldSelectorText(r.fieldSelector), user,
  };
}
async function statusOf(spec: SelfSpec, user: UserInfo, authorizer: Authorizer, signal: AbortSignal): Promise<authorizationV1.SubjectAccessReviewStatus> {
  const { decision, reason, error } = await authorizer.authorize(attributesOfSpec(spec, user), signal);
  const errors = [...(error ? [error] : []), ...(spec.resourceAttributes ? unreadable(spec.resourceAttributes) : [])];
  const evaluationError = errors.join('; ');
  return { allowed: decision === 'allow', ...(decision === 'deny' ? { denied: true } : {}), ...(reason ? { reason } : {}), ...(evaluationError ? { evaluationError } : {}) };
}
function userOf(spec: Spec): UserInfo {
  return { name: spec.user ?? '', groups: spec.groups ?? [], ...(spec.uid ? { uid: spec.uid } : {}), ...(spec.extra ? { extra: spec.extra } : {}) };
}

/** Reviews are not kept: they have no name and no labels. */
function validateMeta(meta: ObjectMeta | undefined, namespaced: boolean): FieldError[] {
  const { managedFields: _, namespace, ...rest } = meta ?? {};
  const empty = Object.values(rest).every((v) => v === undefined) && (namespaced || !namespace);
  return empty ? [] : [invalidValue(fieldPath('metadata'), meta, namespaced ? 'must be empty except for namespace' : 'must be empty')];
}

export async function reviewSubjectAccess(review: authorizationV1.SubjectAccessReview, authorizer: Authorizer, signal: AbortSignal): Promise<authorizationV1.SubjectAccessReview> {
  refuse([...validateSpec(review.spec), ...validateMeta(review.metadata, false)]);
  return { ...review, status: await statusOf(review.spec, userOf(review.spec), authorizer, signal) };
}
/** `namespace` is that of the request's path. */
export async function reviewLocalSubjectAccess(review: authorizationV1.LocalSubjectAccessReview, namespace: string, authorizer: Authorizer, signal: AbortSignal): Promise<authorizationV1.LocalSubjectAccessReview> {
  const errors = [...validateSpec(review.spec), ...validateMeta(review.metadata, true)];
  if (review.spec.resourceAttributes && review.spec.resourceAttributes.namespace !== namespace) errors.push(invalidValue(SPEC.child('resourceAttributes', 'namespace'), review.spec.resourceAttributes.namespace ?? '', 'must match metadata.namespace'));
  if (review.spec.nonResourceAttributes) errors.push(invalidValue(SPEC.child('nonResourceAttributes'), shownPath(review.spec.nonResourceAttributes), 'disallowed on this kind of request'));
  refuse(errors);
  return { ...review, status: await statusOf(review.spec, userOf(review.spec), authorizer, signal) };
}
export async function reviewSelfSubjectAccess(review: authorizationV1.SelfSubjectAccessReview, user: UserInfo, authorizer: Authorizer, signal: AbortSignal): Promise<authorizationV1.SelfSubjectAccessReview> {
  refuse([...validateWhat(review.spec), ...validateMeta(review.metadata, false)]);
  return { ...review, status: await statusOf(review.spec, user, authorizer, signal) };
}
export async function reviewSelfSubjectRules(review: authorizationV1.SelfSubjectRulesReview, user: UserInfo, resolver: RuleResolver, signal: AbortSignal): Promise<authorizationV1.SelfSubjectRulesReview> {
  const namespace = review.spec.namespace ?? '';
  if (namespace === '') throw badRequest('no namespace on request');
  const { resourceRules, nonResourceRules, incomplete, evaluationError } = await resolver.rulesFor(user, namespace, signal);
  // The answer holds nothing of the question.
  return { kind: review.kind, apiVersion: review.apiVersion, metadata: {}, spec: {}, status: { resourceRules, nonResourceRules, incomplete, ...(evaluationError ? { evaluationError } : {}) } };
}
