/** Sums over lists of resources: what a Pod's containers ask for together. Source: KEP-753 (sidecars), KEP-2837 (Pod-level resources). */
import type { Container, PodSpec } from '#api/gen/core-v1.ts';
import { parseQuantity, type Quantity } from '#machinery/quantity.ts';

export type Amounts = Map<string, Quantity>;
type List = 'requests' | 'limits';

export function amountsOf(list: Readonly<Record<string, string>> | undefined): Amounts {
  return new Map(Object.entries(list ?? {}).map(([name, value]) => [name, parseQuantity(value)]));
}
function add(into: Amounts, more: Amounts): void {
  for (const [name, value] of more) into.set(name, into.get(name)?.add(value) ?? value);
}
function max(into: Amounts, other: Amounts): void {
  for (const [name, value] of other) {
    const known = into.get(name);
    if (!known || known.cmp(value) < 0) into.set(name, value);
  }
}
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}
/** Containers together with sidecars, or the largest init container with the sidecars started before it, whichever is more. */
export function aggregate(spec: PodSpec, list: List): Amounts {
  const total: Amounts = new Map();
  for (const container of spec.containers ?? []) add(total, amountsOf(container.resources?.[list]));
  const sidecars: Amounts = new Map();
  const peak: Amounts = new Map();
  for (const container of spec.initContainers ?? []) {
    const own = amountsOf(container.resources?.[list]);
    if (isSidecar(container)) {
      add(total, own);
      add(sidecars, own);
      max(peak, sidecars);
    } else {
      add(own, sidecars);
      max(peak, own);
    }
  }
  max(total, peak);
  return total;
}
