import type { ResourceClaimTemplate } from '#api/gen/resource-v1.ts';
import { fieldPath, type FieldError } from '#machinery/field-errors.ts';
import { defineStrategy } from '../define.ts';
import { validateTemplateMetadata } from '../core/template-metadata.ts';
import { immutableSpec } from '../internal-form.ts';
import { AGE, age, NAME } from '../printing.ts';
import { validateAdminRequests } from './admin-access.ts';
import { defaultDeviceClaim, validateDeviceClaim } from './claim-spec.ts';

const SPEC = fieldPath('spec');

function validate({ spec }: ResourceClaimTemplate): FieldError[] {
  return [...validateTemplateMetadata(spec?.metadata, SPEC.child('metadata')), ...validateDeviceClaim(spec?.spec?.devices, SPEC.child('spec', 'devices'))];
}

export const resourceclaimtemplates = defineStrategy<ResourceClaimTemplate>('resource.k8s.io', 'v1', 'resourceclaimtemplates', {
  givenEmpty: ['spec.metadata.ownerReferences', 'spec.metadata.finalizers'],
  default: ({ spec }) => defaultDeviceClaim(spec?.spec?.devices),
  validate: (template, ctx) => [...validateAdminRequests(template.spec?.spec?.devices, ctx), ...validate(template)],
  validateUpdate: (template, old) => [...validate(template), ...immutableSpec(template.spec, old.spec, 'api/resource/v1.ResourceClaimTemplateSpec')],
  columns: [NAME, AGE],
  row: ({ metadata }, now) => [metadata.name ?? '', age(metadata, now)],
});
