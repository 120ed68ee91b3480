/** What calls may cost at most, where that is not one unit. Numbers: cel-go's checker/cost.go and Kubernetes' cost library, which are part of the API: a rule is accepted or not by them. */
import type { Expr } from './ast.ts';
import { add, fixed, MAX, multiply, scale, UNKNOWN, ZERO, type Range } from './cost-sizes.ts';
import type { CelType } from './types.ts';

export interface CallEstimate {
  readonly cost: Range;
  readonly size?: Range | undefined;
}
/** A value that a call is given. */
export interface Operand {
  readonly expr: Expr;
  readonly type: CelType;
  readonly size: Range;
  /** Of an item, for lists. */
  readonly item: () => Range;
}
/** `args` begin with the target for members. */
export type Estimate = (args: readonly Operand[], overload: string) => CallEstimate;

const STRING = 0.1;
const PATTERN = 0.25;
const one = fixed(1);
const size = (o: Operand | undefined): Range => o?.size ?? UNKNOWN;
const scan = (index: number, factor = STRING): Estimate => (args) => ({ cost: scale(size(args[index]), factor) });
const scanSame: Estimate = ([a]) => ({ cost: scale(size(a), STRING), size: size(a) });
const flat = (units: number): Estimate => () => ({ cost: fixed(units) });

const listSearch: Estimate = ([list]) => {
  if (list?.type.kind !== 'list') return { cost: scale(size(list), STRING) };
  const { item } = list.type;
  const each = item.kind === 'string' || item.kind === 'bytes' ? add(one, scale(list.item(), STRING)) : one;
  return { cost: multiply(size(list), each) };
};
const regex: Estimate = ([text, pattern]) => ({ cost: multiply(scale(add(size(text), one), STRING), scale(size(pattern), PATTERN)) });
const find: Estimate = (args, overload) => ({ ...regex(args, overload), size: { min: 0, max: size(args[0]).max } });
const replace: Estimate = ([text, from, to]) => {
  const [s, old, next] = [size(text), size(from), size(to)];
  let [countMax, keptMax, countMin, keptMin] = [0, 0, 0, 0];
  if (old.min === 0) [countMax, keptMax] = [Math.min(s.max + 1, MAX), s.max];
  else if (next.max <= old.min) keptMax = s.max;
  else countMax = Math.ceil(s.max / old.min);
  if (old.max === 0) [countMin, keptMin] = [Math.min(s.min + 1, MAX), s.min];
  else if (old.max <= next.min) keptMin = s.min;
  else countMin = Math.ceil(s.min / old.max);
  return { cost: scale(s, 2 * STRING), size: add(multiply({ min: countMin, max: countMax }, next), { min: keptMin, max: keptMax }) };
};
const split: Estimate = ([text, , limit]) => {
  const s = size(text);
  const most = limit?.expr.kind === 'literal' && typeof limit.expr.value === 'bigint' && limit.expr.value >= 0n ? Number(limit.expr.value) : s.max;
  return { cost: scale(s, 2 * STRING), size: { min: 0, max: most } };
};
const join: Estimate = ([list, separator]) => {
  const count = size(list);
  let total = list?.type.kind === 'list' ? multiply(count, list.item()) : ZERO;
  if (separator) total = add(total, multiply(separator.size, { min: Math.max(0, count.min - 1), max: Math.max(0, count.max - 1) }));
  return { cost: scale(total, STRING), size: total };
};
const literalInt = (o: Operand | undefined, otherwise: number): number => (o?.expr.kind === 'literal' && typeof o.expr.value === 'bigint' ? Number(o.expr.value) : otherwise);
function allocating(factor: number, of: Range): CallEstimate {
  return { cost: add(scale(of, factor), fixed(11)), size: of };
}
const sortFactor = (type: CelType | undefined): number => (type?.kind === 'list' && (type.item.kind === 'string' || type.item.kind === 'bytes') ? 2.1 : 2);
const sets = (factor: number): Estimate => ([a, b]) => ({ cost: add(scale(multiply(size(a), size(b)), factor), one) });
const selector: Estimate = ([, text]) => ({ cost: add(add(fixed(10), scale(size(text), STRING)), scale(scale(size(text), 0.5), 50)) });
const IP_COMPARE = scale({ min: 8, max: 32 }, STRING);
const smallest: Estimate = ([a, b]) => {
  const most = Math.min(size(a).max, size(b).max);
  return { cost: scale({ min: most > 0 ? 1 : 0, max: most }, STRING) };
};
const concat: Estimate = ([a, b], overload) => {
  const total = add(size(a), size(b));
  if (overload === 'add_list') return { cost: one, size: total };
  return overload === 'add_string' || overload === 'add_bytes' ? { cost: scale(total, STRING), size: total } : { cost: one };
};
const order: Estimate = (args, overload) => (/_(?:string|bytes)$/.test(overload) ? smallest(args, overload) : { cost: one });
const OPAQUE_EQUAL: ReadonlySet<string> = new Set(['net.IP', 'net.CIDR', 'kubernetes.Quantity', 'kubernetes.Semver']);
const equal: Estimate = (args, overload) => {
  const type = args[0]?.type;
  return type?.kind === 'opaque' && OPAQUE_EQUAL.has(type.name) ? { cost: one } : smallest(args, overload);
};

export const ESTIMATES: Readonly<Record<string, Estimate>> = {
  '_+_': concat,
  '_==_': equal, '_!=_': smallest, '_<_': order, '_<=_': order, '_>_': order, '_>=_': order,
  '@in': ([, list], overload) => ({ cost: overload === 'in_list' ? size(list) : one }),
  string: ([a], overload) => (overload === 'bytes_to_string' ? { cost: scale(size(a), STRING), size: { min: Math.floor(size(a).min / 4), max: size(a).max } } : { cost: one }),
  bytes: ([a], overload) => (overload === 'string_to_bytes' ? { cost: scale(size(a), STRING), size: { min: size(a).min, max: Math.min(MAX, size(a).max * 4) } } : { cost: one }),
  startsWith: scan(1), endsWith: scan(1),
  contains: ([text, part]) => ({ cost: multiply(scale(size(text), STRING), scale(size(part), STRING)) }),
  matches: regex, find, findAll: find,
  check: flat(350_000), fieldSelector: selector, labelSelector: selector,
  isSorted: listSearch, sum: listSearch, max: listSearch, min: listSearch, indexOf: listSearch, lastIndexOf: listSearch,
  url: scanSame, 'jsonpatch.escapeKey': scanSame, lowerAscii: scanSame, upperAscii: scanSame, substring: scanSame, trim: scanSame,
  replace, split, join,
  format: scan(0),
  'strings.quote': ([a]) => ({ cost: scale(size(a), STRING), size: { min: size(a).min + 2, max: Math.min(MAX, size(a).max * 2 + 2) } }),
  cidr: scan(0), isIP: scan(0), isCIDR: scan(0), quantity: scan(0), isQuantity: scan(0), semver: scan(0), isSemver: scan(0), 'ip.isCanonical': scan(0, 2 * STRING),
  ip: (args, overload) => (overload === 'cidr_ip' ? { cost: one } : scan(0)(args, overload)),
  containsIP: ([, other], overload) => ({ cost: overload === 'cidr_contains_ip_string' ? add(IP_COMPARE, scale(size(other), STRING)) : IP_COMPARE }),
  containsCIDR: ([, other], overload) => {
    const base = add(add(IP_COMPARE, scale({ min: 4, max: 16 }, STRING)), one);
    return { cost: overload === 'cidr_contains_cidr_string' ? add(base, scale(size(other), STRING)) : base };
  },
  validate: ([, text]) => ({ cost: scale(scale(size(text), STRING), 128 * PATTERN) }),
  slice: ([list, from, to]) => allocating(1, fixed(Math.max(0, literalInt(to, size(list).max) - literalInt(from, 0)))),
  'lists.range': ([count]) => allocating(1, fixed(literalInt(count, MAX))),
  reverse: ([list]) => allocating(1, size(list)),
  flatten: ([list, depth]) => allocating(depth ? literalInt(depth, MAX) : 1, size(list)),
  distinct: ([list]) => allocating(2, multiply(size(list), size(list))),
  sort: ([list]) => allocating(sortFactor(list?.type), multiply(size(list), size(list))),
  '@sortByAssociatedKeys': ([, keys]) => allocating(sortFactor(keys?.type), multiply(size(keys), size(keys))),
  'sets.contains': sets(1), 'sets.intersects': sets(1), 'sets.equivalent': sets(2),
};
