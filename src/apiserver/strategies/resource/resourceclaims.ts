import type { ResourceClaim } from '#api/gen/resource-v1.ts';
import { fieldPath } from '#machinery/field-errors.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { immutableSpec } from '../internal-form.ts';
import { AGE, age, NAME, text } from '../printing.ts';
import { validateAdminRequests, validateAdminResults } from './admin-access.ts';
import { claimStatusPermissions } from './claim-permissions.ts';
import { defaultDeviceClaim, validateDeviceClaim } from './claim-spec.ts';
import { dropDeallocated, validateClaimStatus } from './claim-status.ts';

const SPEC = fieldPath('spec');

/** `pending`, `allocated,reserved`, `deleted,allocated`, … */
function stateText({ metadata, status }: ResourceClaim): string {
  const states = metadata.deletionTimestamp ? ['deleted'] : [];
  if (status?.allocation) states.push('allocated', ...(status.reservedFor?.length ? ['reserved'] : []));
  else if (!metadata.deletionTimestamp) states.push('pending');
  return states.join(',');
}

export const resourceclaims = defineStrategy<ResourceClaim>('resource.k8s.io', 'v1', 'resourceclaims', {
  default: ({ spec }) => defaultDeviceClaim(spec?.devices),
  prepareForCreate(claim) {
    claim.status = emptyStatus('resource.k8s.io', 'v1', 'ResourceClaim');
  },
  prepareForUpdate(claim, old, { subresource }) {
    if (subresource === 'status') dropDeallocated(claim, old);
  },
  statusPermissions: claimStatusPermissions,
  validate: ({ spec }, ctx) => [...validateAdminRequests(spec?.devices, ctx), ...validateDeviceClaim(spec?.devices, SPEC.child('devices'))],
  validateUpdate: (claim, old) => immutableSpec(claim.spec, old.spec, 'api/resource/v1.ResourceClaimSpec'),
  validateStatusUpdate: (claim, old, ctx) => [...validateAdminResults(claim.status?.allocation, old.status?.allocation, ctx), ...validateClaimStatus(claim, old, fieldPath('status'))],
  columns: [NAME, text('State', 'A summary of the current state (allocated, pending, reserved, etc.).'), AGE],
  row: (claim, now) => [claim.metadata.name ?? '', stateText(claim), age(claim.metadata, now)],
});
