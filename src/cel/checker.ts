/**
 * The types of an expression: every variable, field and function must be declared, and some overload must fit. Messages are those of
 * cel-go. Source: the CEL language definition, "Gradual type checking".
 */
import { qualifiedName, type CallExpr, type ComprehensionExpr, type Expr, type ListExpr, type MapExpr, type SelectExpr, type StructExpr } from './ast.ts';
import type { Environment, StructMaker } from './environment.ts';
import type { Overload } from './functions.ts';
import type { CelIssue } from './issues.ts';
import { isMoreGeneral, TypeMapping } from './type-mapping.ts';
import { BOOL, DYN, ERROR, INT, isDyn, listOf, mapOf, optionalOf, showType, STRING, type CelType } from './types.ts';
import { typeOf } from './values.ts';

/** What a name or call refers to. */
export type Reference =
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'type'; readonly type: CelType }
  | { readonly kind: 'function'; readonly overloads: readonly Overload[]; /** The target is part of the function's name. */ readonly qualified: boolean };
export interface Checked {
  readonly expr: Expr;
  /** The type of the whole. */
  readonly type: CelType;
  typeOf(expr: Expr): CelType;
  referenceOf(expr: Expr): Reference | undefined;
  structOf(expr: StructExpr): StructMaker;
}
export type CheckResult = { readonly checked: Checked } | { readonly issues: readonly CelIssue[] };

export function check(expr: Expr, env: Environment): CheckResult {
  const checker = new Checker(env);
  checker.check(expr);
  return checker.issues.length ? { issues: checker.issues } : { checked: checker.result(expr) };
}

const MAX_ISSUES = 100;

class Checker {
  readonly issues: CelIssue[] = [];
  readonly #env: Environment;
  readonly #types = new Map<number, CelType>();
  readonly #references = new Map<number, Reference>();
  readonly #structs = new Map<number, StructMaker>();
  readonly #scopes: Map<string, CelType>[] = [];
  readonly #mapping = new TypeMapping();
  #fresh = 0;

  constructor(env: Environment) {
    this.#env = env;
  }
  result(expr: Expr): Checked {
    const closed = new Map([...this.#types].map(([id, type]) => [id, this.#mapping.substitute(type, true)]));
    return {
      expr,
      type: closed.get(expr.id) ?? DYN,
      typeOf: (e) => closed.get(e.id) ?? DYN,
      referenceOf: (e) => this.#references.get(e.id),
      structOf: (e) => this.#structs.get(e.id)!,
    };
  }
  check(expr: Expr): CelType {
    const known = this.#types.get(expr.id);
    if (known) return known;
    const type = this.#check(expr);
    this.#types.set(expr.id, type);
    return type;
  }

  #check(expr: Expr): CelType {
    switch (expr.kind) {
      case 'literal':
        return typeOf(expr.value);
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
  #issue(offset: number, message: string): CelType {
    if (this.issues.length < MAX_ISSUES) this.issues.push({ offset, message });
    return ERROR;
  }
  #param(): CelType {
    return { kind: 'param', name: `_var${this.#fresh++}` };
  }

  #lookup(expr: Expr, name: string): CelType | undefined {
    for (let i = this.#scopes.length - 1; i >= 0; i--) {
      const type = this.#scopes[i]!.get(name);
      if (type) return type;
    }
    const variable = this.#env.variable(name);
    if (variable) {
      this.#references.set(expr.id, { kind: 'variable', name });
      return variable;
    }
    const type = this.#env.typeNamed(name);
    if (!type) return undefined;
    this.#references.set(expr.id, { kind: 'type', type });
    return { kind: 'type', of: type };
  }
  #ident(expr: Extract<Expr, { kind: 'ident' }>): CelType {
    return this.#lookup(expr, expr.name) ?? this.#issue(expr.offset, `undeclared reference to '${expr.name}' (in container '')`);
  }

  #select(expr: SelectExpr): CelType {
    const name = qualifiedName(expr);
    if (name !== undefined && !this.#isLocal(name.split('.', 1)[0]!)) {
      const type = this.#lookup(expr, name);
      if (type) return type;
    }
    const target = this.#mapping.substitute(this.check(expr.operand), false);
    const optional = target.kind === 'opaque' && target.name === 'optional_type';
    const found = this.#field(expr, optional ? target.params[0]! : target, expr.field);
    if (expr.testOnly) return BOOL;
    return optional ? optionalOf(found) : found;
  }
  #isLocal(name: string): boolean {
    return this.#scopes.some((scope) => scope.has(name));
  }
  #field(at: Expr, target: CelType, field: string): CelType {
    switch (target.kind) {
      case 'map':
        return target.value;
      case 'object': {
        const declared = target.fields.get(field);
        if (declared) return declared.type;
        return target.open ? DYN : this.#issue(at.offset, `undefined field '${field}'`);
      }
      case 'param':
        // Whatever it becomes must have fields.
        this.#mapping.assignable(target, DYN);
        return DYN;
      case 'dyn':
        return DYN;
      case 'error':
        return target;
      default:
        return this.#issue(at.offset, `type '${showType(target)}' does not support field selection`);
    }
  }

  #call(expr: CallExpr): CelType {
    if (expr.name === '_?._') return this.#optionalSelect(expr);
    const args = expr.args.map((a) => a);
    if (!expr.target) {
      const overloads = this.#env.functions(expr.name);
      const types = args.map((a) => this.check(a));
      if (!overloads) return this.#issue(expr.offset, `undeclared reference to '${expr.name}' (in container '')`);
      return this.#resolve(expr, expr.name, overloads.filter((o) => !o.isMember), types, false);
    }
    const prefix = qualifiedName(expr.target);
    const qualified = prefix === undefined || this.#isLocal(prefix.split('.', 1)[0]!) ? undefined : this.#env.functions(`${prefix}.${expr.name}`);
    if (qualified) return this.#resolve(expr, `${prefix}.${expr.name}`, qualified, args.map((a) => this.check(a)), true);
    const types = [this.check(expr.target), ...args.map((a) => this.check(a))];
    const overloads = this.#env.functions(expr.name);
    if (!overloads) return this.#issue(expr.offset, `undeclared reference to '${expr.name}' (in container '')`);
    return this.#resolve(expr, expr.name, overloads.filter((o) => o.isMember), types, false, true);
  }
  #resolve(expr: CallExpr, name: string, overloads: readonly Overload[], given: readonly CelType[], qualified: boolean, isMember = false): CelType {
    if (name === '_&&_' || name === '_||_') return this.#logical(expr, overloads, given);
    const fitting: Overload[] = [];
    let result: CelType | undefined;
    for (const overload of overloads) {
      if (overload.params.length !== given.length) continue;
      const types = this.#instantiate([...overload.params, overload.result]);
      const wanted = types.slice(0, -1);
      if (!this.#mapping.assignableAll(given, wanted)) continue;
      fitting.push(overload);
      const type = this.#mapping.substitute(types.at(-1)!, false);
      if (result === undefined) result = type;
      else if (!isDyn(result) && !(isMoreGeneral(result, type) && isMoreGeneral(type, result))) result = DYN;
    }
    if (result === undefined) {
      const shown = given.map((t) => showType(this.#mapping.substitute(t, true)));
      const signature = isMember ? `${shown[0]}.(${shown.slice(1).join(', ')})` : `(${shown.join(', ')})`;
      return given.some((t) => t === ERROR) && this.issues.length ? ERROR : this.#issue(expr.offset, `found no matching overload for '${name}' applied to '${signature}'`);
    }
    this.#references.set(expr.id, { kind: 'function', overloads: fitting, qualified });
    return result;
  }
  /** Each operand is checked by itself. */
  #logical(expr: CallExpr, overloads: readonly Overload[], given: readonly CelType[]): CelType {
    const wrong = given.filter((type, i) => !this.#expect(expr.args[i]!, type, BOOL));
    if (wrong.length) return ERROR;
    this.#references.set(expr.id, { kind: 'function', overloads, qualified: false });
    return BOOL;
  }
  /** Fresh names for the type parameters of a signature. */
  #instantiate(types: readonly CelType[]): CelType[] {
    const names = new Map<string, CelType>();
    const walk = (type: CelType): CelType => {
      switch (type.kind) {
        case 'param':
          return names.getOrInsertComputed(type.name, () => this.#param());
        case 'list':
          return listOf(walk(type.item));
        case 'map':
          return mapOf(walk(type.key), walk(type.value));
        case 'opaque':
          return type.params.length ? { ...type, params: type.params.map(walk) } : type;
        case 'type':
          return { ...type, of: walk(type.of) };
        default:
          return type;
      }
    };
    return types.map(walk);
  }
  #optionalSelect(expr: CallExpr): CelType {
    const [operand, field] = expr.args;
    const target = this.#mapping.substitute(this.check(operand!), false);
    const inner = target.kind === 'opaque' && target.name === 'optional_type' ? target.params[0]! : target;
    this.check(field!);
    return optionalOf(this.#field(expr, inner, (field as { readonly value: string }).value));
  }

  /** The type of a literal's elements, from those before and the next. */
  #join(before: CelType | undefined, next: CelType): CelType {
    if (before === undefined) return next;
    if (!this.#mapping.assignable(next, before)) return DYN;
    return isMoreGeneral(next, before) ? next : before;
  }
  #unwrapOptional(at: Expr, optional: boolean, type: CelType): CelType {
    if (!optional || isDyn(type)) return type;
    const resolved = this.#mapping.substitute(type, false);
    if (resolved.kind === 'opaque' && resolved.name === 'optional_type') return resolved.params[0]!;
    return this.#issue(at.offset, `expected type '${showType(optionalOf(type))}' but found '${showType(type)}'`);
  }
  #list(expr: ListExpr): CelType {
    let item: CelType | undefined;
    for (const [i, element] of expr.elements.entries()) item = this.#join(item, this.#unwrapOptional(element, expr.optional.has(i), this.check(element)));
    return listOf(item ?? this.#param());
  }
  #map(expr: MapExpr): CelType {
    let key: CelType | undefined;
    let value: CelType | undefined;
    for (const entry of expr.entries) {
      key = this.#join(key, this.check(entry.key));
      value = this.#join(value, this.#unwrapOptional(entry.value, entry.optional, this.check(entry.value)));
    }
    return mapOf(key ?? this.#param(), value ?? this.#param());
  }
  #struct(expr: StructExpr): CelType {
    const maker = this.#env.structNamed(expr.typeName);
    if (!maker) {
      for (const field of expr.fields) this.check(field.value);
      return this.#issue(expr.offset, this.#env.typeNamed(expr.typeName) ? `'${expr.typeName}' is not a message type` : `undeclared reference to '${expr.typeName}' (in container '')`);
    }
    this.#structs.set(expr.id, maker);
    for (const field of expr.fields) {
      const wanted = maker.field(field.name);
      const given = this.#unwrapOptional(field.value, field.optional, this.check(field.value));
      if (!wanted) this.#issue(field.offset, `undefined field '${field.name}'`);
      else if (!this.#mapping.assignable(given, wanted)) this.#issue(field.offset, `expected type of field '${field.name}' is '${showType(wanted)}' but provided type is '${showType(this.#mapping.substitute(given, true))}'`);
    }
    return maker.type;
  }

  #comprehension(expr: ComprehensionExpr): CelType {
    const range = this.#mapping.substitute(this.check(expr.range), false);
    const accu = this.check(expr.accuInit);
    const [first, second] = this.#rangeVariables(expr, range);
    this.#scopes.push(new Map([[expr.accuVar, accu]]));
    this.#scopes.push(new Map([[expr.iterVar, first], ...(expr.iterVar2 === undefined ? [] : ([[expr.iterVar2, second]] as const))]));
    this.#expect(expr.condition, this.check(expr.condition), BOOL);
    this.#expect(expr.step, this.check(expr.step), accu);
    this.#scopes.pop();
    const result = this.check(expr.result);
    this.#scopes.pop();
    return this.#mapping.substitute(result, false);
  }
  #rangeVariables(expr: ComprehensionExpr, range: CelType): readonly [CelType, CelType] {
    const two = expr.iterVar2 !== undefined;
    switch (range.kind) {
      case 'list':
        return two ? [INT, range.item] : [range.item, DYN];
      case 'map':
        return [range.key, range.value];
      case 'param':
        this.#mapping.assignable(range, DYN);
        return [DYN, DYN];
      case 'object':
        if (range.open) return [STRING, DYN];
        break;
      case 'dyn':
      case 'error':
        return [DYN, DYN];
      default:
        break;
    }
    this.#issue(expr.range.offset, `expression of type '${showType(range)}' cannot be range of a comprehension (must be list, map, or dynamic)`);
    return [ERROR, ERROR];
  }
  #expect(at: Expr, actual: CelType, wanted: CelType): boolean {
    if (this.#mapping.assignable(actual, wanted)) return true;
    this.#issue(at.offset, `expected type '${showType(this.#mapping.substitute(wanted, true))}' but found '${showType(this.#mapping.substitute(actual, true))}'`);
    return false;
  }
}
