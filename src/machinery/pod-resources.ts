/**
 * What a Pod asks for as a whole: containers and sidecars together, or one init container where that is more, or the Pod's own figures
 * where it has them; plus overhead. Source: KEP-753 (sidecars), KEP-2837 (Pod-level resources), KEP-688 (overhead).
 */
import type * as coreV1 from '#api/gen/core-v1.ts';
import { parseQuantity, type Quantity } from './quantity.ts';

export type Amounts = ReadonlyMap<string, Quantity>;
type Kind = 'requests' | 'limits';
/** Resources that the Pod's own `resources` may speak of. */
function isPodLevel(name: string): boolean {
  return name === 'cpu' || name === 'memory' || name.startsWith('hugepages-');
}
export function amountsOf(list: Readonly<Record<string, string | number>> | undefined): Map<string, Quantity> {
  return new Map(Object.entries(list ?? {}).map(([name, text]) => [name, parseQuantity(text)]));
}
function addTo(sum: Map<string, Quantity>, more: Amounts): void {
  for (const [name, q] of more) sum.set(name, sum.get(name)?.add(q) ?? q);
}
function raiseTo(max: Map<string, Quantity>, other: Amounts): void {
  for (const [name, q] of other) if (!max.has(name) || max.get(name)!.cmp(q) < 0) max.set(name, q);
}
export function podAmounts(spec: coreV1.PodSpec, kind: Kind): Amounts {
  const total = new Map<string, Quantity>();
  for (const c of spec.containers) addTo(total, amountsOf(c.resources?.[kind]));
  const sidecars = new Map<string, Quantity>();
  const init = new Map<string, Quantity>();
  for (const c of spec.initContainers ?? []) {
    const own = amountsOf(c.resources?.[kind]);
    if (c.restartPolicy === 'Always') {
      addTo(total, own);
      addTo(sidecars, own);
      raiseTo(init, sidecars);
    } else {
      const while_ = new Map(sidecars);
      addTo(while_, own);
      raiseTo(init, while_);
    }
  }
  raiseTo(total, init);
  for (const [name, q] of amountsOf(spec.resources?.[kind])) if (isPodLevel(name)) total.set(name, q);
  for (const [name, q] of amountsOf(spec.overhead)) {
    // A limit that nobody set stays unset.
    if (kind === 'requests' || total.has(name)) total.set(name, total.get(name)?.add(q) ?? q);
  }
  return total;
}
