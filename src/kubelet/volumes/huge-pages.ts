/** emptyDir volumes of huge pages. Source: tasks/manage-hugepages/scheduling-hugepages; messages as upstream's. */
import type { Pod } from '#api/gen/core-v1.ts';
import { parseQuantity, type Quantity } from '#machinery/quantity.ts';
import { isHugePages } from '#machinery/resource-names.ts';

export function isHugePagesMedium(medium: string): boolean {
  return medium === 'HugePages' || medium.startsWith('HugePages-');
}
/** The page size of a volume, `2Mi`: what its medium says, else the one that the Pod's containers ask for. Throws where they ask for none of it, or for several. */
export function pageSizeOf(medium: string, pod: Pod): string {
  const wanted = medium === 'HugePages' ? undefined : parseQuantity(medium.slice('HugePages-'.length));
  let found: Quantity | undefined;
  for (const c of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
    for (const name of Object.keys(c.resources?.requests ?? c.resources?.limits ?? {}).filter(isHugePages)) {
      const size = parseQuantity(name.slice('hugepages-'.length));
      if (wanted && size.cmp(wanted) !== 0) continue;
      if (found && found.cmp(size) !== 0) throw new Error(`medium: ${medium} can't be used if container requests multiple huge page sizes`);
      found = size;
    }
  }
  if (!found) throw new Error(`medium ${medium}: hugePages storage requested, but there is no resource request for huge pages`);
  return found.toString();
}
