/** Conditions in CEL on the requests that webhooks and policies are asked about. */
import type { MatchCondition } from '#api/gen/admissionregistration-v1.ts';
import { duplicate, required, tooMany, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isQualifiedName } from '#machinery/names.ts';
import { NO_VARIABLES } from '../../admission/expressions.ts';
import { each, fromMessages } from '../field-checks.ts';
import { validateExpression } from './expressions.ts';

const MAX_CONDITIONS = 64;

/** `params`: the conditions may speak of them. `known`: expressions of the stored object. */
export function validateMatchConditions(conditions: readonly MatchCondition[] | undefined, written: { readonly params: boolean; readonly known: ReadonlySet<string> }, path: FieldPath): FieldError[] {
  const list = conditions ?? [];
  const errors = list.length > MAX_CONDITIONS ? [tooMany(path, list.length, MAX_CONDITIONS)] : [];
  return [
    ...errors,
    ...each(list, path, ({ name = '', expression = '' }, at, i) => {
      const place = { ...written, authorizer: true, variables: NO_VARIABLES };
      const own: FieldError[] = expression.trim() === '' ? [required(at.child('expression'))] : validateExpression(expression.trim(), 'bool', place, at.child('expression'));
      if (name === '') return [...own, required(at.child('name'))];
      own.push(...fromMessages(at.child('name'), name, isQualifiedName(name)));
      return list.findIndex((other) => other.name === name) < i ? [...own, duplicate(at.child('name'), name)] : own;
    }),
  ];
}
