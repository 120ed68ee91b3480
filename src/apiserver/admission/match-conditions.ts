/** Match conditions of webhooks and policies: all must hold. Source: KEP-3716. */
import type { MatchCondition } from '#api/gen/admissionregistration-v1.ts';
import { MATCH_CONDITIONS_COST_BUDGET, NO_VARIABLES, type ExpressionActivation, type ExpressionBudget, type ExpressionCompiler } from './expressions.ts';

export interface MatchOutcome {
  readonly matches: boolean;
  /** Set when a condition could not be answered, none was false, and failures count. */
  readonly error?: string;
  readonly failed?: string;
}
/** `params`: the conditions may speak of them. A false condition wins over an error. */
export async function evaluateMatchConditions(
  conditions: readonly MatchCondition[], compiler: ExpressionCompiler, activation: ExpressionActivation, options: { readonly params: boolean; readonly failurePolicy: 'Fail' | 'Ignore' }, signal: AbortSignal,
): Promise<MatchOutcome> {
  const budget: ExpressionBudget = { remaining: MATCH_CONDITIONS_COST_BUDGET };
  const errors: string[] = [];
  for (const condition of conditions) {
    try {
      const value = await compiler.compile(condition.expression, { params: options.params, authorizer: true, variables: NO_VARIABLES, returns: 'bool' }).evaluate(activation, budget, signal);
      if (value !== true) return { matches: false, failed: condition.name };
    } catch (err) {
      errors.push(err instanceof Error ? err.message : String(err));
    }
  }
  if (errors.length === 0) return { matches: true };
  if (options.failurePolicy === 'Ignore') return { matches: false };
  return { matches: false, error: errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]` };
}
