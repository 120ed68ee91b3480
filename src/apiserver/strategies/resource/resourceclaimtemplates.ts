import type { ResourceClaimTemplate } from '#api/gen/resource-v1.ts';
import { fieldPath } from '#machinery/field-errors.ts';
import { validateAnnotations, validateLabels } from '#machinery/object-meta.ts';
import { defineStrategy } from '../define.ts';
import { immutable } from '../field-checks.ts';
import { AGE, age, NAME } from '../printing.ts';
import { defaultDeviceClaim, validateDeviceClaim } from './claim-spec.ts';

const SPEC = fieldPath('spec');

export const resourceclaimtemplates = defineStrategy<ResourceClaimTemplate>('resource.k8s.io', 'v1', 'resourceclaimtemplates', {
  default: ({ spec }) => defaultDeviceClaim(spec?.spec?.devices),
  validate({ spec }) {
    const at = SPEC.child('metadata');
    return [
      ...validateAnnotations(spec?.metadata?.annotations, at.child('annotations')), ...validateLabels(spec?.metadata?.labels, at.child('labels')),
      ...validateDeviceClaim(spec?.spec?.devices, SPEC.child('spec', 'devices')),
    ];
  },
  validateUpdate: (template, old) => immutable(template.spec, old.spec, SPEC),
  columns: [NAME, AGE],
  row: ({ metadata }, now) => [metadata.name ?? '', age(metadata, now)],
});
