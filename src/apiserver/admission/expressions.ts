/**
 * What admission needs of CEL: compiled expressions with a budget. The language itself is injected, so that these plugins know nothing of
 * it. Source: the Kubernetes pages "Validating Admission Policy" and "CEL in Kubernetes".
 */
import type { Variable } from '#api/gen/admissionregistration-v1.ts';
import type { AdmissionAttributes, Authorizer, MaybePromise } from '../interfaces.ts';

export interface ExpressionScope {
  /** `params` is declared. */
  readonly params: boolean;
  /** `authorizer` is declared. */
  readonly authorizer: boolean;
  /** What is declared under `variables`. The same array for the same policy: what was compiled is kept with it. */
  readonly variables: readonly Variable[];
  /** How many of them there are for this expression: a variable sees those before it. Absent: all. */
  readonly visible?: number;
  /** What the expression must give: compilation fails for others. */
  readonly returns: 'bool' | 'string' | 'stringOrNull' | 'any' | 'jsonPatch' | 'applyConfiguration';
}
export const NO_VARIABLES: readonly Variable[] = [];
/** The values behind the declared names. Objects are the API's JSON, deeply readonly; `null` where there is none. */
export interface ExpressionActivation {
  readonly object: unknown;
  readonly oldObject: unknown;
  /** The AdmissionRequest, without its objects. */
  readonly request: unknown;
  readonly params: unknown;
  readonly namespaceObject: unknown;
  /** For `authorizer`: checks of {@link user}. */
  readonly authorizer: Authorizer;
  readonly user: AdmissionAttributes['user'];
  /** Reads `variables.<name>`: computed on first use. Throws what its computation threw. */
  variable(name: string): MaybePromise<unknown>;
}
/** Cost that may still be spent; shared by all expressions of one decision. */
export interface ExpressionBudget {
  remaining: number;
}
export interface CompiledExpression {
  /** Plain JSON values. Throws an Error whose message reads as upstream's (`no such key: x`, `expression cost budget exceeded`). */
  evaluate(activation: ExpressionActivation, budget: ExpressionBudget, signal: AbortSignal): MaybePromise<unknown>;
}
export interface ExpressionCompiler {
  /** Throws an Error whose message reads as upstream's (`compilation failed: ERROR: <input>:1:1: …`, `must evaluate to bool but got int`). Cheap to call again for the same text. */
  compile(expression: string, scope: ExpressionScope): CompiledExpression;
}

/** Upstream's `RuntimeCELCostBudget` and `RuntimeCELCostBudgetMatchConditions`. */
export const RUNTIME_COST_BUDGET = 10_000_000;
export const MATCH_CONDITIONS_COST_BUDGET = 2_500_000;

/** Stands in where no CEL was given: everything that needs it fails with a clear word, and never passes by chance. */
export const NO_EXPRESSIONS: ExpressionCompiler = {
  compile: () => {
    throw new Error('compilation failed: this API server was built without CEL');
  },
};
