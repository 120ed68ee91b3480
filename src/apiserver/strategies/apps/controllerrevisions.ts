import type { ControllerRevision } from '#api/gen/apps-v1.ts';
import { splitApiVersion } from '#api/object.ts';
import { fieldPath, required, type FieldError } from '#machinery/field-errors.ts';
import { defineStrategy } from '../define.ts';
import { immutable, nonNegative } from '../field-checks.ts';
import { AGE, age, fieldDoc, NAME, NONE, text } from '../printing.ts';

function validate(revision: ControllerRevision): FieldError[] {
  const errors = nonNegative(revision.revision, fieldPath('revision'));
  return revision.data === undefined || revision.data === null ? [...errors, required(fieldPath('data'), 'data is mandatory')] : errors;
}
function controllerText(revision: ControllerRevision): string {
  const owner = revision.metadata.ownerReferences?.find((ref) => ref.controller);
  if (!owner) return NONE;
  const { group } = splitApiVersion(owner.apiVersion);
  return `${owner.kind.toLowerCase()}${group === '' ? '' : `.${group}`}/${owner.name}`;
}

export const controllerrevisions = defineStrategy<ControllerRevision>('apps', 'v1', 'controllerrevisions', {
  validate,
  validateUpdate: (revision, old) => [...validate(revision), ...immutable(revision.data, old.data, fieldPath('data'))],
  columns: [
    NAME,
    text('Controller', 'Controller of the object'),
    text('Revision', fieldDoc('api/apps/v1.ControllerRevision', 'revision')),
    AGE,
  ],
  row: (revision, now) => [revision.metadata.name ?? '', controllerText(revision), revision.revision ?? 0, age(revision.metadata, now)],
});
