/** What a selector of devices says in CEL. Source: the API reference, "CELDeviceSelector". */
import { compileDeviceSelector, MAX_SELECTOR_COST } from '#cel/device-selector.ts';
import { forbiddenField, invalidValue, tooLong, type FieldError, type FieldPath } from '#machinery/field-errors.ts';

const MAX_EXPRESSION = 10 * 1024;

/** Compiles the expression, as no claim could use one that does not. */
export function validateSelectorExpression(expression: string, path: FieldPath): FieldError[] {
  if (Buffer.byteLength(expression) > MAX_EXPRESSION) return [tooLong(path, MAX_EXPRESSION)];
  const result = compileDeviceSelector(expression);
  if ('error' in result) return [invalidValue(path, expression, result.error)];
  return result.selector.maxCost() > MAX_SELECTOR_COST ? [forbiddenField(path, 'too complex, exceeds cost limit')] : [];
}
