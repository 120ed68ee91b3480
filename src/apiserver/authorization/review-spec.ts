/** A request as a SubjectAccessReview asks about it: what webhooks are sent and match conditions see. Source: the API reference, authorization.k8s.io/v1. */
import type * as authorizationV1 from '#api/gen/authorization-v1.ts';
import { parseFieldSelector, parseLabelSelector, type LabelOperator } from '#machinery/selectors.ts';
import type { AuthorizationAttributes } from '../interfaces.ts';

type Spec = authorizationV1.SubjectAccessReviewSpec;

export function reviewSpec(a: AuthorizationAttributes): Spec {
  const { user } = a;
  const what = a.isResourceRequest
    ? { resourceAttributes: { namespace: a.namespace, verb: a.verb, group: a.apiGroup, version: a.apiVersion, resource: a.resource, subresource: a.subresource, name: a.name, ...selectorsOf(a) } }
    : { nonResourceAttributes: { path: a.path, verb: a.verb } };
  return { ...what, user: user.name, groups: user.groups, ...(user.uid ? { uid: user.uid } : {}), ...(user.extra ? { extra: user.extra } : {}) };
}
/** The v1beta1 form, whose groups are called otherwise. */
export function v1beta1Spec({ groups, ...spec }: Spec): object {
  return { ...spec, ...(groups ? { group: groups } : {}) };
}

const OPERATORS: Readonly<Partial<Record<LabelOperator, string>>> = { '=': 'In', '==': 'In', in: 'In', '!=': 'NotIn', notin: 'NotIn', exists: 'Exists', '!': 'DoesNotExist' };
/** As requirements; one that cannot be read is left out, so that the question is about more than was asked for. */
function selectorsOf({ labelSelector, fieldSelector }: AuthorizationAttributes): Pick<authorizationV1.ResourceAttributes, 'labelSelector' | 'fieldSelector'> {
  const labels = labelSelector ? tried(() => parseLabelSelector(labelSelector).requirements.flatMap(({ key, operator, values }) => {
    const known = OPERATORS[operator];
    return known ? [{ key, operator: known, ...(values.length > 0 ? { values } : {}) }] : [];
  })) : [];
  const fields = fieldSelector ? tried(() => parseFieldSelector(fieldSelector).requirements.map(({ field, operator, value }) => ({ key: field, operator: operator === '=' ? 'In' : 'NotIn', values: [value] }))) : [];
  return { ...(labels.length > 0 ? { labelSelector: { requirements: labels } } : {}), ...(fields.length > 0 ? { fieldSelector: { requirements: fields } } : {}) };
}
function tried<T>(read: () => readonly T[]): readonly T[] {
  try {
    return read();
  } catch {
    return [];
  }
}
