import type { CSINode, CSINodeDriver } from '#api/gen/storage-v1.ts';
import { duplicate, fieldPath, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isQualifiedName } from '#machinery/names.ts';
import { validateCSIDriverName } from '../core/volume-sources.ts';
import { defineStrategy } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { each, fromMessages, IMMUTABLE, nonNegative } from '../field-checks.ts';
import { AGE, age, integer, NAME } from '../printing.ts';

const DRIVERS = fieldPath('spec', 'drivers');
const MAX_NODE_ID = 256;

function validateDriver(driver: CSINodeDriver, path: FieldPath): FieldError[] {
  const { name = '', nodeID = '', allocatable } = driver;
  const errors = validateCSIDriverName(name, path.child('name'));
  if (nodeID === '') errors.push(required(path.child('nodeID'), nodeID));
  else if (nodeID.length > MAX_NODE_ID) errors.push(invalidValue(path.child('nodeID'), nodeID, `must be ${MAX_NODE_ID} characters or less`));
  errors.push(...nonNegative(allocatable?.count, path.child('allocatable', 'count')));
  return errors;
}
/** Errors name the driver, not its list. */
function validateTopologyKeys(keys: readonly string[], path: FieldPath): FieldError[] {
  return keys.flatMap((key, i) => [...(key === '' ? [required(path)] : []), ...(keys.indexOf(key) < i ? [duplicate(path, key)] : []), ...fromMessages(path, key, isQualifiedName(key))]);
}
function validate({ spec }: CSINode): FieldError[] {
  const drivers = spec?.drivers ?? [];
  return each(drivers, DRIVERS, (driver, path, i) => [
    ...validateDriver(driver, path), ...(drivers.findIndex((other) => other.name === driver.name) < i ? [duplicate(path.child('name'), driver.name)] : []),
    ...validateTopologyKeys(driver.topologyKeys ?? [], path),
  ]);
}
/** Drivers come and go whole; how many volumes one can attach is all that may change of it. */
function frozenPart(driver: CSINodeDriver): CSINodeDriver {
  return { ...driver, allocatable: undefined };
}

export const csinodes = defineStrategy<CSINode>('storage.k8s.io', 'v1', 'csinodes', {
  validate,
  validateUpdate(node, old) {
    const changed = (node.spec?.drivers ?? []).filter((driver) => {
      const before = (old.spec?.drivers ?? []).find(({ name }) => name === driver.name);
      return before && !semanticEqual(frozenPart(driver), frozenPart(before));
    });
    return [...validate(node), ...changed.map((driver) => invalidValue(fieldPath('CSINodeDriver'), driver, IMMUTABLE))];
  },
  allowUnconditionalUpdate: false,
  columns: [NAME, integer('Drivers', 'Drivers indicates the number of CSI drivers registered on the node'), AGE],
  row: ({ metadata, spec }, now) => [metadata.name ?? '', spec?.drivers?.length ?? 0, age(metadata, now)],
});
