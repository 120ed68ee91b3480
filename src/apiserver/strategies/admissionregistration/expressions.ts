/** Expressions of policies and webhooks are compiled when they are written: one that cannot be right is refused. In the words of upstream's `admissionregistration/validation`. */
import { celCompiler, InstantiationError } from '../../admission/cel-compiler.ts';
import type { ExpressionScope } from '../../admission/expressions.ts';
import { internalFieldError, invalidValue, type FieldError, type FieldPath } from '#machinery/field-errors.ts';

/** What an expression is written in, and the expressions that were stored before: those are accepted as they are. */
export interface ExpressionPlace extends Omit<ExpressionScope, 'returns'> {
  readonly known: ReadonlySet<string>;
}
const compiler = celCompiler();

export function validateExpression(expression: string, returns: ExpressionScope['returns'], { known, ...scope }: ExpressionPlace, path: FieldPath): FieldError[] {
  if (known.has(expression)) return [];
  try {
    compiler.compile(expression, { ...scope, returns });
    return [];
  } catch (err) {
    if (err instanceof InstantiationError) return [internalFieldError(path, err.message)];
    return [invalidValue(path, expression, err instanceof Error ? err.message : String(err))];
  }
}

const EXPRESSIONS: ReadonlySet<string> = new Set(['expression', 'messageExpression', 'valueExpression']);
/** Every expression in an object, wherever it is. */
export function expressionsOf(object: unknown, found = new Set<string>()): ReadonlySet<string> {
  if (typeof object !== 'object' || object === null) return found;
  for (const [name, value] of Object.entries(object)) {
    if (EXPRESSIONS.has(name) && typeof value === 'string') found.add(value);
    else expressionsOf(value, found);
  }
  return found;
}
