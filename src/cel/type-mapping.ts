/** Type parameters and what they stand for. Source: the CEL language definition, "Gradual type checking"; cel-go's rules of agreement. */
import { DYN, isDyn, type CelType } from './types.ts';

function paramsOf(type: CelType): readonly CelType[] {
  switch (type.kind) {
    case 'list':
      return [type.item];
    case 'map':
      return [type.key, type.value];
    case 'opaque':
      return type.params;
    case 'type':
      return [type.of];
    default:
      return [];
  }
}
function withParams(type: CelType, params: readonly CelType[]): CelType {
  switch (type.kind) {
    case 'list':
      return { ...type, item: params[0]! };
    case 'map':
      return { ...type, key: params[0]!, value: params[1]! };
    case 'opaque':
      return { ...type, params };
    case 'type':
      return { ...type, of: params[0]! };
    default:
      return type;
  }
}
const nameIn = (type: CelType): string => ('name' in type ? type.name : type.kind);

export function sameType(a: CelType, b: CelType): boolean {
  if (a === b) return true;
  if (a.kind !== b.kind || nameIn(a) !== nameIn(b)) return false;
  const [x, y] = [paramsOf(a), paramsOf(b)];
  return x.length === y.length && x.every((p, i) => sameType(p, y[i]!));
}
/** Where a type takes null: messages in protobuf's sense. */
function takesNull(type: CelType): boolean {
  return type.kind === 'null' || type.kind === 'opaque' || type.kind === 'object' || type.kind === 'duration' || type.kind === 'timestamp';
}

export class TypeMapping {
  readonly #known = new Map<string, CelType>();
  /** What was learned since the question under way began, with what was known before: a question that fails is undone. */
  #journal: [name: string, before: CelType | undefined][] = [];

  /** The type with parameters replaced by what they stand for; free ones become dyn when `close`. */
  substitute(type: CelType, close: boolean): CelType {
    if (type.kind === 'param') {
      const sub = this.#known.get(type.name);
      if (sub !== undefined) return this.substitute(sub, close);
      return close ? DYN : type;
    }
    const params = paramsOf(type);
    return params.length === 0 ? type : withParams(type, params.map((p) => this.substitute(p, close)));
  }

  /** Whether a value of `from` may stand where `to` is wanted; learns what parameters stand for. On false nothing is learned. */
  assignable(from: CelType, to: CelType): boolean {
    return this.assignableAll([from], [to]);
  }
  assignableAll(from: readonly CelType[], to: readonly CelType[]): boolean {
    this.#journal = [];
    if (this.#all(from, to)) return true;
    for (const [name, before] of this.#journal.toReversed()) {
      if (before === undefined) this.#known.delete(name);
      else this.#known.set(name, before);
    }
    return false;
  }
  #learn(name: string, type: CelType): void {
    this.#journal.push([name, this.#known.get(name)]);
    this.#known.set(name, type);
  }

  #all(from: readonly CelType[], to: readonly CelType[]): boolean {
    return from.length === to.length && from.every((t, i) => this.#one(t, to[i]!));
  }
  #one(a: CelType, b: CelType): boolean {
    if (b.kind === 'param') {
      const { valid, bound } = this.#substitution(a, b);
      if (valid) return true;
      if (bound) return false;
    }
    if (a.kind === 'param') return this.#substitution(b, a).valid;
    if (isDyn(a) || isDyn(b)) return true;
    if (a.kind === 'null') return takesNull(b);
    if (b.kind === 'null') return takesNull(a);
    return a.kind === b.kind && nameIn(a) === nameIn(b) && this.#all(paramsOf(a), paramsOf(b));
  }
  #substitution(type: CelType, param: Extract<CelType, { kind: 'param' }>): { readonly valid: boolean; readonly bound: boolean } {
    if (sameType(type, param)) return { valid: true, bound: true };
    const sub = this.#known.get(param.name);
    if (sub !== undefined) {
      if (sameType(type, sub)) return { valid: true, bound: true };
      if (!this.#one(type, sub)) return { valid: false, bound: true };
      const general = isMoreGeneral(type, sub) ? type : sub;
      if (!this.#occurs(param, general)) this.#learn(param.name, general);
      return { valid: true, bound: true };
    }
    if (this.#occurs(param, type)) return { valid: false, bound: false };
    this.#learn(param.name, type);
    return { valid: true, bound: false };
  }
  #occurs(param: Extract<CelType, { kind: 'param' }>, within: CelType): boolean {
    if (within.kind === 'param') {
      if (within.name === param.name) return true;
      const sub = this.#known.get(within.name);
      return sub !== undefined && this.#occurs(param, sub);
    }
    return paramsOf(within).some((p) => this.#occurs(param, p));
  }
}

/** `a` is `b` or takes more. */
export function isMoreGeneral(a: CelType, b: CelType): boolean {
  if (isDyn(a) || a.kind === 'param') return true;
  if (isDyn(b) || b.kind === 'param') return false;
  if (a.kind === 'null') return false;
  if (b.kind === 'null') return takesNull(a);
  if (a.kind !== b.kind || nameIn(a) !== nameIn(b)) return false;
  const [x, y] = [paramsOf(a), paramsOf(b)];
  return x.length === y.length && x.every((p, i) => isMoreGeneral(p, y[i]!));
}
