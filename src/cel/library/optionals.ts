/** Optional values. Source: cel-go's optional types (CEL's proposal 246). */
import { CelError } from '../errors.ts';
import { declare, member, plain, type FunctionDeclaration, type Implementation } from '../functions.ts';
import { ArrayList, Duration, ListValue, MapValue, OptionalValue, Timestamp, Uint, type Value } from '../values.ts';

function isZero(value: Value): boolean {
  if (value === null || value === false || value === 0n || value === 0 || value === '') return true;
  if (value instanceof ListValue || value instanceof MapValue) return value.size === 0;
  if (value instanceof Uint) return value.value === 0n;
  if (value instanceof Duration || value instanceof Timestamp) return value.nanos === 0n;
  return value instanceof Uint8Array && value.length === 0;
}
const of: Implementation = (_f, a) => new OptionalValue(a);
const value: Implementation = (_f, a) => {
  const inner = (a as OptionalValue).value;
  if (inner === undefined) throw new CelError('optional.none() dereference');
  return inner;
};
const or: Implementation = (_f, a, b) => ((a as OptionalValue).value === undefined ? b : a);
const orValue: Implementation = (_f, a, b) => (a as OptionalValue).value ?? ((a as OptionalValue).value === null ? null : b);
const unwrap: Implementation = (_f, a) => new ArrayList([...(a as ListValue)].flatMap((item) => (item instanceof OptionalValue && item.value !== undefined ? [item.value] : [])));
const at = (index: (size: number) => number): Implementation => (_f, a) => {
  const items = a as ListValue;
  return items.size === 0 ? OptionalValue.NONE : new OptionalValue(items.get(index(items.size)));
};

export const OPTIONALS: readonly FunctionDeclaration[] = [
  declare('optional.of', plain('optional_of', 'V -> optional_type<V>', of)),
  declare('optional.ofNonZeroValue', plain('optional_ofNonZeroValue', 'V -> optional_type<V>', (_f, a) => (isZero(a) ? OptionalValue.NONE : new OptionalValue(a)))),
  declare('optional.none', plain('optional_none', ' -> optional_type<V>', () => OptionalValue.NONE)),
  declare('value', member('optional_value', 'optional_type<V> -> V', value)),
  declare('hasValue', member('optional_hasValue', 'optional_type<V> -> bool', (_f, a) => (a as OptionalValue).value !== undefined)),
  declare('or', member('optional_or_optional', 'optional_type<V>, optional_type<V> -> optional_type<V>', or)),
  declare('orValue', member('optional_orValue_value', 'optional_type<V>, V -> V', orValue)),
  declare('optional.unwrap', plain('optional_unwrap', 'list<optional_type<V>> -> list<V>', unwrap)),
  declare('unwrapOpt', member('optional_unwrapOpt', 'list<optional_type<V>> -> list<V>', unwrap)),
  declare('first', member('list_first', 'list<V> -> optional_type<V>', at(() => 0))),
  declare('last', member('list_last', 'list<V> -> optional_type<V>', at((size) => size - 1))),
  declare('_?._', plain('select_optional_field', 'dyn, string -> optional_type<dyn>', () => OptionalValue.NONE)),
];
