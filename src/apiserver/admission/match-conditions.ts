/** Match conditions of webhooks and policies: all must hold. Source: KEP-3716. */
import type { MatchCondition } from '#api/gen/admissionregistration-v1.ts';
import { UNMEASURED, type Conditioned, type Measured } from './metrics.ts';
import { MATCH_CONDITIONS_COST_BUDGET, NO_VARIABLES, type ExpressionActivation, type ExpressionBudget, type ExpressionCompiler } from './expressions.ts';

export interface MatchOutcome {
  readonly matches: boolean;
  /** Set when a condition could not be answered, none was false, and failures count. */
  readonly error?: string;
  readonly failed?: string;
}
interface ConditionOptions extends Conditioned {
  /** The conditions may speak of them. */
  readonly params: boolean;
  readonly failurePolicy: 'Fail' | 'Ignore';
  readonly measured?: Measured | undefined;
}
/** A false condition wins over an error. */
export async function evaluateMatchConditions(conditions: readonly MatchCondition[], compiler: ExpressionCompiler, activation: ExpressionActivation, options: ConditionOptions, signal: AbortSignal): Promise<MatchOutcome> {
  const { clock, metrics } = options.measured ?? UNMEASURED;
  const started = clock.monotonic();
  const counted = (outcome: 'match' | 'exclusion' | 'error'): void => metrics.conditions(options, outcome, (clock.monotonic() - started) / 1000);
  const budget: ExpressionBudget = { remaining: MATCH_CONDITIONS_COST_BUDGET };
  const errors: string[] = [];
  for (const condition of conditions) {
    try {
      const value = await compiler.compile(condition.expression, { params: options.params, authorizer: true, variables: NO_VARIABLES, returns: 'bool' }).evaluate(activation, budget, signal);
      if (value !== true) {
        counted('exclusion');
        return { matches: false, failed: condition.name };
      }
    } catch (err) {
      errors.push(err instanceof Error ? err.message : String(err));
    }
  }
  counted(errors.length ? 'error' : 'match');
  if (errors.length === 0) return { matches: true };
  if (options.failurePolicy === 'Ignore') return { matches: false };
  return { matches: false, error: errors.length === 1 ? errors[0]! : `[${errors.join(', ')}]` };
}
