/** Amounts of resources, as the API keeps them. Source: the API reference, "Quantity"; core/v1 defaults. */
import { milliQuantityOf, parseQuantity } from '#machinery/quantity.ts';

type Amounts = Record<string, string> | undefined;

/** Amounts finer than a milli are rounded up. */
export function roundUpToMilli(list: Amounts): void {
  for (const key in list) {
    const amount = parseQuantity(list[key]!);
    const rounded = milliQuantityOf(amount.milliValue());
    if (rounded.cmp(amount) !== 0) list[key] = rounded.toString();
  }
}
export function roundRequirements(resources: { requests?: Amounts; limits?: Amounts } | undefined): void {
  roundUpToMilli(resources?.limits);
  roundUpToMilli(resources?.requests);
}
