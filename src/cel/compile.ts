/**
 * CEL expressions, compiled once and evaluated many times.
 *
 * ```
 *   text ─▶ parse (macros) ─▶ check (types, overloads) ─▶ literals ─▶ plan (closures) ─▶ evaluate(activation, limit)
 * ```
 */
import { nodesOf, type Expr } from './ast.ts';
import { check, type Checked } from './checker.ts';
import { CelError, Suspend } from './errors.ts';
import type { Environment } from './environment.ts';
import { Frame, type Activation } from './frame.ts';
import { CelSyntaxError, formatIssues, type CelIssue } from './issues.ts';
import { literalIssues } from './literal-checks.ts';
import { parse } from './parser.ts';
import { plan, type Step } from './planner.ts';
import type { CelType } from './types.ts';
import type { Value } from './values.ts';

export interface Evaluation {
  readonly value: Value;
  /** In cel-go's units. */
  readonly cost: number;
}
/** An evaluation that failed, with what it cost until then. */
export class EvaluationError extends Error {
  readonly cost: number;
  constructor(cause: Error, cost: number) {
    super(cause.message, { cause });
    this.name = 'EvaluationError';
    this.cost = cost;
  }
}
export interface Program {
  readonly source: string;
  readonly type: CelType;
  readonly checked: Checked;
  /** Names of the declared variables that the expression reads. */
  readonly variables: ReadonlySet<string>;
  /** Throws {@link EvaluationError}; `Suspend` where an answer is to be waited for. `limit` in cel-go's units. */
  evaluate(activation: Activation, limit: number): Evaluation;
}
export interface CompileFailure {
  readonly errors: readonly CelIssue[];
  /** As cel-go prints them. */
  readonly text: string;
  /** The text with what could not be done in front. */
  readonly failed: string;
  /** The expression is right, but what it computes of constants cannot be computed: upstream takes it for a fault of its own. */
  readonly atInstantiation: boolean;
}
export type Compiled = { readonly program: Program } | CompileFailure;

export function compile(source: string, env: Environment): Compiled {
  const failed = (errors: readonly CelIssue[]): Compiled => {
    const text = formatIssues(source, errors);
    return { errors, text, failed: `compilation failed: ${text}`, atInstantiation: false };
  };
  let expr: Expr;
  try {
    expr = parse(source, { macros: env.macros });
  } catch (err) {
    if (!(err instanceof CelSyntaxError)) throw err;
    return failed([{ offset: err.offset, message: err.message }]);
  }
  const result = check(expr, env);
  if ('issues' in result) return failed(result.issues);
  const { checked } = result;
  const issues = literalIssues(checked, env.homogeneousLiterals);
  if (issues.length) return failed(issues);
  const { run, slots, conversions } = plan(checked);
  const fault = faultOf(conversions, slots);
  if (fault) return { errors: [{ offset: -1, message: fault.message }], text: fault.message, failed: `program instantiation failed: ${fault.message}`, atInstantiation: true };
  return {
    program: {
      source,
      type: checked.type,
      checked,
      variables: variablesOf(checked),
      evaluate(activation, limit) {
        const frame = new Frame(activation, slots, limit);
        try {
          return { value: run(frame), cost: frame.cost };
        } catch (err) {
          throw evaluationError(err, frame);
        }
      },
    },
  };
}
/** The first of the steps that fails; they need no variables. */
function faultOf(steps: readonly Step[], slots: number): CelError | undefined {
  for (const step of steps) {
    try {
      step(new Frame({ get: () => undefined }, slots, Infinity));
    } catch (err) {
      if (err instanceof CelError) return err;
      throw err;
    }
  }
  return undefined;
}
function evaluationError(err: unknown, frame: Frame): unknown {
  if (!(err instanceof Error) || err instanceof Suspend) return err;
  // A value that is not of the type it was declared with meets code that relies on it.
  if (err instanceof TypeError) return new EvaluationError(new CelError('no such overload'), frame.cost);
  return new EvaluationError(err, frame.cost);
}

function variablesOf(checked: Checked): ReadonlySet<string> {
  const out = new Set<string>();
  for (const node of nodesOf(checked.expr)) {
    const reference = checked.referenceOf(node);
    if (reference?.kind === 'variable') out.add(reference.name);
  }
  return out;
}
