/** Metadata of a template for objects that are made from it: labels and annotations, nothing else. */
import type { ObjectMeta } from '#api/gen/meta-v1.ts';
import { forbiddenField, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { validateAnnotations, validateLabels } from '#machinery/object-meta.ts';

export function validateTemplateMetadata(metadata: ObjectMeta | undefined, path: FieldPath): FieldError[] {
  const { labels, annotations, ...others } = metadata ?? {};
  const set = Object.entries(others).filter(([, value]) => value !== undefined && value !== null && value !== '' && value !== 0);
  return [
    ...validateAnnotations(annotations, path.child('annotations')), ...validateLabels(labels, path.child('labels')),
    // As upstream makes the name from its own field's.
    ...set.map(([field]) => forbiddenField(path.child(field === 'uid' ? 'uID' : field), 'cannot be set')),
  ];
}
