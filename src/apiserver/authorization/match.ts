/** Match conditions of authorization webhooks, over the SubjectAccessReview that would be sent. Source: KEP-3221. */
import type * as authorizationV1 from '#api/gen/authorization-v1.ts';
import { listOf, mapOf, objectType, STRING } from '#cel/types.ts';
import { ExpressionCompiler, type Expression } from '../configuration/expressions.ts';

const requirements = listOf(objectType('kubernetes.SelectorRequirement', { key: STRING, operator: STRING, values: listOf(STRING) }));
const SPEC_TYPE = objectType('kubernetes.SubjectAccessReviewSpec', {
  resourceAttributes: objectType('kubernetes.ResourceAttributes', {
    namespace: STRING, verb: STRING, group: STRING, version: STRING, resource: STRING, subresource: STRING, name: STRING,
    fieldSelector: objectType('kubernetes.FieldSelectorAttributes', { rawSelector: STRING, requirements }),
    labelSelector: objectType('kubernetes.LabelSelectorAttributes', { rawSelector: STRING, requirements }),
  }),
  nonResourceAttributes: objectType('kubernetes.NonResourceAttributes', { path: STRING, verb: STRING }),
  user: STRING, groups: listOf(STRING), extra: mapOf(STRING, listOf(STRING)), uid: STRING,
});
export const MATCH_CONDITIONS = new ExpressionCompiler('request', SPEC_TYPE, (type) => `must evaluate to bool but got ${type}`);

export interface Match {
  readonly matches: boolean;
  /** A condition could not be answered, and none is false. */
  readonly error?: string;
}
/** All must be true. One that is false wins over one that fails. */
export function matches(conditions: readonly Expression[], spec: authorizationV1.SubjectAccessReviewSpec): Match {
  if (conditions.length === 0) return { matches: true };
  const request = { ...spec, uid: spec.uid ?? '', extra: spec.extra ?? {}, groups: spec.groups ?? [] };
  const errors: string[] = [];
  for (const condition of conditions) {
    try {
      if (condition.evaluate(request) !== true) return { matches: false };
    } catch (err) {
      errors.push((err as Error).message);
    }
  }
  if (errors.length === 0) return { matches: true };
  return { matches: false, error: errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]` };
}
