import type { CSIStorageCapacity } from '#api/gen/storage-v1.ts';
import { fieldPath, type FieldError } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain } from '#machinery/names.ts';
import { validateLabelSelector } from '#machinery/object-meta.ts';
import { defineStrategy } from '../define.ts';
import { fromMessages, immutable, quantityErrors } from '../field-checks.ts';
import { CREATED_AT, NAME } from '../printing.ts';

function validate({ storageClassName = '', nodeTopology, capacity }: CSIStorageCapacity): FieldError[] {
  return [
    ...fromMessages(fieldPath('storageClassName'), storageClassName, isDNS1123Subdomain(storageClassName)),
    ...validateLabelSelector(nodeTopology, fieldPath('nodeTopology')),
    ...(capacity === undefined ? [] : quantityErrors(capacity, fieldPath('capacity'))),
  ];
}

export const csistoragecapacities = defineStrategy<CSIStorageCapacity>('storage.k8s.io', 'v1', 'csistoragecapacities', {
  validate,
  validateUpdate(item, old) {
    return [
      ...validate(item), ...immutable(item.nodeTopology, old.nodeTopology, fieldPath('nodeTopology')),
      ...immutable(item.storageClassName, old.storageClassName, fieldPath('storageClassName')),
    ];
  },
  allowUnconditionalUpdate: false,
  columns: [NAME, CREATED_AT],
  row: ({ metadata }) => [metadata.name ?? '', metadata.creationTimestamp ?? null],
});
