/** `x-kubernetes-validations` against objects, with one budget for a whole object. Messages are upstream's `schema/cel`. */
import { EvaluationError } from '#cel/compile.ts';
import { CostLimitError } from '#cel/errors.ts';
import type { Activation } from '#cel/frame.ts';
import { fromJson } from '#cel/json-values.ts';
import { OptionalValue, type Value } from '#cel/values.ts';
import { duplicate, forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { celName, declare, type Declaration } from './cel-schema.ts';
import { compileRule, type CompiledRule } from './cel-rule.ts';
import { itemKey, mapKeysOf, type Correlation } from './correlation.ts';
import { resolveFieldPath } from './field-paths.ts';
import { isObject, itemsOf, propertyOf, valuesOf, type Schema } from './schema.ts';

/** Upstream's `RuntimeCELCostBudget` and `PerCallLimit`. */
const OBJECT_BUDGET = 10_000_000;
const CALL_LIMIT = 1_000_000;
const MAX_MESSAGE_BYTES = 5 * 1024;

interface Node {
  readonly schema: Schema;
  readonly declaration: Declaration;
  readonly rules: readonly (CompiledRule & { readonly fieldPath: (path: FieldPath) => FieldPath })[];
  readonly items: Node | undefined;
  readonly values: Node | undefined;
  readonly properties: ReadonlyMap<string, Node>;
  /** `allOf`, whose rules apply to the same value. */
  readonly allOf: readonly Node[];
}

/** The rules of a schema and below; undefined where there are none. */
function plan(rulesFrom: Schema, schema: Schema, declaration: Declaration | undefined): Node | undefined {
  if (!declaration) return undefined;
  const rules = (rulesFrom['x-kubernetes-validations'] ?? []).flatMap((rule) => {
    const compiled = compileRule(rule, declaration);
    return compiled ? [{ ...compiled, fieldPath: (path: FieldPath) => (rule.fieldPath ? (resolveFieldPath(rule.fieldPath, schema, path) ?? path) : path) }] : [];
  });
  const properties = new Map<string, Node>();
  for (const [name, property] of Object.entries(rulesFrom.properties ?? {})) {
    const own = propertyOf(schema, name);
    const escaped = celName(name);
    const declared = own && (escaped === undefined ? declare(own, own['x-kubernetes-embedded-resource'] === true) : declaration.fields?.get(escaped));
    const node = own && plan(property, own, declared);
    if (node) properties.set(name, node);
  }
  const child = (from: Schema | undefined, own: Schema | undefined): Node | undefined => (from && own ? plan(from, own, declaration.element) : undefined);
  const items = child(itemsOf(rulesFrom), itemsOf(schema));
  const values = child(valuesOf(rulesFrom), valuesOf(schema));
  const allOf = (rulesFrom.allOf ?? []).flatMap((nested) => plan(nested, schema, declaration) ?? []);
  if (!rules.length && !items && !values && !properties.size && !allOf.length) return undefined;
  return { schema, declaration, rules, items, values, properties, allOf };
}

export interface CelValidator {
  /** `old` undefined: the object is created. `ratcheting`: the object beside what it was. */
  validate(value: unknown, old: unknown, options: { readonly path: FieldPath; readonly ratcheting?: Correlation | undefined; warn(message: string): void }): FieldError[];
}
/** Undefined where the schema has no rules. */
export function celValidator(schema: Schema, isRoot: boolean): CelValidator | undefined {
  const root = plan(schema, schema, declare(schema, isRoot));
  if (!root) return undefined;
  return {
    validate(value, old, { path, ratcheting, warn }) {
      const run = new Run(warn);
      run.node(root, value, old, path, { current: ratcheting, parent: undefined, isRoot: true });
      return run.errors;
    },
  };
}

/** Where an error may be let through: the value or its nearest ancestor that has a counterpart did not change. */
interface Ratchet {
  readonly current: Correlation | undefined;
  readonly parent: Correlation | undefined;
  readonly isRoot?: boolean;
}
const letsThrough = (r: Ratchet): boolean => (r.current ?? r.parent)?.unchanged ?? false;
function below(r: Ratchet, next: (c: Correlation) => Correlation | undefined, key = ''): Ratchet {
  if (!r.current) return { current: undefined, parent: r.parent };
  if (r.isRoot && (key === 'apiVersion' || key === 'kind')) return { current: undefined, parent: undefined };
  return { current: next(r.current), parent: r.current };
}

/** Thrown to leave the whole object: the budget is spent. */
class Exhausted extends Error {}

class Run {
  readonly errors: FieldError[] = [];
  readonly #warn: (message: string) => void;
  #budget = OBJECT_BUDGET;
  constructor(warn: (message: string) => void) {
    this.#warn = warn;
  }
  node(node: Node, value: unknown, old: unknown, path: FieldPath, ratchet: Ratchet): void {
    try {
      this.#node(node, value, old, path, ratchet);
    } catch (err) {
      if (!(err instanceof Exhausted)) throw err;
    }
  }
  #node(node: Node, value: unknown, old: unknown, path: FieldPath, ratchet: Ratchet): void {
    if (value === null || value === undefined) return;
    if (node.rules.length) this.#rules(node, value, old ?? undefined, path, ratchet);
    for (const nested of node.allOf) this.#node(nested, value, old, path, { current: undefined, parent: ratchet.parent });
    if (Array.isArray(value)) this.#list(node, value, old, path, ratchet);
    else if (isObject(value)) {
      const before = isObject(old) ? old : {};
      for (const [key, inner] of Object.entries(value)) {
        const property = node.properties.get(key);
        const prior = Object.hasOwn(before, key) ? before[key] : undefined;
        const next = below(ratchet, (c) => c.key(key), key);
        if (property) this.#node(property, inner, prior, path.child(key), next);
        else if (node.values) this.#node(node.values, inner, prior, path.key(key), next);
      }
    }
  }
  #list(node: Node, value: readonly unknown[], old: unknown, path: FieldPath, ratchet: Ratchet): void {
    if (!node.items) return;
    const keys = mapKeysOf(node.schema);
    const items = itemsOf(node.schema);
    const before = keys && Array.isArray(old) ? new Map(old.map((item) => [itemKey(item, keys, items), item as unknown])) : undefined;
    for (const [i, item] of value.entries()) this.#node(node.items, item, keys && before?.get(itemKey(item, keys, items)), path.index(i), below(ratchet, (c) => c.index(i)));
  }

  #rules(node: Node, value: unknown, old: unknown, path: FieldPath, ratchet: Ratchet): void {
    const { type } = node.declaration;
    const self = fromJson(value, type);
    const before = old === undefined ? undefined : fromJson(old, type);
    const shown = node.schema.type ?? '';
    for (const compiled of node.rules) {
      if (compiled.error !== undefined) {
        this.errors.push(invalidValue(path, shown, `rule compile error: ${compiled.error}`));
        continue;
      }
      const optional = compiled.rule.optionalOldSelf === true;
      if (compiled.usesOldSelf && before === undefined && !optional) continue;
      const oldSelf: Value | undefined = optional ? new OptionalValue(before) : before;
      const activation: Activation = { get: (name) => (name === 'self' ? self : name === 'oldSelf' ? oldSelf : undefined) };
      if (this.#holds(compiled, activation, path, shown)) continue;
      const at = compiled.fieldPath(path);
      const error = errorFor(compiled, at, this.#detail(compiled, activation, at, shown), shown, value);
      if (!compiled.usesOldSelf && letsThrough(ratchet)) this.#warn(`${error.field}: ${error.body}`);
      else this.errors.push(error);
    }
  }
  #spend(cost: number, path: FieldPath, shown: string, message = 'validation failed due to running out of cost budget, no further validation rules will be run'): void {
    if (cost > this.#budget) {
      this.errors.push(invalidValue(path, shown, message));
      throw new Exhausted();
    }
    this.#budget -= cost;
  }
  #holds(compiled: CompiledRule, activation: Activation, path: FieldPath, shown: string): boolean {
    try {
      const { value, cost } = compiled.program!.evaluate(activation, CALL_LIMIT);
      this.#spend(cost, path, shown);
      return value === true;
    } catch (err) {
      if (!(err instanceof EvaluationError)) throw err;
      this.#spend(err.cost, path, shown);
      const text = ruleText(compiled);
      if (err.cause instanceof CostLimitError) {
        this.errors.push(invalidValue(path, shown, `'${err.message}': no further validation rules will be run due to call cost exceeds limit for rule: ${text}`));
        throw new Exhausted();
      }
      const why = err.message.startsWith('no such overload') ? `'${err.message}': call arguments did not match a supported operator, function or macro signature for rule: ${text}` : `${err.message} evaluating rule: ${text}`;
      this.errors.push(invalidValue(path, shown, why));
      return true;
    }
  }
  /** The message expression's text where it gives a good one, else the rule's message, else the rule. */
  #detail(compiled: CompiledRule, activation: Activation, path: FieldPath, shown: string): string {
    const program = compiled.message?.program;
    if (program) {
      const quoted = JSON.stringify(compiled.rule.messageExpression);
      try {
        const { value, cost } = program.evaluate(activation, CALL_LIMIT);
        this.#spend(cost, path, shown, 'messageExpression evaluation failed due to running out of cost budget, no further validation rules will be run');
        const text = typeof value === 'string' ? value.trim() : '';
        if (text !== '' && !text.includes('\n') && Buffer.byteLength(text) <= MAX_MESSAGE_BYTES) return text;
      } catch (err) {
        if (!(err instanceof EvaluationError)) throw err;
        if (err.cause instanceof CostLimitError) {
          this.errors.push(invalidValue(path, shown, `no further validation rules will be run due to call cost exceeds limit for messageExpression: ${quoted}`));
          throw new Exhausted();
        }
        this.#spend(err.cost, path, shown);
      }
    }
    return compiled.rule.message ? compiled.rule.message.trim() : `failed rule: ${ruleText(compiled)}`;
  }
}
const ruleText = ({ rule }: CompiledRule): string => (rule.message || rule.rule).trim();
/** Objects and lists are not shown: they may be large. */
function errorFor(compiled: CompiledRule, path: FieldPath, detail: string, shown: string, value: unknown): FieldError {
  switch (compiled.rule.reason) {
    case 'FieldValueForbidden':
      return forbiddenField(path, detail);
    case 'FieldValueRequired':
      return required(path, detail);
    case 'FieldValueDuplicate':
      return duplicate(path, value);
    default:
      return shown === 'object' || shown === 'array' ? { type: 'FieldValueInvalid', field: path.toString(), body: `Invalid value: ${detail}` } : invalidValue(path, value, detail);
  }
}
