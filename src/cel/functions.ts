/** How functions are declared: overloads by signature, what each computes and what it costs. */
import type { Frame } from './frame.ts';
import { BOOL, BYTES, DOUBLE, DURATION, DYN, INT, listOf, mapOf, NULL, opaque, STRING, TIMESTAMP, UINT, type CelType } from './types.ts';
import { ListValue, MapValue, OptionalValue, typeOf, TypeValue, type Value } from './values.ts';

/** A member's first argument is its target. Arguments that an overload does not have are undefined and not looked at. */
export type Implementation = (f: Frame, a: Value, b: Value, c: Value, d: Value) => Value;
/** Units of a call in cel-go's cost model, from its arguments. */
export type CallCost = number | ((a: Value, b: Value, c: Value, d: Value) => number);
export interface Overload {
  /** cel-go's overload id. */
  readonly id: string;
  readonly isMember: boolean;
  readonly params: readonly CelType[];
  readonly result: CelType;
  readonly cost: CallCost;
  readonly call: Implementation;
}
export interface FunctionDeclaration {
  readonly name: string;
  readonly overloads: readonly Overload[];
}

const NAMED: Readonly<Record<string, CelType>> = {
  dyn: DYN, null: NULL, bool: BOOL, int: INT, uint: UINT, double: DOUBLE, string: STRING, bytes: BYTES, duration: DURATION, timestamp: TIMESTAMP,
};
/** `list<A>`, `map<string, int>`, `optional_type<A>`, `type<A>`, `net.IP`; single capitals are type parameters. */
function parseTypes(text: string): CelType[] {
  const tokens = text.match(/[\w.]+|[<>,]/g) ?? [];
  let at = 0;
  const one = (): CelType => {
    const name = tokens[at++]!;
    const params: CelType[] = [];
    if (tokens[at] === '<') {
      do {
        at++;
        params.push(one());
      } while (tokens[at] === ',');
      at++;
    }
    if (/^[A-Z]$/.test(name)) return { kind: 'param', name };
    if (name === 'list') return listOf(params[0]!);
    if (name === 'map') return mapOf(params[0]!, params[1]!);
    if (name === 'type') return { kind: 'type', of: params[0]! };
    return NAMED[name] ?? opaque(name, ...params);
  };
  const out: CelType[] = [];
  while (at < tokens.length) {
    out.push(one());
    if (tokens[at] === ',') at++;
  }
  return out;
}
function overload(isMember: boolean, id: string, signature: string, call: Implementation, cost: CallCost): Overload {
  const [params = '', result = ''] = signature.split('->');
  return { id, isMember, params: parseTypes(params), result: parseTypes(result)[0]!, cost, call };
}
/** A global function's overload: `'string, int -> bool'`. */
export function plain(id: string, signature: string, call: Implementation, cost: CallCost = 1): Overload {
  return overload(false, id, signature, call, cost);
}
/** A member's overload; its first parameter is the target. */
export function member(id: string, signature: string, call: Implementation, cost: CallCost = 1): Overload {
  return overload(true, id, signature, call, cost);
}
export function declare(name: string, ...overloads: readonly Overload[]): FunctionDeclaration {
  return { name, overloads };
}

/** Whether a value may be an argument where `type` is declared. */
export function accepts(type: CelType, value: Value): boolean {
  switch (type.kind) {
    case 'dyn':
    case 'param':
      return true;
    case 'list':
      return value instanceof ListValue;
    case 'map':
    case 'object':
      return value instanceof MapValue;
    case 'type':
      return value instanceof TypeValue;
    case 'opaque': {
      if (type.name === 'optional_type') return value instanceof OptionalValue;
      const actual = typeOf(value);
      return actual.kind === 'opaque' && actual.name === type.name;
    }
    default:
      return typeOf(value).kind === type.kind;
  }
}
