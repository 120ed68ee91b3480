/** How much of a device's capacity one request may take, where several can share the device. */
import type { CapacityRequestPolicy, CapacityRequestPolicyRange, DeviceCapacity } from '#api/gen/resource-v1.ts';
import { forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { parseQuantity, type Quantity } from '#machinery/quantity.ts';
import { each } from '../field-checks.ts';
import { validateSet } from './names.ts';

const MAX_VALUES = 10;

function validateValues(values: readonly string[], fallback: Quantity, capacity: Quantity, path: FieldPath): FieldError[] {
  const parsed = values.map((value) => parseQuantity(value));
  const errors = each(values, path, (value, at, i) => (i > 0 && parsed[i - 1]!.cmp(parsed[i]!) > 0 ? [invalidValue(at, value, 'values must be sorted in ascending order')] : []));
  errors.push(
    ...validateSet(values, MAX_VALUES, path, (value) => parseQuantity(value).value().toString(), (value, at, i) =>
      parsed[i]!.cmp(capacity) > 0 ? [invalidValue(at, value, `option is larger than capacity value: ${capacity.toString()}`)] : []),
  );
  return parsed.some((value) => value.equals(fallback)) ? errors : [...errors, invalidValue(path, fallback.toString(), 'default value is not valid according to the requestPolicy')];
}
function validateStep(value: Quantity, min: Quantity, step: Quantity, path: FieldPath): FieldError[] {
  const size = step.value();
  if (size !== 0n && (value.value() - min.value()) % size === 0n) return [];
  return [invalidValue(path, value.toString(), `value is not a multiple of a given step (${step.toString()}) from (${min.toString()})`)];
}
function validateMax(max: Quantity, min: Quantity, fallback: Quantity, capacity: Quantity, path: FieldPath): FieldError[] {
  return [
    ...(min.cmp(max) > 0 ? [invalidValue(path, min.toString(), `min is larger than max: ${max.toString()}`)] : []),
    ...(max.cmp(capacity) > 0 ? [invalidValue(path, max.toString(), `max is larger than capacity value: ${capacity.toString()}`)] : []),
    ...(fallback.cmp(max) > 0 ? [invalidValue(path, fallback.toString(), `default is more than max: ${max.toString()}`)] : []),
  ];
}
function validateRange(range: CapacityRequestPolicyRange, fallback: Quantity, capacity: Quantity, path: FieldPath): FieldError[] {
  if (range.min === undefined) return [required(path.child('min'), 'required when validRange is defined')];
  const min = parseQuantity(range.min);
  const max = range.max === undefined ? undefined : parseQuantity(range.max);
  const errors: FieldError[] = [];
  if (min.cmp(capacity) > 0) errors.push(invalidValue(path.child('min'), range.min, `min is larger than capacity value: ${capacity.toString()}`));
  if (fallback.cmp(min) < 0) errors.push(invalidValue(path.child('min'), fallback.toString(), `default is less than min: ${range.min}`));
  if (max) errors.push(...validateMax(max, min, fallback, capacity, path.child('max')));
  if (range.step === undefined) return errors;
  const step = parseQuantity(range.step);
  const at = path.child('step');
  const first = min.add(step);
  if (first.cmp(capacity) > 0) errors.push(invalidValue(at, range.step, `one step ${first.toString()} is larger than capacity value: ${capacity.toString()}`));
  return [...errors, ...validateStep(fallback, min, step, at), ...(max ? validateStep(max, min, step, at) : [])];
}
function validatePolicy(policy: CapacityRequestPolicy, capacity: Quantity, path: FieldPath): FieldError[] {
  const values = policy.validValues ?? [];
  if (values.length > 0 && policy.validRange) return [forbiddenField(path, 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time')];
  const kind = values.length > 0 ? 'validValues' : policy.validRange ? 'validRange' : undefined;
  if (kind === undefined) return [];
  if (policy.default === undefined) return [required(path.child('default'), `required when ${kind} is defined`)];
  const fallback = parseQuantity(policy.default);
  return kind === 'validValues' ? validateValues(values, fallback, capacity, path.child(kind)) : validateRange(policy.validRange!, fallback, capacity, path.child(kind));
}
export function validateCapacity({ value, requestPolicy }: DeviceCapacity, shared: boolean, path: FieldPath): FieldError[] {
  if (!requestPolicy) return [];
  const at = path.child('requestPolicy');
  return shared ? validatePolicy(requestPolicy, parseQuantity(value), at) : [forbiddenField(at, 'allowMultipleAllocations must be true')];
}
