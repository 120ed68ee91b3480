/**
 * Macros: calls that the parser rewrites. Source: the CEL language definition, "Macros"; cel-go's extensions for optional values, two-variable
 * comprehensions and bindings; Kubernetes' `sortBy` of the lists extension.
 */
import { ACCUMULATOR, UNUSED, type Expr } from './ast.ts';
import type { Value } from './values.ts';

/** Makes nodes at the place of the macro. */
export interface MacroFactory {
  literal(value: Value): Expr;
  ident(name: string): Expr;
  call(name: string, ...args: readonly Expr[]): Expr;
  member(name: string, target: Expr, ...args: readonly Expr[]): Expr;
  list(...elements: readonly Expr[]): Expr;
  map(): Expr;
  presence(operand: Expr, field: string): Expr;
  fold(fold: Fold): Expr;
  /** Refuses the macro at an argument. */
  fail(at: Expr, message: string): never;
}
export interface Fold {
  readonly range: Expr;
  readonly iterVar: string;
  readonly iterVar2?: string | undefined;
  readonly accuVar?: string;
  readonly init: Expr;
  readonly condition: Expr;
  readonly step: Expr;
  readonly result: Expr;
}
export interface Macro {
  readonly name: string;
  readonly isMember: boolean;
  readonly argCount: number;
  /** Undefined: not for these arguments, it stays a call. */
  expand(make: MacroFactory, target: Expr, args: readonly Expr[]): Expr | undefined;
}

function variable(make: MacroFactory, arg: Expr, message = 'argument must be a simple name'): string {
  if (arg.kind !== 'ident') return make.fail(arg, message);
  if (arg.name === ACCUMULATOR || arg.name === '__result__') return make.fail(arg, 'iteration variable overwrites accumulator variable');
  return arg.name;
}
interface Variables {
  readonly iterVar: string;
  readonly iterVar2: string | undefined;
}
/** The one or two names in front. */
function variables(make: MacroFactory, args: readonly Expr[], count: 1 | 2): Variables {
  const iterVar = variable(make, args[0]!);
  if (count === 1) return { iterVar, iterVar2: undefined };
  const iterVar2 = variable(make, args[1]!);
  if (iterVar === iterVar2) make.fail(args[1]!, `duplicate variable name: ${iterVar}`);
  return { iterVar, iterVar2 };
}

type Build = (make: MacroFactory, range: Expr, vars: Variables, rest: readonly Expr[]) => Expr;
const accu = (make: MacroFactory): Expr => make.ident(ACCUMULATOR);
const yes = (make: MacroFactory): Expr => make.literal(true);

const all: Build = (make, range, vars, [predicate]) =>
  make.fold({ ...vars, range, init: yes(make), condition: make.call('@not_strictly_false', accu(make)), step: make.call('_&&_', accu(make), predicate!), result: accu(make) });
const exists: Build = (make, range, vars, [predicate]) =>
  make.fold({ ...vars, range, init: make.literal(false), condition: make.call('@not_strictly_false', make.call('!_', accu(make))), step: make.call('_||_', accu(make), predicate!), result: accu(make) });
const existsOne: Build = (make, range, vars, [predicate]) =>
  make.fold({
    ...vars, range, init: make.literal(0n), condition: yes(make),
    step: make.call('_?_:_', predicate!, make.call('_+_', accu(make), make.literal(1n)), accu(make)), result: make.call('_==_', accu(make), make.literal(1n)),
  });
/** Gathers into the accumulator what `step` makes of it, where the filter in front (if there is one) holds. */
function gather(init: (make: MacroFactory) => Expr, step: (make: MacroFactory, vars: Variables, value: Expr) => Expr): Build {
  return (make, range, vars, rest) => {
    const value = rest.at(-1)!;
    const grown = step(make, vars, value);
    const filtered = rest.length === 2 ? make.call('_?_:_', rest[0]!, grown, accu(make)) : grown;
    return make.fold({ ...vars, range, init: init(make), condition: yes(make), step: filtered, result: accu(make) });
  };
}
const toList = gather((make) => make.list(), (make, _vars, value) => make.call('_+_', accu(make), make.list(value)));
const toMap = gather((make) => make.map(), (make, vars, value) => make.call('cel.@mapInsert', accu(make), make.ident(vars.iterVar), value));
const toMapEntries = gather((make) => make.map(), (make, _vars, value) => make.call('cel.@mapInsert', accu(make), value));
const filter: Build = (make, range, vars, [predicate]) =>
  make.fold({ ...vars, range, init: make.list(), condition: yes(make), step: make.call('_?_:_', predicate!, make.call('_+_', accu(make), make.list(make.ident(vars.iterVar))), accu(make)), result: accu(make) });

function comprehension(name: string, count: 1 | 2, build: Build, ...bodies: readonly number[]): Macro[] {
  return bodies.map((body) => ({
    name, isMember: true, argCount: count + body,
    expand: (make, target, args) => build(make, target, variables(make, args, count), args.slice(count)),
  }));
}

/** `var` stands for `value` in `body`; computed when it is first read. */
function bind(make: MacroFactory, name: string, value: Expr, body: Expr): Expr {
  return make.fold({ range: make.list(), iterVar: UNUSED, accuVar: name, init: value, condition: make.literal(false), step: make.ident(name), result: body });
}
const has: Macro = {
  name: 'has', isMember: false, argCount: 1,
  expand: (make, _target, [arg]) => (arg!.kind === 'select' && !arg!.testOnly ? make.presence(arg!.operand, arg!.field) : make.fail(arg!, 'invalid argument to has() macro')),
};
export const STANDARD_MACROS: readonly Macro[] = [
  has,
  ...comprehension('all', 1, all, 1),
  ...comprehension('exists', 1, exists, 1),
  ...comprehension('exists_one', 1, existsOne, 1),
  ...comprehension('existsOne', 1, existsOne, 1),
  ...comprehension('map', 1, toList, 1, 2),
  ...comprehension('filter', 1, filter, 1),
];
export const TWO_VARIABLE_MACROS: readonly Macro[] = [
  ...comprehension('all', 2, all, 1),
  ...comprehension('exists', 2, exists, 1),
  ...comprehension('exists_one', 2, existsOne, 1),
  ...comprehension('existsOne', 2, existsOne, 1),
  ...comprehension('transformList', 2, toList, 1, 2),
  ...comprehension('transformMap', 2, toMap, 1, 2),
  ...comprehension('transformMapEntry', 2, toMapEntries, 1, 2),
];
function optionalMap(name: string, wrap: (make: MacroFactory, body: Expr) => Expr): Macro {
  return {
    name, isMember: true, argCount: 2,
    expand: (make, target, [arg, body]) => {
      const variableName = variable(make, arg!, `${name}() variable name must be a simple identifier`);
      const value = wrap(make, bind(make, variableName, make.member('value', target), body!));
      return make.call('_?_:_', make.member('hasValue', target), value, make.call('optional.none'));
    },
  };
}
export const OPTIONAL_MACROS: readonly Macro[] = [optionalMap('optMap', (make, body) => make.call('optional.of', body)), optionalMap('optFlatMap', (_make, body) => body)];
export const BINDING_MACROS: readonly Macro[] = [
  {
    name: 'bind', isMember: true, argCount: 3,
    expand: (make, target, [name, value, body]) => {
      if (target.kind !== 'ident' || target.name !== 'cel') return undefined;
      return bind(make, variable(make, name!, 'cel.bind() variable names must be simple identifiers'), value!, body!);
    },
  },
];
/** `list.sortBy(e, key)`: the keys are computed once, then the list is sorted by them. */
export const LIST_MACROS: readonly Macro[] = [
  {
    name: 'sortBy', isMember: true, argCount: 2,
    expand: (make, target, [name, key]) => {
      const iterVar = variable(make, name!, 'sortBy can only be applied to a list, identifier, comprehension, call or select expression');
      const bound = '@__sortBy_input__';
      const keys = toList(make, make.ident(bound), { iterVar, iterVar2: undefined }, [key!]);
      return bind(make, bound, target, make.member('@sortByAssociatedKeys', make.ident(bound), keys));
    },
  },
];
