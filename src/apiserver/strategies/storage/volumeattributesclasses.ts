import type { VolumeAttributesClass } from '#api/gen/storage-v1.ts';
import { fieldPath, forbiddenField, type FieldError } from '#machinery/field-errors.ts';
import { defineStrategy } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { AGE, age, fieldDoc, NAME, text } from '../printing.ts';
import { validateParameters, validateProvisioner } from './parameters.ts';

function validate({ driverName = '', parameters }: VolumeAttributesClass): FieldError[] {
  return [...validateProvisioner(driverName, fieldPath('driverName')), ...validateParameters(parameters, false, fieldPath('parameters'))];
}

export const volumeattributesclasses = defineStrategy<VolumeAttributesClass>('storage.k8s.io', 'v1', 'volumeattributesclasses', {
  validate,
  validateUpdate(attributes, old) {
    const changed = (['driverName', 'parameters'] as const).filter((field) => !semanticEqual(attributes[field], old[field]));
    return [...changed.map((field) => forbiddenField(fieldPath(field), `updates to ${field} are forbidden.`)), ...validate(attributes)];
  },
  columns: [NAME, text('DriverName', fieldDoc('api/storage/v1.VolumeAttributesClass', 'driverName')), AGE],
  row: ({ metadata, driverName }, now) => [metadata.name ?? '', driverName, age(metadata, now)],
});
