import { duplicate, invalidValue, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { validateLabelName } from '#machinery/object-meta.ts';
import { each } from '../field-checks.ts';
import { validateList } from './names.ts';

const MAX_CONDITIONS = 4;

/** Conditions that a device waits for before it is bound, and those that mean that it never will be: both or neither, none in both. */
export function validateBindingConditions(conditions: readonly string[] = [], failures: readonly string[] = [], path: FieldPath): FieldError[] {
  const [ready, failed] = [path.child('bindingConditions'), path.child('bindingFailureConditions')];
  const errors = [...validateList(conditions, MAX_CONDITIONS, ready, validateLabelName), ...validateList(failures, MAX_CONDITIONS, failed, validateLabelName)];
  errors.push(...each(conditions, ready, (condition, at, i) => (conditions.indexOf(condition) < i ? [duplicate(at, condition)] : [])));
  errors.push(
    ...each(failures, failed, (condition, at, i) => [
      ...(failures.indexOf(condition) < i ? [duplicate(at, condition)] : []),
      ...(conditions.includes(condition) ? [invalidValue(at, condition, 'bindingFailureConditions must not overlap with bindingConditions')] : []),
    ]),
  );
  if (conditions.length === 0 && failures.length > 0) errors.push(invalidValue(ready, null, 'bindingConditions are required to use bindingFailureConditions'));
  if (failures.length === 0 && conditions.length > 0) errors.push(invalidValue(failed, null, 'bindingFailureConditions are required to use bindingConditions'));
  return errors;
}
