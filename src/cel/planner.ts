/** From a checked tree to closures. Each closure charges what its step costs in cel-go's model before it does it. */
import { nodesOf, UNUSED, type CallExpr, type ComprehensionExpr, type Expr, type ListExpr, type MapExpr, type SelectExpr, type StructExpr } from './ast.ts';
import type { Checked } from './checker.ts';
import { CelError, noSuchKey, noSuchOverload } from './errors.ts';
import { equals } from './equality.ts';
import type { Frame } from './frame.ts';
import { accepts, type Overload } from './functions.ts';
import { parseDuration } from '#machinery/duration.ts';
import { offsetOf, parseTimestamp } from './timestamps.ts';
import { isDyn, runtimeName } from './types.ts';
import { indexAny } from './library/operators.ts';
import { ArrayList, Duration, EntryMap, ListValue, MapValue, OptionalValue, sizeOf, Timestamp, TypeValue, type Value } from './values.ts';

export type Step = (f: Frame) => Value;
export interface Plan {
  readonly run: Step;
  /** How many slots a frame needs. */
  readonly slots: number;
  /** Conversions of what is known already. */
  readonly conversions: readonly Step[];
}

const LIST_COST = 10;
const MAP_COST = 30;
const STRUCT_COST = 40;

export function plan(checked: Checked): Plan {
  const planner = new Planner(checked);
  const run = planner.step(checked.expr);
  return { run, slots: planner.slots, conversions: nodesOf(checked.expr).filter(isConstantConversion).map((expr) => planner.step(expr)) };
}
const CONVERSIONS: ReadonlySet<string> = new Set(['int', 'uint', 'double', 'bool', 'string', 'bytes', 'duration', 'timestamp']);
function isConstantConversion(expr: Expr): boolean {
  if (expr.kind !== 'call' || expr.target || !CONVERSIONS.has(expr.name)) return false;
  const [arg] = expr.args;
  return arg !== undefined && (arg.kind === 'literal' || isConstantConversion(arg));
}

function outcomeOf(err: unknown): CelError {
  if (err instanceof CelError) return err;
  throw err;
}

class Planner {
  slots = 0;
  readonly #checked: Checked;
  readonly #scopes: Map<string, number>[] = [];
  /** Macros use a subtree twice: it becomes one closure. */
  readonly #known = new Map<number, Step>();
  /** Slots of bindings hold what computes them, until they are read. */
  readonly #lazy = new Map<number, Step>();

  constructor(checked: Checked) {
    this.#checked = checked;
  }
  step(expr: Expr): Step {
    const known = this.#known.get(expr.id);
    if (known) return known;
    const constant = constantOf(expr);
    const made: Step = constant === undefined ? this.#make(expr) : () => constant;
    this.#known.set(expr.id, made);
    return made;
  }
  #make(expr: Expr): Step {
    switch (expr.kind) {
      case 'literal': {
        const { value } = expr;
        return () => value;
      }
      case 'ident':
        return this.#ident(expr);
      case 'select':
        return this.#select(expr);
      case 'call':
        return this.#call(expr);
      case 'list':
        return this.#list(expr);
      case 'map':
        return this.#map(expr);
      case 'struct':
        return this.#struct(expr);
      case 'comprehension':
        return this.#comprehension(expr);
    }
  }

  #slotOf(name: string): number | undefined {
    for (let i = this.#scopes.length - 1; i >= 0; i--) {
      const slot = this.#scopes[i]!.get(name);
      if (slot !== undefined) return slot;
    }
    return undefined;
  }
  #ident(expr: Extract<Expr, { kind: 'ident' }>): Step {
    const slot = this.#slotOf(expr.name);
    const { name } = expr;
    if (slot !== undefined) {
      const compute = this.#lazy.get(slot);
      return (f) => {
        f.charge(1);
        let value = f.slots[slot];
        if (value === undefined) value = f.slots[slot] = compute!(f);
        return value;
      };
    }
    return this.#global(expr, name);
  }
  #global(expr: Expr, name: string): Step {
    const reference = this.#checked.referenceOf(expr);
    if (reference?.kind === 'type') {
      const type = new TypeValue(runtimeName(reference.type));
      return () => type;
    }
    return (f) => {
      f.charge(1);
      const value = f.activation.get(name);
      if (value === undefined) throw new CelError(`no such attribute(s): ${name}`);
      return value;
    };
  }

  #select(expr: SelectExpr): Step {
    const reference = this.#checked.referenceOf(expr);
    if (reference?.kind === 'variable') return this.#global(expr, reference.name);
    if (reference?.kind === 'type') return this.#global(expr, '');
    const operand = this.step(expr.operand);
    const { field } = expr;
    if (expr.testOnly) {
      return (f) => {
        let value = operand(f);
        if (value instanceof OptionalValue) {
          if (value.value === undefined) return false;
          value = value.value;
        }
        if (value instanceof MapValue) return value.has(field);
        throw noSuchOverload();
      };
    }
    return (f) => {
      const value = operand(f);
      f.charge(1);
      if (value instanceof MapValue) {
        const found = value.get(field);
        if (found === undefined) throw noSuchKey(field);
        return found;
      }
      if (value instanceof OptionalValue) return selectOptional(value, field);
      throw noSuchKey(field);
    };
  }

  #call(expr: CallExpr): Step {
    const args = expr.args.map((a) => this.step(a));
    const [a, b, c] = args;
    switch (expr.name) {
      case '_&&_':
        return and(a!, b!);
      case '_||_':
        return or(a!, b!);
      case '_?_:_':
        return (f) => {
          const condition = a!(f);
          if (typeof condition !== 'boolean') throw noSuchOverload();
          return condition ? b!(f) : c!(f);
        };
      case '@not_strictly_false':
        return (f) => {
          f.charge(1);
          return a!(f) !== false;
        };
      case '_==_':
      case '_!=_':
        return equality(a!, b!, expr.name === '_!=_');
      case '_?._': {
        const field = (expr.args[1] as { readonly value: string }).value;
        return (f) => {
          f.charge(1);
          const value = a!(f);
          return selectOptional(value instanceof OptionalValue ? value : new OptionalValue(value), field);
        };
      }
      default:
        return this.#function(expr, args);
    }
  }
  #function(expr: CallExpr, args: readonly Step[]): Step {
    const reference = this.#checked.referenceOf(expr);
    if (reference?.kind !== 'function') throw new Error(`the call of "${expr.name}" was not resolved`);
    const { overloads, qualified } = reference;
    const isMember = expr.target !== undefined && !qualified;
    const steps = isMember ? [this.step(expr.target!), ...args] : args;
    const given = isMember ? [expr.target!, ...expr.args] : expr.args;
    const certain = overloads.length === 1 && given.every((arg, i) => !isDyn(this.#checked.typeOf(arg)) || overloads[0]!.params[i]!.kind === 'dyn' || overloads[0]!.params[i]!.kind === 'param');
    if (!certain && expr.name === '_[_]') return direct({ ...overloads[0]!, call: indexAny }, steps);
    return certain ? direct(overloads[0]!, steps) : dispatch(overloads, steps);
  }

  #list(expr: ListExpr): Step {
    const steps = expr.elements.map((e) => this.step(e));
    const { optional } = expr;
    if (optional.size === 0) {
      return (f) => {
        f.charge(LIST_COST);
        const items: Value[] = [];
        for (const step of steps) items.push(step(f));
        return new ArrayList(items);
      };
    }
    return (f) => {
      f.charge(LIST_COST);
      const items: Value[] = [];
      for (const [i, step] of steps.entries()) {
        const value = step(f);
        if (!optional.has(i)) items.push(value);
        else if (!(value instanceof OptionalValue)) throw new CelError(`cannot initialize optional list element from non-optional value ${String(value)}`);
        else if (value.value !== undefined) items.push(value.value);
      }
      return new ArrayList(items);
    };
  }
  #map(expr: MapExpr): Step {
    const entries = expr.entries.map((e) => ({ key: this.step(e.key), value: this.step(e.value), optional: e.optional }));
    return (f) => {
      f.charge(MAP_COST);
      const out = new EntryMap();
      for (const { key, value, optional } of entries) {
        const [k, v] = [key(f), value(f)];
        if (!optional) out.put(k, v);
        else if (!(v instanceof OptionalValue)) throw new CelError(`cannot initialize optional entry '${String(k)}' from non-optional value ${String(v)}`);
        else if (v.value !== undefined) out.put(k, v.value);
      }
      return out;
    };
  }
  #struct(expr: StructExpr): Step {
    const maker = this.#checked.structOf(expr);
    const fields = expr.fields.map((field) => ({ name: field.name, value: this.step(field.value), optional: field.optional }));
    return (f) => {
      f.charge(STRUCT_COST);
      const out = new Map<string, Value>();
      for (const { name, value, optional } of fields) {
        const v = value(f);
        if (!optional) out.set(name, v);
        else if (v instanceof OptionalValue && v.value !== undefined) out.set(name, v.value);
      }
      return maker.make(out);
    };
  }

  #comprehension(expr: ComprehensionExpr): Step {
    if (expr.iterVar === UNUSED) return this.#binding(expr);
    const range = this.step(expr.range);
    const init = this.step(expr.accuInit);
    const accu = this.slots++;
    const first = this.slots++;
    const second = expr.iterVar2 === undefined ? -1 : this.slots++;
    this.#scopes.push(new Map([[expr.accuVar, accu]]));
    const vars = new Map([[expr.iterVar, first]]);
    if (expr.iterVar2 !== undefined) vars.set(expr.iterVar2, second);
    this.#scopes.push(vars);
    const condition = expr.condition.kind === 'literal' ? undefined : this.step(expr.condition);
    const step = this.#growing(expr.step, expr.accuVar, accu) ?? this.step(expr.step);
    this.#scopes.pop();
    const result = this.step(expr.result);
    this.#scopes.pop();
    return (f) => {
      const over = range(f);
      const { slots } = f;
      const begin = fresh(init(f));
      slots[accu] = begin;
      let failure: CelError | undefined;
      fold(f, over, second >= 0, (a, b) => {
        if (condition && condition(f) === false) return false;
        slots[first] = a;
        if (second >= 0) slots[second] = b;
        try {
          slots[accu] = step(f);
        } catch (err) {
          // Of `all` and `exists`: an item that decides wins over one that fails.
          if (!condition) throw err;
          failure ??= outcomeOf(err);
        }
        return true;
      });
      if (failure && slots[accu] === begin) throw failure;
      const out = result(f);
      slots[accu] = undefined;
      slots[first] = undefined;
      return out;
    };
  }
  /** A step that adds to the accumulator's own list or map, which nobody else has seen yet. */
  #growing(expr: Expr, accuVar: string, slot: number): Step | undefined {
    if (expr.kind !== 'call') return undefined;
    const [a, b, c] = expr.args as readonly [Expr?, Expr?, Expr?];
    const isAccu = (e: Expr | undefined): boolean => e?.kind === 'ident' && e.name === accuVar;
    if (expr.name === '_?_:_' && isAccu(c)) {
      const grown = this.#growing(b!, accuVar, slot);
      if (!grown) return undefined;
      const condition = this.step(a!);
      return (f) => {
        const holds = condition(f);
        if (typeof holds !== 'boolean') throw noSuchOverload();
        if (holds) return grown(f);
        f.charge(1);
        return f.slots[slot]!;
      };
    }
    if (!isAccu(a)) return undefined;
    if (expr.name === '_+_' && b?.kind === 'list' && b.elements.length === 1 && b.optional.size === 0) {
      const item = this.step(b.elements[0]!);
      return (f) => {
        f.charge(2 + LIST_COST);
        const value = item(f);
        const list = f.slots[slot] as ArrayList;
        list.items.push(value);
        return list;
      };
    }
    if (expr.name !== 'cel.@mapInsert') return undefined;
    const key = this.step(b!);
    const value = c && this.step(c);
    return (f) => {
      f.charge(2);
      const map = f.slots[slot] as EntryMap;
      if (value) map.insert(key(f), value(f));
      else insertAll(f, map, key(f));
      return map;
    };
  }
  #binding(expr: ComprehensionExpr): Step {
    const init = this.step(expr.accuInit);
    const slot = this.slots++;
    this.#lazy.set(slot, init);
    this.#scopes.push(new Map([[expr.accuVar, slot]]));
    const result = this.step(expr.result);
    this.#scopes.pop();
    return (f) => {
      f.slots[slot] = undefined;
      const out = result(f);
      f.slots[slot] = undefined;
      return out;
    };
  }
}

/** What does not depend on anything: literals, lists and maps of them, durations and timestamps from text. As in cel-go it costs nothing. */
function constantOf(expr: Expr): Value | undefined {
  switch (expr.kind) {
    case 'literal':
      return expr.value;
    case 'list': {
      const items = expr.elements.map(constantOf);
      return expr.optional.size || items.includes(undefined) ? undefined : new ArrayList(items as Value[]);
    }
    case 'map': {
      const out = new EntryMap();
      for (const entry of expr.entries) {
        const [key, value] = [constantOf(entry.key), constantOf(entry.value)];
        if (key === undefined || value === undefined || entry.optional || out.has(key) || typeof key === 'number') return undefined;
        out.insert(key, value);
      }
      return out;
    }
    case 'call': {
      const [arg] = expr.args;
      if (expr.target || arg?.kind !== 'literal' || typeof arg.value !== 'string') return undefined;
      if (expr.name === 'duration') return new Duration(parseDuration(arg.value));
      return expr.name === 'timestamp' ? new Timestamp(parseTimestamp(arg.value), offsetOf(arg.value)) : undefined;
    }
    default:
      return undefined;
  }
}
/** The accumulator's list or map is this evaluation's own. */
function fresh(value: Value): Value {
  if (value instanceof ArrayList && value.size === 0) return new ArrayList([]);
  return value instanceof EntryMap && value.size === 0 ? new EntryMap() : value;
}
function insertAll(f: Frame, map: EntryMap, entries: Value): void {
  if (!(entries instanceof MapValue)) throw noSuchOverload();
  f.labour(entries.size);
  for (const key of entries.keys()) map.insert(key, entries.get(key)!);
}
/** Calls `each` with item, index and item, key, or key and value, until it says false. */
function fold(f: Frame, over: Value, two: boolean, each: (a: Value, b: Value) => boolean): void {
  if (over instanceof ListValue) {
    for (let i = 0; i < over.size; i++) {
      f.labour(1);
      const item = over.get(i);
      if (!(two ? each(BigInt(i), item) : each(item, null))) return;
    }
    return;
  }
  if (!(over instanceof MapValue)) throw noSuchOverload();
  f.labour(over.size);
  for (const key of over.keys()) if (!each(key, two ? over.get(key)! : null)) return;
}
function selectOptional(optional: OptionalValue, field: Value): OptionalValue {
  const { value } = optional;
  if (value === undefined) return optional;
  if (!(value instanceof MapValue)) throw noSuchOverload();
  return new OptionalValue(value.get(field));
}

/** A side that decides wins over an error of the other. */
function logical(a: Step, b: Step, decisive: boolean): Step {
  return (f) => {
    let failure: CelError | undefined;
    let left: Value | undefined;
    try {
      left = a(f);
    } catch (err) {
      failure = outcomeOf(err);
    }
    if (left === decisive) return decisive;
    if (typeof left === 'boolean') {
      const right = b(f);
      if (typeof right === 'boolean') return right;
      throw noSuchOverload();
    }
    if (left !== undefined) failure = noSuchOverload();
    try {
      if (b(f) === decisive) return decisive;
    } catch (err) {
      outcomeOf(err);
    }
    throw failure;
  };
}
const and = (a: Step, b: Step): Step => logical(a, b, false);
const or = (a: Step, b: Step): Step => logical(a, b, true);

function equality(a: Step, b: Step, negate: boolean): Step {
  return (f) => {
    const x = a(f);
    const y = b(f);
    f.charge(Math.ceil(Math.min(sizeOf(x), sizeOf(y)) * 0.1));
    return equals(f, x, y) !== negate;
  };
}

function direct(overload: Overload, steps: readonly Step[]): Step {
  const { call, cost } = overload;
  const [a, b, c, d] = steps as unknown as readonly [Step, Step, Step, Step];
  if (typeof cost === 'number') {
    switch (steps.length) {
      case 0:
        return (f) => (f.charge(cost), call(f, null, null, null, null));
      case 1:
        return (f) => {
          const x = a(f);
          f.charge(cost);
          return call(f, x, null, null, null);
        };
      case 2:
        return (f) => {
          const x = a(f);
          const y = b(f);
          f.charge(cost);
          return call(f, x, y, null, null);
        };
      default:
        break;
    }
  }
  return (f) => {
    const x = a(f);
    const y = steps.length > 1 ? b(f) : null;
    const z = steps.length > 2 ? c(f) : null;
    const w = steps.length > 3 ? d(f) : null;
    f.charge(typeof cost === 'number' ? cost : cost(x, y, z, w));
    return call(f, x, y, z, w);
  };
}
/** Finds the overload by the values. */
function dispatch(overloads: readonly Overload[], steps: readonly Step[]): Step {
  return (f) => {
    const values: Value[] = [];
    for (const step of steps) values.push(step(f));
    const overload = overloads.find((o) => o.params.every((p, i) => accepts(p, values[i]!)));
    const [x = null, y = null, z = null, w = null] = values;
    if (!overload) {
      f.charge(1);
      throw noSuchOverload();
    }
    f.charge(typeof overload.cost === 'number' ? overload.cost : overload.cost(x, y, z, w));
    return overload.call(f, x, y, z, w);
  };
}
