import type { Lease } from '#api/gen/coordination-v1.ts';
import { fieldPath, invalidValue, required, type FieldError } from '#machinery/field-errors.ts';
import { isQualifiedName } from '#machinery/names.ts';
import { defineStrategy } from '../define.ts';
import { fromMessages, nonNegative, positive } from '../field-checks.ts';
import { AGE, age, NAME, text } from '../printing.ts';

const STRATEGIES = ['OldestEmulationVersion'];
const SPEC = fieldPath('spec');

function validate(lease: Lease): FieldError[] {
  const { leaseDurationSeconds, leaseTransitions, strategy, preferredHolder } = lease.spec ?? {};
  const errors: FieldError[] = [];
  if (leaseDurationSeconds !== undefined) errors.push(...positive(leaseDurationSeconds, SPEC.child('leaseDurationSeconds')));
  errors.push(...nonNegative(leaseTransitions, SPEC.child('leaseTransitions')));
  if (strategy !== undefined) {
    const path = SPEC.child('strategy');
    if (strategy.includes('/')) errors.push(...fromMessages(path, strategy, isQualifiedName(strategy)));
    else if (!STRATEGIES.includes(strategy)) errors.push(invalidValue(path, strategy, 'must be a valid strategy'));
  }
  if (preferredHolder && !strategy) errors.push(required(SPEC.child('strategy'), 'strategy must be specified when `preferredHolder` is specified'));
  return errors;
}

export const leases = defineStrategy<Lease>('coordination.k8s.io', 'v1', 'leases', {
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  validate,
  validateUpdate: validate,
  columns: [NAME, text('Holder'), AGE],
  row: (lease, now) => [lease.metadata.name ?? '', lease.spec?.holderIdentity ?? '', age(lease.metadata, now)],
});
