/** Claims that ask for more than they have. */
import type { PersistentVolumeClaim } from '#api/gen/core-v1.ts';
import { parseQuantity } from '#machinery/quantity.ts';

/** The size that a bound claim wants to grow to; undefined when it has it. */
export function wantedGrowth(claim: PersistentVolumeClaim): string | undefined {
  const wanted = claim.spec.resources?.requests?.['storage'];
  const has = claim.status?.capacity?.['storage'];
  if (claim.status?.phase !== 'Bound' || !claim.spec.volumeName || wanted === undefined || has === undefined || claim.metadata.deletionTimestamp !== undefined) return undefined;
  return parseQuantity(wanted).cmp(parseQuantity(has)) > 0 ? wanted : undefined;
}
