/** {@link ExpressionCompiler} over `#cel`: what match conditions and admission policies say. Source: the Kubernetes page "Validating Admission Policy". */
import type { Variable } from '#api/gen/admissionregistration-v1.ts';
import { CelError, Suspend } from '#cel/errors.ts';
import { compile, EvaluationError, type Program } from '#cel/compile.ts';
import type { Environment } from '#cel/environment.ts';
import type { Activation } from '#cel/frame.ts';
import { fromJson, toJson } from '#cel/json-values.ts';
import { kubernetesEnvironment, MUTATIONS } from '#cel/kubernetes.ts';
import { AUTHORIZER_TYPE, CheckValue, RESOURCE_CHECK_TYPE } from '#cel/library/authorizer.ts';
import { DYN, objectType, showRuntimeType, showType, type CelType } from '#cel/types.ts';
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

interface TypedExpression extends CompiledExpression {
  readonly type: CelType;
}
/** One per API server. Programs are kept by text and scope, beside the variables that they may see. */
export function celCompiler(): ExpressionCompiler {
  const base = kubernetesEnvironment();
  const mutating = kubernetesEnvironment(MUTATIONS);
  const compiled = new WeakMap<readonly Variable[], Map<string, TypedExpression | Error>>();
  function compileOnce(expression: string, scope: ExpressionScope): TypedExpression | Error {
    const own = compiled.getOrInsertComputed(scope.variables, () => new Map());
    const id = `${scope.returns} ${scope.params} ${scope.authorizer} ${scope.visible ?? ''}\n${expression}`;
    let known = own.get(id);
    if (known === undefined) {
      const mutates = scope.returns === 'jsonPatch' || scope.returns === 'applyConfiguration' || scope.returns === 'any';
      known = compileIn(expression, scope, (mutates ? mutating : base).withVariables({ ...declaredFor(scope), variables: objectType('kubernetes.variables', typesOf(scope)) }));
      if (own.size >= MAX_COMPILED) own.delete(own.keys().next().value!);
      own.set(id, known);
    }
    return known;
  }
  /** A variable is of the type of its expression; one that does not compile could be anything. */
  function typesOf({ variables, visible = variables.length, params }: ExpressionScope): Record<string, CelType> {
    const types: Record<string, CelType> = {};
    for (let i = 0; i < visible; i++) {
      const { name, expression } = variables[i]!;
      const made = compileOnce(expression, { params, authorizer: true, variables, visible: i, returns: 'any' });
      types[name] = made instanceof Error ? DYN : made.type;
    }
    return types;
  }
  return {
    compile(expression, scope) {
      const made = compileOnce(expression, scope);
      if (made instanceof Error) throw made;
      return made;
    },
  };
}

/** An expression that is right, but that no program can be made of. */
export class InstantiationError extends Error {}

function compileIn(expression: string, scope: ExpressionScope, environment: Environment): TypedExpression | Error {
  const result = compile(expression, environment);
  if ('errors' in result) return result.atInstantiation ? new InstantiationError(result.failed) : new Error(result.failed);
  const { program } = result;
  const wanted = WANTED[scope.returns];
  if (wanted && !wanted.types.includes(showType(program.type))) return new Error(`must evaluate to ${wanted.text} but got ${showRuntimeType(program.type)}`);
  const names = scope.variables.slice(0, scope.visible).map((v) => v.name);
  return { type: program.type, evaluate: (activation, budget, signal) => evaluate(program, { names, returns: scope.returns }, activation, budget, signal) };
}
const WANTED: Readonly<Partial<Record<ExpressionScope['returns'], { readonly types: readonly string[]; readonly text: string }>>> = {
  bool: { types: ['bool'], text: 'bool' },
  string: { types: ['string'], text: 'string' },
  stringOrNull: { types: ['string', 'null'], text: 'one of [string null_type]' },
  jsonPatch: { types: ['list(JSONPatch)'], text: 'list(JSONPatch)' },
  applyConfiguration: { types: ['Object'], text: 'Object' },
};
function declaredFor(scope: ExpressionScope): Record<string, CelType> {
  return {
    object: DYN, oldObject: DYN, request: ADMISSION_REQUEST_TYPE, namespaceObject: NAMESPACE_TYPE,
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

function view(names: readonly string[], a: ExpressionActivation, signal: AbortSignal): Activation {
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
        return new Variables(names, (variable) => a.variable(variable));
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

function evaluate(program: Program, scope: { readonly names: readonly string[]; readonly returns: ExpressionScope['returns'] }, a: ExpressionActivation, budget: ExpressionBudget, signal: AbortSignal): MaybePromise<unknown> {
  const activation = view(scope.names, a, signal);
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
