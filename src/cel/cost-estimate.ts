/**
 * How much an expression can cost at most, from the sizes that a schema allows: a rule that may be too dear is refused before it is ever
 * run. Follows cel-go's checker/cost.go.
 */
import { ACCUMULATOR, UNUSED, type CallExpr, type ComprehensionExpr, type Expr } from './ast.ts';
import type { Checked } from './checker.ts';
import { ESTIMATES, type Operand } from './cost-functions.ts';
import { add, fixed, multiply, union, UNKNOWN, ZERO, type Range } from './cost-sizes.ts';
import { DYN, type CelType } from './types.ts';
import { codePoints, ListValue, MapValue } from './values.ts';

/** Sizes that are known from outside: `path` is `['self', 'tags', '@items']`. */
export type SizeEstimator = (path: readonly string[] | undefined, type: CelType) => Range | undefined;

/** The greatest cost of a program, in the units of its runs. */
export function estimateCost(checked: Checked, sizes: SizeEstimator): Range {
  return new Estimator(checked, sizes).cost(checked.expr);
}

interface Entry {
  readonly container: 'list' | 'map';
  readonly key: Range;
  readonly value: Range;
}
interface Local {
  readonly path: readonly string[] | undefined;
  readonly size: Range | undefined;
  readonly entry: Entry | undefined;
}

class Estimator {
  readonly #checked: Checked;
  readonly #external: SizeEstimator;
  readonly #costs = new Map<number, Range>();
  readonly #paths = new Map<number, readonly string[] | undefined>();
  readonly #sizes = new Map<number, Range>();
  readonly #entries = new Map<number, Entry>();
  readonly #locals = new Map<string, Local[]>();

  constructor(checked: Checked, external: SizeEstimator) {
    this.#checked = checked;
    this.#external = external;
  }
  /** Macros use a subtree twice: it is computed once. */
  cost(expr: Expr): Range {
    let known = this.#costs.get(expr.id);
    if (!known) {
      known = this.#cost(expr);
      this.#costs.set(expr.id, known);
    }
    return known;
  }
  #sum(exprs: readonly Expr[]): Range {
    return exprs.reduce((total, e) => add(total, this.cost(e)), ZERO);
  }

  #cost(expr: Expr): Range {
    switch (expr.kind) {
      case 'literal':
        return ZERO;
      case 'ident': {
        const local = this.#local(expr.name);
        this.#paths.set(expr.id, local ? local.path : [expr.name]);
        return fixed(1);
      }
      case 'select': {
        // `authorizer.requestResource` and `google.protobuf.Timestamp` are names, not fields.
        if (this.#checked.referenceOf(expr)) {
          this.#paths.set(expr.id, [expr.field]);
          return fixed(1);
        }
        const operand = this.cost(expr.operand);
        if (expr.testOnly) return operand;
        const path = this.#path(expr.operand);
        this.#paths.set(expr.id, [...(path ?? []), expr.field]);
        const { kind } = this.#checked.typeOf(expr.operand);
        return kind === 'map' || kind === 'object' || kind === 'param' ? add(operand, fixed(1)) : operand;
      }
      case 'call':
        return this.#call(expr);
      case 'list': {
        const cost = add(this.#sum(expr.elements), fixed(10));
        this.#entries.set(expr.id, { container: 'list', key: fixed(1), value: this.#unionOf(expr.elements) });
        return cost;
      }
      case 'map': {
        const cost = add(this.#sum(expr.entries.flatMap((e) => [e.key, e.value])), fixed(30));
        this.#entries.set(expr.id, { container: 'map', key: this.#unionOf(expr.entries.map((e) => e.key)), value: this.#unionOf(expr.entries.map((e) => e.value)) });
        return cost;
      }
      case 'struct':
        return add(this.#sum(expr.fields.map((f) => f.value)), fixed(40));
      case 'comprehension':
        return expr.iterVar === UNUSED ? this.#binding(expr) : this.#fold(expr);
    }
  }
  #unionOf(exprs: readonly Expr[]): Range {
    return exprs.length === 0 ? ZERO : exprs.map((e) => this.#size(e)).reduce(union);
  }

  #call(expr: CallExpr): Range {
    const args = expr.args.map((a) => this.cost(a));
    const target = expr.target && this.#checked.referenceOf(expr)?.kind === 'function' && !(this.#checked.referenceOf(expr) as { qualified: boolean }).qualified ? expr.target : undefined;
    const [a = ZERO, b = ZERO, c = ZERO] = args;
    const sum = add(target ? this.cost(target) : ZERO, args.reduce(add, ZERO));
    switch (expr.name) {
      case '_&&_':
      case '_||_':
        return { min: a.min, max: add(a, b).max };
      case '_?_:_': {
        this.#setSize(expr, union(this.#size(expr.args[1]!), this.#size(expr.args[2]!)));
        const [x, y] = [this.#entry(expr.args[1]!), this.#entry(expr.args[2]!)];
        if (x && y) this.#entries.set(expr.id, { container: x.container, key: union(x.key, y.key), value: union(x.value, y.value) });
        return add(a, union(b, c));
      }
      case 'dyn':
        this.#setSize(expr, this.#known(expr.args[0]!));
        return add(sum, fixed(1));
      case '_[_]':
        this.#indexed(expr);
        return add(sum, fixed(1));
      default:
        return add(sum, this.#function(expr, target));
    }
  }
  #indexed(expr: CallExpr): void {
    const container = expr.args[0]!;
    const path = this.#path(container);
    const { kind } = this.#checked.typeOf(container);
    this.#paths.set(expr.id, [...(path ?? []), kind === 'list' ? '@items' : '@values']);
    this.#setSize(expr, this.#entry(container)?.value ?? this.#known(expr));
  }
  #function(expr: CallExpr, target: Expr | undefined): Range {
    const reference = this.#checked.referenceOf(expr);
    const overloads = reference?.kind === 'function' ? reference.overloads : [];
    const given = target ? [target, ...expr.args] : expr.args;
    const operands = given.map((e) => this.#operand(e));
    const name = target || !reference ? expr.name : this.#qualifiedName(expr);
    const estimate = ESTIMATES[name];
    let cost: Range | undefined;
    let size: Range | undefined;
    for (const { id } of overloads) {
      const one = estimate ? estimate(operands, id) : { cost: fixed(1), size: undefined };
      cost = cost ? union(cost, one.cost) : one.cost;
      if (one.size) size = size ? union(size, one.size) : one.size;
    }
    if (expr.name === '_+_') {
      const [x, y] = [this.#entry(expr.args[0]!), this.#entry(expr.args[1]!)];
      if (x && y) this.#entries.set(expr.id, { container: x.container, key: union(x.key, y.key), value: union(x.value, y.value) });
    }
    this.#setSize(expr, size ?? this.#known(expr));
    return cost ?? fixed(1);
  }
  #qualifiedName(expr: CallExpr): string {
    const prefix = expr.target?.kind === 'ident' ? `${expr.target.name}.` : '';
    return `${prefix}${expr.name}`;
  }
  #operand(expr: Expr): Operand {
    const type = this.#checked.typeOf(expr);
    return { expr, type, size: this.#size(expr), item: () => this.#itemSize(expr, type) };
  }
  #itemSize(expr: Expr, type: CelType): Range {
    const path = this.#path(expr);
    return this.#external([...(path ?? []), '@items'], type.kind === 'list' ? type.item : DYN) ?? this.#entry(expr)?.value ?? UNKNOWN;
  }

  #fold(expr: ComprehensionExpr): Range {
    let total = add(this.cost(expr.range), this.cost(expr.accuInit));
    this.#push(expr.accuVar, { path: undefined, size: this.#known(expr.accuInit), entry: this.#entry(expr.accuInit) });
    const entry = this.#entry(expr.range);
    const container = entry?.container ?? this.#checked.typeOf(expr.range).kind;
    const path = this.#path(expr.range);
    const variable = (name: string, part: 'key' | 'value'): void => {
      const step = part === 'key' ? (container === 'list' ? '@indices' : '@keys') : container === 'list' ? '@items' : '@values';
      this.#push(name, { path: [...(path ?? []), step], size: entry?.[part], entry: undefined });
    };
    if (expr.iterVar2 !== undefined) {
      variable(expr.iterVar, 'key');
      variable(expr.iterVar2, 'value');
    } else variable(expr.iterVar, container === 'list' ? 'value' : 'key');
    const each = add(this.cost(expr.condition), this.cost(expr.step));
    this.#pop(expr.iterVar);
    if (expr.iterVar2 !== undefined) this.#pop(expr.iterVar2);
    total = add(total, this.cost(expr.result));
    this.#pop(expr.accuVar);
    const count = this.#size(expr.range);
    if (expr.accuInit.kind === 'literal') this.#setSize(expr, this.#known(expr.accuInit));
    else if (expr.accuInit.kind === 'list' || expr.accuInit.kind === 'map') {
      this.#setSize(expr, count);
      const grown = this.#entry(expr.step);
      if (grown) this.#entries.set(expr.id, grown);
    }
    return add(total, multiply(count, each));
  }
  #binding(expr: ComprehensionExpr): Range {
    const before = add(this.cost(expr.range), this.cost(expr.accuInit));
    this.#push(expr.accuVar, { path: this.#path(expr.accuInit), size: this.#known(expr.accuInit), entry: this.#entry(expr.accuInit) });
    const total = add(before, this.cost(expr.result));
    const [size, entry] = [this.#known(expr.result), this.#entry(expr.result)];
    this.#pop(expr.accuVar);
    this.#setSize(expr, size);
    if (entry) this.#entries.set(expr.id, entry);
    return total;
  }

  #push(name: string, local: Local): void {
    this.#locals.getOrInsertComputed(name, () => []).push(local);
  }
  #pop(name: string): void {
    this.#locals.get(name)?.pop();
  }
  #local(name: string): Local | undefined {
    return this.#locals.get(name)?.at(-1);
  }
  #path(expr: Expr): readonly string[] | undefined {
    if (expr.kind === 'ident' && expr.name === ACCUMULATOR) return undefined;
    return this.#paths.get(expr.id);
  }
  #entry(expr: Expr): Entry | undefined {
    return this.#entries.get(expr.id) ?? (expr.kind === 'ident' ? this.#local(expr.name)?.entry : undefined);
  }
  #setSize(expr: Expr, size: Range | undefined): void {
    if (size) this.#sizes.set(expr.id, size);
  }
  #size(expr: Expr): Range {
    return this.#known(expr) ?? UNKNOWN;
  }
  #known(expr: Expr): Range | undefined {
    const computed = this.#sizes.get(expr.id);
    if (computed) return computed;
    if (expr.kind === 'literal') return literalSize(expr);
    if (expr.kind === 'list') return fixed(expr.elements.length);
    if (expr.kind === 'map') return fixed(expr.entries.length);
    const type = this.#checked.typeOf(expr);
    const external = this.#external(this.#path(expr), type);
    if (external) return external;
    if (SCALARS.has(type.kind)) return fixed(1);
    return expr.kind === 'ident' ? this.#local(expr.name)?.size : undefined;
  }
}
const SCALARS: ReadonlySet<string> = new Set(['bool', 'int', 'uint', 'double', 'duration', 'timestamp', 'null']);
function literalSize({ value }: Extract<Expr, { kind: 'literal' }>): Range {
  if (typeof value === 'string') return fixed(codePoints(value));
  if (value instanceof Uint8Array) return fixed(value.length);
  return fixed(value instanceof ListValue || value instanceof MapValue ? value.size : 1);
}
