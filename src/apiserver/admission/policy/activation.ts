/** What the expressions of one policy see for one request and one parameter object; variables are computed when first asked for. */
import type { Variable } from '#api/gen/admissionregistration-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { admissionRequestOf } from '../admission-request.ts';
import type { MatchServices } from '../equivalents.ts';
import { NO_VARIABLES, type ExpressionActivation, type ExpressionBudget, type ExpressionCompiler } from '../expressions.ts';
import type { Measured } from '../metrics.ts';
import { namespaceOfRequest } from '../matching.ts';
import type { AdmissionAttributes, Authorizer, MaybePromise } from '../../interfaces.ts';

export interface PolicyServices extends MatchServices {
  readonly authorizer: Authorizer;
  readonly compiler: ExpressionCompiler;
  readonly measured?: Measured;
}
/** `original`: the request in its own version. */
export function policyActivation(
  a: AdmissionAttributes, original: AdmissionAttributes, params: KubeObject | null, spec: { readonly variables?: readonly Variable[] | undefined; readonly hasParams: boolean }, services: PolicyServices, budget: ExpressionBudget, signal: AbortSignal,
): ExpressionActivation {
  const known = new Map<string, MaybePromise<unknown>>();
  const variables = spec.variables ?? NO_VARIABLES;
  const activation: ExpressionActivation = {
    object: a.object ?? null,
    oldObject: a.oldObject ?? null,
    request: admissionRequestOf(a, '', false, original),
    params,
    get namespaceObject() {
      return a.resource.group === '' && a.resource.plural === 'namespaces' ? null : (namespaceOfRequest(a, services.reader) ?? null);
    },
    authorizer: services.authorizer,
    user: a.user,
    variable: (name) =>
      known.getOrInsertComputed(name, () => {
        const index = variables.findIndex((v) => v.name === name);
        if (index < 0) throw new Error(`no such key: ${name}`);
        const scope = { params: spec.hasParams, authorizer: true, variables, visible: index, returns: 'any' } as const;
        return services.compiler.compile(variables[index]!.expression, scope).evaluate(activation, budget, signal);
      }),
  };
  return activation;
}
export const messageOf = (err: unknown): string => (err instanceof Error ? err.message : String(err));
