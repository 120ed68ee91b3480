/** `kubernetes.Quantity`. */
import { parseQuantity, quantityOf, type Quantity } from '#machinery/quantity.ts';
import { CelError } from '../errors.ts';
import { declare, member, plain, type CallCost, type FunctionDeclaration, type Implementation } from '../functions.ts';
import { opaque, type CelType } from '../types.ts';
import { OpaqueValue, sizeOf, type Value } from '../values.ts';

export const QUANTITY_TYPE = opaque('kubernetes.Quantity');
const Q = QUANTITY_TYPE.kind === 'opaque' ? QUANTITY_TYPE.name : '';

export class QuantityValue extends OpaqueValue {
  readonly quantity: Quantity;
  constructor(quantity: Quantity) {
    super();
    this.quantity = quantity;
  }
  get type(): CelType {
    return QUANTITY_TYPE;
  }
  equals(other: OpaqueValue): boolean {
    return other instanceof QuantityValue && this.quantity.equals(other.quantity);
  }
}
const q = (value: Value): Quantity => (value as QuantityValue).quantity;
const amount = (value: Value): Quantity => (typeof value === 'bigint' ? quantityOf(value) : q(value));
const cost: CallCost = (a) => Math.ceil(sizeOf(a) * 0.1);
function isQuantity(text: string): boolean {
  try {
    parseQuantity(text);
    return true;
  } catch {
    return false;
  }
}
const toQuantity: Implementation = (_f, a) => {
  try {
    return new QuantityValue(parseQuantity(a as string));
  } catch (err) {
    throw new CelError((err as Error).message);
  }
};
/** Whether the amount is a whole number that fits int64. */
function isInteger(value: Quantity): boolean {
  return quantityOf(value.value()).equals(value);
}
const asInteger: Implementation = (_f, a) => {
  if (!isInteger(q(a))) throw new CelError('cannot convert value to integer');
  return q(a).value();
};
const add: Implementation = (_f, a, b) => new QuantityValue(q(a).add(amount(b)));
const sub: Implementation = (_f, a, b) => new QuantityValue(q(a).sub(amount(b)));

export const QUANTITIES: readonly FunctionDeclaration[] = [
  declare('quantity', plain('string_to_quantity', `string -> ${Q}`, toQuantity, cost)),
  declare('isQuantity', plain('is_quantity_string', 'string -> bool', (_f, a) => isQuantity(a as string), cost)),
  declare('sign', plain('quantity_sign', `${Q} -> int`, (_f, a) => BigInt(q(a).sign()))),
  declare('isGreaterThan', member('quantity_is_greater_than', `${Q}, ${Q} -> bool`, (_f, a, b) => q(a).cmp(q(b)) > 0)),
  declare('isLessThan', member('quantity_is_less_than', `${Q}, ${Q} -> bool`, (_f, a, b) => q(a).cmp(q(b)) < 0)),
  declare('compareTo', member('quantity_compare_to', `${Q}, ${Q} -> int`, (_f, a, b) => BigInt(q(a).cmp(q(b))))),
  declare('asApproximateFloat', member('quantity_get_float', `${Q} -> double`, (_f, a) => q(a).toNumber())),
  declare('asInteger', member('quantity_get_int', `${Q} -> int`, asInteger)),
  declare('isInteger', member('quantity_is_integer', `${Q} -> bool`, (_f, a) => isInteger(q(a)))),
  declare('add', member('quantity_add', `${Q}, ${Q} -> ${Q}`, add), member('quantity_add_int', `${Q}, int -> ${Q}`, add)),
  declare('sub', member('quantity_sub', `${Q}, ${Q} -> ${Q}`, sub), member('quantity_sub_int', `${Q}, int -> ${Q}`, sub)),
];
