/** References that Ingresses and their classes make to other objects. */
import { required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain, isPathSegmentName } from '#machinery/names.ts';
import { fromMessages } from '../field-checks.ts';

interface TypedReference {
  readonly apiGroup?: string | undefined;
  readonly kind: string;
  readonly name: string;
}
export function validateTypedReference(ref: TypedReference, path: FieldPath): FieldError[] {
  return [
    ...(ref.apiGroup === undefined ? [] : fromMessages(path.child('apiGroup'), ref.apiGroup, isDNS1123Subdomain(ref.apiGroup))),
    ...(ref.kind ? fromMessages(path.child('kind'), ref.kind, isPathSegmentName(ref.kind)) : [required(path.child('kind'))]),
    ...(ref.name ? fromMessages(path.child('name'), ref.name, isPathSegmentName(ref.name)) : [required(path.child('name'))]),
  ];
}
