/** Tells of a schema that is not structural, as it may be stored from before. Upstream's counterpart: controller/nonstructuralschema. */
import type { CustomResourceDefinition, CustomResourceDefinitionCondition } from '#api/gen/apiextensions-v1.ts';
import { fieldPath, invalidValue, toAggregate } from '#machinery/field-errors.ts';
import { isReadable } from '../strategies/apiextensions/schema-parts.ts';
import { validateStructural } from '../strategies/apiextensions/structural.ts';

export const NON_STRUCTURAL = 'NonStructuralSchema';
/** Undefined: there is nothing to tell. */
export function structuralCondition({ spec }: CustomResourceDefinition): Omit<CustomResourceDefinitionCondition, 'lastTransitionTime'> | undefined {
  const at = fieldPath('spec');
  const errors = spec.preserveUnknownFields ? [invalidValue(at.child('preserveUnknownFields'), true, 'must be false')] : [];
  for (const [i, { name, schema }] of spec.versions.entries()) {
    const own = schema?.openAPIV3Schema;
    if (!own) continue;
    if (!isReadable(own)) return { type: NON_STRUCTURAL, status: 'Unknown', reason: 'StructuralError', message: `failed to check validation schema for version ${name}: items must be a schema object and not an array, and $ref is not supported` };
    errors.push(...validateStructural(own, at.child('versions').index(i).child('schema', 'openAPIV3Schema')));
  }
  return errors.length ? { type: NON_STRUCTURAL, status: 'True', reason: 'Violations', message: toAggregate(errors) } : undefined;
}
