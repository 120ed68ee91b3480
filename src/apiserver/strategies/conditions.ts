/** Conditions of a status, in the words of upstream's `apis/meta/v1/validation`. */
import type { Condition } from '#api/gen/meta-v1.ts';
import { duplicate, invalidValue, required, tooLong, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { regexError } from '#machinery/names.ts';
import { validateLabelName } from '#machinery/object-meta.ts';
import { each, oneOf } from './field-checks.ts';

const MAX_REASON = 1024;
const MAX_MESSAGE = 32 * 1024;
const REASON = '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?';
const REASON_ERROR = regexError(
  "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
  REASON, 'my_name', 'MY_NAME', 'MyName', 'ReasonA,ReasonB', 'ReasonA:ReasonB',
);
const reasonPattern = new RegExp(`^${REASON}$`);

function validateReason(reason: string, path: FieldPath): FieldError[] {
  if (reason === '') return [required(path, 'must be set')];
  const errors = reasonPattern.test(reason) ? [] : [invalidValue(path, reason, REASON_ERROR)];
  return reason.length > MAX_REASON ? [...errors, tooLong(path, MAX_REASON)] : errors;
}
function validateCondition(condition: Condition, path: FieldPath): FieldError[] {
  const errors = [...validateLabelName(condition.type ?? '', path.child('type')), ...oneOf(condition.status, ['False', 'True', 'Unknown'], path.child('status'))];
  const generation = condition.observedGeneration ?? 0;
  if (generation < 0) errors.push(invalidValue(path.child('observedGeneration'), generation, 'must be greater than or equal to zero'));
  if (!condition.lastTransitionTime) errors.push(required(path.child('lastTransitionTime'), 'must be set'));
  errors.push(...validateReason(condition.reason ?? '', path.child('reason')));
  if (Buffer.byteLength(condition.message ?? '') > MAX_MESSAGE) errors.push(tooLong(path.child('message'), MAX_MESSAGE));
  return errors;
}
export function validateConditions(conditions: readonly Condition[] | undefined, path: FieldPath): FieldError[] {
  return each(conditions, path, (condition, at, i) => [
    ...(conditions!.findIndex((other) => other.type === condition.type) < i ? [duplicate(at.child('type'), condition.type)] : []), ...validateCondition(condition, at),
  ]);
}
