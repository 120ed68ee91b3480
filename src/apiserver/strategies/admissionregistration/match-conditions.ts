/** Conditions in CEL on the requests that webhooks and policies are asked about. */
import type { MatchCondition } from '#api/gen/admissionregistration-v1.ts';
import { duplicate, required, tooMany, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isQualifiedName } from '#machinery/names.ts';
import { each, fromMessages } from '../field-checks.ts';

const MAX_CONDITIONS = 64;

export function validateMatchConditions(conditions: readonly MatchCondition[] | undefined, path: FieldPath): FieldError[] {
  const list = conditions ?? [];
  const errors = list.length > MAX_CONDITIONS ? [tooMany(path, list.length, MAX_CONDITIONS)] : [];
  return [
    ...errors,
    ...each(list, path, ({ name = '', expression = '' }, at, i) => {
      const own: FieldError[] = expression.trim() === '' ? [required(at.child('expression'))] : [];
      if (name === '') return [...own, required(at.child('name'))];
      own.push(...fromMessages(at.child('name'), name, isQualifiedName(name)));
      return list.findIndex((other) => other.name === name) < i ? [...own, duplicate(at.child('name'), name)] : own;
    }),
  ];
}
