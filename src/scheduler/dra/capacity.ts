/** How much of a device's capacities a request takes. Source: the API reference, "CapacityRequestPolicy"; KEP-5075. */
import type { CapacityRequestPolicy, CapacityRequestPolicyRange, Device, DeviceCapacity } from '#api/gen/resource-v1.ts';
import { parseQuantity, quantityOf, type Quantity } from '#machinery/quantity.ts';
import type { Amounts } from './device-ledger.ts';

export type CapacityRequests = Readonly<Record<string, string>>;

/** Undefined where the device does not have what is asked for, or does not give such an amount. */
export function amountsFor(device: Device, requests: CapacityRequests = {}): Amounts | undefined {
  const capacity = device.capacity ?? {};
  if (!Object.keys(requests).every((name) => Object.hasOwn(capacity, name))) return undefined;
  const amounts = new Map<string, Quantity>();
  for (const [name, has] of Object.entries(capacity)) {
    const amount = amountOf(has, Object.hasOwn(requests, name) ? parseQuantity(requests[name]!) : undefined);
    if (!allows(has.requestPolicy, amount)) return undefined;
    amounts.set(name, amount);
  }
  return amounts;
}
/** The amounts are there beside what others have, and what is being given to them. */
export function hasRoom(device: Device, amounts: Amounts, ...taken: readonly (Amounts | undefined)[]): boolean {
  return amounts.entries().every(([name, amount]) => {
    const sum = taken.reduce((total, more) => (more?.has(name) ? total.add(more.get(name)!) : total), amount);
    return sum.cmp(parseQuantity(device.capacity![name]!.value)) <= 0;
  });
}

/** What is asked for, rounded up to what the policy allows; without a request the default, else all. */
function amountOf({ value, requestPolicy }: DeviceCapacity, asked: Quantity | undefined): Quantity {
  if (!asked) return parseQuantity(requestPolicy?.default ?? value);
  const { validRange, validValues } = requestPolicy ?? {};
  if (validRange) return roundUp(asked, validRange);
  return validValues?.map(parseQuantity).find((valid) => asked.cmp(valid) <= 0) ?? asked;
}
function roundUp(asked: Quantity, { min, step }: CapacityRequestPolicyRange): Quantity {
  const least = parseQuantity(min);
  if (asked.cmp(least) < 0) return least;
  if (step === undefined) return asked;
  const [from, by] = [least.value(), parseQuantity(step).value()];
  const steps = (asked.value() - from + by - 1n) / by;
  return quantityOf(from + by * steps, 'BinarySI');
}
function allows(policy: CapacityRequestPolicy | undefined, amount: Quantity): boolean {
  if (!policy || (policy.default !== undefined && amount.equals(parseQuantity(policy.default)))) return true;
  const { validRange, validValues } = policy;
  if (!validRange) return !validValues?.length || validValues.some((valid) => amount.equals(parseQuantity(valid)));
  if (validRange.max !== undefined && amount.cmp(parseQuantity(validRange.max)) > 0) return false;
  return validRange.step === undefined || (amount.value() - parseQuantity(validRange.min).value()) % parseQuantity(validRange.step).value() === 0n;
}
