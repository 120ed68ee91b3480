/** CEL expressions in configuration files: compiled when the file is read, evaluated on requests. */
import { nodesOf, type Expr } from '#cel/ast.ts';
import { compile, EvaluationError } from '#cel/compile.ts';
import type { Environment } from '#cel/environment.ts';
import { fromJson, toJson } from '#cel/json-values.ts';
import { kubernetesEnvironment } from '#cel/kubernetes.ts';
import { showType, type CelType } from '#cel/types.ts';
import { invalidValue, type FieldError, type FieldPath } from '#machinery/field-errors.ts';

/** Upstream's `PerCallLimit`, in cel-go's units. */
const CALL_LIMIT = 1_000_000;

export interface Expression {
  readonly source: string;
  /** Whether it reads `variable.field`, by any spelling. */
  reads(field: string): boolean;
  /** JSON in, JSON out. Throws `expression '…' resulted in error: …`. */
  evaluate(value: unknown): unknown;
}

let base: Environment | undefined;

/** Makes expressions over one variable. `returns` bool: anything else is refused, in upstream's words. */
export class ExpressionCompiler {
  readonly #variable: string;
  readonly #type: CelType;
  readonly #mismatch: (type: string) => string;
  #environment: Environment | undefined;
  constructor(variable: string, type: CelType, mismatch: (type: string) => string = () => 'must evaluate to bool') {
    this.#variable = variable;
    this.#type = type;
    this.#mismatch = mismatch;
  }
  /** Undefined with an error added. */
  compile(source: string, returns: 'bool' | 'any', path: FieldPath, errors: FieldError[]): Expression | undefined {
    this.#environment ??= (base ??= kubernetesEnvironment()).withVariables({ [this.#variable]: this.#type });
    const result = compile(source, this.#environment);
    if ('errors' in result) {
      errors.push(invalidValue(path, source, result.failed));
      return undefined;
    }
    const { program } = result;
    const type = showType(program.type);
    if (returns === 'bool' && type !== 'bool') {
      errors.push(invalidValue(path, source, this.#mismatch(type)));
      return undefined;
    }
    const variable = this.#variable;
    return {
      source,
      reads: (field) => [...nodesOf(program.checked.expr)].some((node) => selects(node, variable, field)),
      evaluate: (value) => {
        const seen = fromJson(value, this.#type);
        try {
          return toJson(program.evaluate({ get: (name) => (name === variable ? seen : undefined) }, CALL_LIMIT).value);
        } catch (err) {
          if (!(err instanceof EvaluationError)) throw err;
          throw new Error(`expression '${source}' resulted in error: ${err.message}`, { cause: err });
        }
      },
    };
  }
}
/** `claims.email`, `has(claims.email)`, `claims.?email` */
function selects(node: Expr, variable: string, field: string): boolean {
  const isVariable = (e: Expr | undefined): boolean => e?.kind === 'ident' && e.name === variable;
  if (node.kind === 'select') return node.field === field && isVariable(node.operand);
  if (node.kind !== 'call' || node.name !== '_?._') return false;
  const [operand, name] = node.target ? [node.target, node.args[0]] : node.args;
  return isVariable(operand) && name?.kind === 'literal' && name.value === field;
}
