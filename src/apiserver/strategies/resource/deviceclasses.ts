import type { DeviceClass } from '#api/gen/resource-v1.ts';
import { fieldPath, invalidValue, type FieldError } from '#machinery/field-errors.ts';
import { isExtendedResource } from '#machinery/resource-names.ts';
import { defineStrategy } from '../define.ts';
import { AGE, age, NAME } from '../printing.ts';
import { MAX_CONFIGS, validateConfiguration, validateSelectors } from './claim-spec.ts';
import { validateList } from './names.ts';
import { nameIsLongName } from '#machinery/names.ts';

const SPEC = fieldPath('spec');

function validate({ spec = {} }: Partial<DeviceClass>): FieldError[] {
  const name = spec.extendedResourceName;
  return [
    ...validateSelectors(spec.selectors, SPEC.child('selectors')), ...validateList(spec.config, MAX_CONFIGS, SPEC.child('config'), validateConfiguration),
    ...(name !== undefined && !isExtendedResource(name) ? [invalidValue(SPEC.child('extendedResourceName'), name, 'must be a valid extended resource name')] : []),
  ];
}

export const deviceclasses = defineStrategy<DeviceClass>('resource.k8s.io', 'v1', 'deviceclasses', {
  prepareForCreate({ metadata }) {
    metadata.generation = 1;
  },
  validateName: nameIsLongName,
  validate,
  validateUpdate: validate,
  generationFields: ['spec'],
  columns: [NAME, AGE],
  row: ({ metadata }, now) => [metadata.name ?? '', age(metadata, now)],
});
