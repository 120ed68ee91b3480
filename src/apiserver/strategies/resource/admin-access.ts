/** Who may look at devices that others use. Source: KEP-5018. */
import type { AllocationResult, DeviceClaim } from '#api/gen/resource-v1.ts';
import { fieldPath, forbiddenField, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import type { StrategyContext } from '../../registry/strategy.ts';

const LABEL = 'resource.kubernetes.io/admin-access';

function check(items: readonly { readonly adminAccess?: boolean | undefined }[], path: FieldPath, ctx: StrategyContext): FieldError[] {
  const first = items.findIndex(({ adminAccess }) => adminAccess === true);
  if (first < 0 || ctx.namespaceLabels()[LABEL] === 'true') return [];
  return [forbiddenField(path.index(first).child('adminAccess'), `admin access to devices requires the \`${LABEL}: true\` label on the containing namespace`)];
}
/** Of a claim and of a template, both by the path that a claim has. */
export function validateAdminRequests(claim: DeviceClaim | undefined, ctx: StrategyContext): FieldError[] {
  return check((claim?.requests ?? []).map(({ exactly }) => exactly ?? {}), fieldPath('spec', 'devices', 'requests'), ctx);
}
/** What was allocated before stays. */
export function validateAdminResults(allocation: AllocationResult | undefined, old: AllocationResult | undefined, ctx: StrategyContext): FieldError[] {
  if (old?.devices?.results?.some(({ adminAccess }) => adminAccess === true)) return [];
  return check(allocation?.devices?.results ?? [], fieldPath('status', 'allocation', 'devices', 'results'), ctx);
}
