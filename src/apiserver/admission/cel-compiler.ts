/** {@link ExpressionCompiler} over `#cel`: what match conditions and admission policies say. Source: the Kubernetes page "Validating Admission Policy". */
import { CelError, Suspend } from '#cel/errors.ts';
import { compile, EvaluationError, type Program } from '#cel/compile.ts';
import type { Environment } from '#cel/environment.ts';
import type { Activation } from '#cel/frame.ts';
import { fromJson, toJson } from '#cel/json-values.ts';
import { kubernetesEnvironment, MUTATIONS } from '#cel/kubernetes.ts';
import { AUTHORIZER_TYPE, CheckValue, RESOURCE_CHECK_TYPE } from '#cel/library/authorizer.ts';
import { DYN, objectType, showType, type CelType } from '#cel/types.ts';
import { MapValue, type Value } from '#cel/values.ts';
import type { MaybePromise } from '../interfaces.ts';
import { accessChecker, requestResourceOf } from './cel-authorizer.ts';
import { ADMISSION_REQUEST_TYPE, NAMESPACE_TYPE } from './cel-types.ts';
import type { CompiledExpression, ExpressionActivation, ExpressionBudget, ExpressionCompiler, ExpressionScope } from './expressions.ts';

/** Upstream's `PerCallLimit`. */
const CALL_LIMIT = 1_000_000;
const MAX_COMPILED = 2_000;
const OUT_OF_BUDGET = 'validation failed due to running out of cost budget, no further validation rules will be run';

/** The value of a policy's variable: kept as it is, since JSON has no form for durations and the like. */
class VariableResult {
  readonly value: Value;
  constructor(value: Value) {
    this.value = value;
  }
}

/** One per API server. Programs are kept by text and scope. */
export function celCompiler(): ExpressionCompiler {
  const base = kubernetesEnvironment();
  const mutating = kubernetesEnvironment(MUTATIONS);
  const compiled = new Map<string, CompiledExpression | Error>();
  return {
    compile(expression, scope) {
      const id = `${scope.returns} ${scope.params} ${scope.authorizer} ${scope.variables.join(' ')}\n${expression}`;
      let known = compiled.get(id);
      if (known === undefined) {
        known = compileIn(expression, scope, scope.returns === 'jsonPatch' || scope.returns === 'applyConfiguration' || scope.returns === 'any' ? mutating : base);
        if (compiled.size >= MAX_COMPILED) compiled.delete(compiled.keys().next().value!);
        compiled.set(id, known);
      }
      if (known instanceof Error) throw known;
      return known;
    },
  };
}

function compileIn(expression: string, scope: ExpressionScope, base: Environment): CompiledExpression | Error {
  const result = compile(expression, base.withVariables(variablesOf(scope)));
  if ('errors' in result) return new Error(`compilation failed: ${result.text}`);
  const { program } = result;
  const wanted = WANTED[scope.returns];
  if (wanted && !wanted.types.includes(showType(program.type))) return new Error(`compilation failed: must evaluate to ${wanted.text}`);
  return { evaluate: (activation, budget, signal) => evaluate(program, scope, activation, budget, signal) };
}
const WANTED: Readonly<Partial<Record<ExpressionScope['returns'], { readonly types: readonly string[]; readonly text: string }>>> = {
  bool: { types: ['bool'], text: 'bool' },
  string: { types: ['string'], text: 'string' },
  stringOrNull: { types: ['string', 'null'], text: 'one of [string null_type]' },
  jsonPatch: { types: ['list(JSONPatch)', 'list(dyn)'], text: 'list(JSONPatch)' },
  applyConfiguration: { types: ['Object'], text: 'Object' },
};
function variablesOf(scope: ExpressionScope): Record<string, CelType> {
  return {
    object: DYN, oldObject: DYN, request: ADMISSION_REQUEST_TYPE, namespaceObject: NAMESPACE_TYPE,
    variables: objectType('kubernetes.variables', Object.fromEntries(scope.variables.map((name) => [name, DYN]))),
    ...(scope.params ? { params: DYN } : {}),
    ...(scope.authorizer ? { authorizer: AUTHORIZER_TYPE, 'authorizer.requestResource': RESOURCE_CHECK_TYPE } : {}),
  };
}

/** `variables.x`, computed when it is first read. */
class Variables extends MapValue {
  readonly size: number;
  readonly #names: readonly string[];
  readonly #read: (name: string) => MaybePromise<unknown>;
  readonly #settled = new Map<string, { readonly value?: unknown; readonly error?: unknown }>();
  constructor(names: readonly string[], read: (name: string) => MaybePromise<unknown>) {
    super();
    this.size = names.length;
    this.#names = names;
    this.#read = read;
  }
  keys(): Iterable<Value> {
    return this.#names;
  }
  get(key: Value): Value | undefined {
    const name = String(key);
    if (!this.#names.includes(name)) return undefined;
    const settled = this.#settled.get(name);
    if (!settled) {
      const value = this.#attempt(name);
      if (!(value instanceof Promise)) return valueOf(value);
      throw new Suspend(value.then((v: unknown) => this.#settled.set(name, { value: v }), (error: unknown) => this.#settled.set(name, { error })));
    }
    if ('error' in settled) throw failedVariable(name, settled.error);
    return valueOf(settled.value);
  }
  override has(key: Value): boolean {
    return this.#names.includes(String(key));
  }
  #attempt(name: string): unknown {
    try {
      return this.#read(name);
    } catch (err) {
      throw failedVariable(name, err);
    }
  }
}
function valueOf(value: unknown): Value {
  return value instanceof VariableResult ? value.value : fromJson(value, DYN);
}
const failedVariable = (name: string, err: unknown): CelError => new CelError(`composited variable ${JSON.stringify(name)} fails to evaluate: ${err instanceof Error ? err.message : String(err)}`);

function view(scope: ExpressionScope, a: ExpressionActivation, signal: AbortSignal): Activation {
  const values = new Map<string, Value>();
  const authorizer = new CheckValue(AUTHORIZER_TYPE, accessChecker(a.authorizer, a.user, signal));
  const make = (name: string): Value | undefined => {
    switch (name) {
      case 'object':
        return fromJson(a.object, DYN);
      case 'oldObject':
        return fromJson(a.oldObject, DYN);
      case 'params':
        return fromJson(a.params, DYN);
      case 'request':
        return fromJson(a.request, ADMISSION_REQUEST_TYPE);
      case 'namespaceObject':
        return fromJson(a.namespaceObject, NAMESPACE_TYPE);
      case 'authorizer':
        return authorizer;
      case 'authorizer.requestResource':
        return authorizer.with(RESOURCE_CHECK_TYPE, requestResourceOf(a.request));
      case 'variables':
        return new Variables(scope.variables, (variable) => a.variable(variable));
      default:
        return undefined;
    }
  };
  return {
    get(name) {
      let value = values.get(name);
      if (value === undefined) {
        value = make(name);
        if (value !== undefined) values.set(name, value);
      }
      return value;
    },
  };
}

function evaluate(program: Program, scope: ExpressionScope, a: ExpressionActivation, budget: ExpressionBudget, signal: AbortSignal): MaybePromise<unknown> {
  const activation = view(scope, a, signal);
  const failed = (err: Error): Error => (scope.returns === 'any' ? err : new Error(`expression '${program.source}' resulted in error: ${err.message}`, { cause: err }));
  const spend = (cost: number): void => {
    if (cost > budget.remaining) {
      budget.remaining = -1;
      throw new Error(OUT_OF_BUDGET);
    }
    budget.remaining -= cost;
  };
  const attempt = (): MaybePromise<unknown> => {
    signal.throwIfAborted();
    if (budget.remaining < 0) throw new Error(OUT_OF_BUDGET);
    try {
      const { value, cost } = program.evaluate(activation, CALL_LIMIT);
      spend(cost);
      return scope.returns === 'any' ? new VariableResult(value) : toJson(value);
    } catch (err) {
      if (err instanceof Suspend) return err.until.then(attempt);
      if (err instanceof EvaluationError) {
        spend(err.cost);
        throw failed(err);
      }
      throw err;
    }
  };
  return attempt();
}
