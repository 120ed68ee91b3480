/** Taints and tolerations: the API reference, "Taints and Tolerations"; numeric comparison KEP-5471. */
import type { Taint, Toleration } from '#api/gen/core-v1.ts';

/** A canonical decimal integer, as the numeric operators require. */
const INTEGER = /^(0|-?[1-9][0-9]*)$/;
const INT64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };

function integer(text: string): bigint | undefined {
  if (!INTEGER.test(text)) return undefined;
  const value = BigInt(text);
  return value < INT64.min || value > INT64.max ? undefined : value;
}
function matchesValue(toleration: Toleration, taint: Taint): boolean {
  const want = toleration.value ?? '';
  const have = taint.value ?? '';
  switch (toleration.operator ?? 'Equal') {
    case 'Exists': return true;
    case 'Equal': return want === have;
    case 'Lt': case 'Gt': {
      const [a, b] = [integer(have), integer(want)];
      if (a === undefined || b === undefined) return false;
      return toleration.operator === 'Lt' ? a < b : a > b;
    }
    default: return false;
  }
}
export function tolerates(toleration: Toleration, taint: Taint): boolean {
  if (toleration.effect && toleration.effect !== taint.effect) return false;
  if (toleration.key && toleration.key !== taint.key) return false;
  return matchesValue(toleration, taint);
}
export function toleratesTaint(tolerations: readonly Toleration[] | undefined, taint: Taint): boolean {
  return tolerations?.some((t) => tolerates(t, taint)) ?? false;
}
/** True where no taint with the effects of scheduling is left untolerated. */
export function toleratesAll(tolerations: readonly Toleration[] | undefined, taints: readonly Taint[] | undefined): boolean {
  if (!taints) return true;
  for (const taint of taints) if (taint.effect !== 'PreferNoSchedule' && !toleratesTaint(tolerations, taint)) return false;
  return true;
}
