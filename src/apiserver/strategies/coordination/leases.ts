import type { Lease } from '#api/gen/coordination-v1.ts';
import { fieldPath, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { defineStrategy } from '../define.ts';
import { nonNegative } from '../field-checks.ts';
import { AGE, age, fieldDoc, NAME, text } from '../printing.ts';
import { dropDisabled } from '../disabled-fields.ts';

const SPEC = fieldPath('spec');

function validate(lease: Lease): FieldError[] {
  const { leaseDurationSeconds: duration, leaseTransitions } = lease.spec ?? {};
  const errors: FieldError[] = [];
  if (duration !== undefined && duration <= 0) errors.push(invalidValue(SPEC.child('leaseDurationSeconds'), duration, 'must be greater than 0'));
  errors.push(...nonNegative(leaseTransitions, SPEC.child('leaseTransitions')));
  return errors;
}

export const leases = defineStrategy<Lease>('coordination.k8s.io', 'v1', 'leases', {
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  prepareForCreate: ({ spec }) => dropDisabled(spec, undefined, 'strategy', 'preferredHolder'),
  prepareForUpdate: ({ spec }, old) => dropDisabled(spec, old.spec, 'strategy', 'preferredHolder'),
  validate,
  validateUpdate: validate,
  columns: [NAME, text('Holder', fieldDoc('api/coordination/v1.LeaseSpec', 'holderIdentity')), AGE],
  row: (lease, now) => [lease.metadata.name ?? '', lease.spec?.holderIdentity ?? '', age(lease.metadata, now)],
});
