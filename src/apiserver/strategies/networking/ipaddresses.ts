import type { IPAddress, ParentReference } from '#api/gen/networking-v1.ts';
import { fieldPath, required, type FieldError } from '#machinery/field-errors.ts';
import { isValidIP } from '#machinery/ip.ts';
import { isDNS1123Subdomain, isPathSegmentName } from '#machinery/names.ts';
import { defineStrategy } from '../define.ts';
import { fromMessages, immutable } from '../field-checks.ts';
import { NAME, text } from '../printing.ts';

const PARENT = fieldPath('spec', 'parentRef');

function validateSegment(value: string | undefined, field: string, isRequired: boolean): FieldError[] {
  const path = PARENT.child(field);
  if (!value) return isRequired ? [required(path)] : [];
  return fromMessages(path, value, isPathSegmentName(value));
}
function validate({ spec }: Partial<IPAddress>): FieldError[] {
  const parent = spec?.parentRef;
  if (!parent) return [required(PARENT)];
  return [
    ...(parent.group ? fromMessages(PARENT.child('group'), parent.group, isDNS1123Subdomain(parent.group)) : []),
    ...validateSegment(parent.resource, 'resource', true), ...validateSegment(parent.name, 'name', true), ...validateSegment(parent.namespace, 'namespace', false),
  ];
}
/** `services/default/kubernetes`, `gateways.example.com/a`. */
function parentText({ group, resource, namespace, name }: ParentReference): string {
  return [group ? `${resource}.${group}` : resource, ...(namespace ? [namespace] : []), name].join('/');
}

export const ipaddresses = defineStrategy<IPAddress>('networking.k8s.io', 'v1', 'ipaddresses', {
  validateName: isValidIP,
  validate,
  validateUpdate: (address, old) => [...validate(address), ...immutable(address.spec?.parentRef, old.spec?.parentRef, PARENT)],
  columns: [NAME, text('ParentRef', 'ParentRef references the resource that an IPAddress is attached to. An IPAddress must reference a parent object.')],
  row: ({ metadata, spec }) => [metadata.name ?? '', spec?.parentRef ? parentText(spec.parentRef) : ''],
});
