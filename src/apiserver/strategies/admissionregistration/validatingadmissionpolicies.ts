import type { AuditAnnotation, ValidatingAdmissionPolicy, Validation } from '#api/gen/admissionregistration-v1.ts';
import { duplicate, fieldPath, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isQualifiedName } from '#machinery/names.ts';
import { validateConditions } from '../conditions.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { each, fromMessages, oneOf } from '../field-checks.ts';
import { AGE, age, integer, NAME, text } from '../printing.ts';
import { expressionsOf, validateExpression, type ExpressionPlace } from './expressions.ts';
import { validateMatchConditions } from './match-conditions.ts';
import { paramKindText, validateConstraints, validateFailurePolicy, validateParamKind, validateVariables } from './policies.ts';
import { defaultMatchResources } from './rules.ts';

const SPEC = fieldPath('spec');
const STATUS = fieldPath('status');
const MAX_ANNOTATIONS = 20;
const MAX_VALUE_EXPRESSION = 5 * 1024;
const REASONS = ['Forbidden', 'Invalid', 'RequestEntityTooLarge'];
const NEITHER = 'validations or auditAnnotations must contain at least one item';

function validateValidation(validation: Validation, place: ExpressionPlace, path: FieldPath): FieldError[] {
  const { expression = '', message = '', messageExpression = '', reason } = validation;
  const errors = expression.trim() === '' ? [required(path.child('expression'), 'expression is not specified')] : validateExpression(expression, 'bool', place, path.child('expression'));
  const text = path.child('messageExpression');
  if (messageExpression !== '' && messageExpression.trim() === '') errors.push(invalidValue(text, messageExpression, 'must be non-empty if specified'));
  else if (messageExpression !== '') errors.push(...validateExpression(messageExpression, 'string', { ...place, authorizer: false }, text));
  if (message !== '' && message.trim() === '') errors.push(invalidValue(path.child('message'), message, 'message must be non-empty if specified'));
  else if (/[\n\r]/.test(message.trim())) errors.push(invalidValue(path.child('message'), message, 'message must not contain line breaks'));
  return reason === undefined ? errors : [...errors, ...oneOf(reason, REASONS, path.child('reason'))];
}
function validateAnnotation({ key = '', valueExpression = '' }: AuditAnnotation, policy: string, place: ExpressionPlace, path: FieldPath): FieldError[] {
  const at = path.child('valueExpression');
  const qualified = `${policy}/${key}`;
  const errors = policy === '' ? [invalidValue(path.child('key'), key, 'requires metadata.name be non-empty')] : fromMessages(path.child('key'), qualified, isQualifiedName(qualified));
  const size = Buffer.byteLength(valueExpression.trim());
  if (size === 0) errors.push(required(at, 'valueExpression is not specified'));
  else if (size > MAX_VALUE_EXPRESSION) errors.push(required(at, `must not exceed ${MAX_VALUE_EXPRESSION} bytes in length`));
  else errors.push(...validateExpression(valueExpression, 'stringOrNull', { ...place, authorizer: false }, at));
  return errors;
}
function validate({ metadata, spec = {} }: ValidatingAdmissionPolicy, known: ReadonlySet<string>): FieldError[] {
  const { validations = [], auditAnnotations = [] } = spec;
  const annotations = SPEC.child('auditAnnotations');
  const place = { params: spec.paramKind !== undefined, authorizer: true, variables: spec.variables ?? [], known };
  const errors = [
    ...validateFailurePolicy(spec.failurePolicy, SPEC.child('failurePolicy')), ...validateParamKind(spec.paramKind, SPEC.child('paramKind')),
    ...validateConstraints(spec.matchConstraints, SPEC.child('matchConstraints')), ...validateMatchConditions(spec.matchConditions, place, SPEC.child('matchConditions')),
    ...validateVariables(spec.variables, place, SPEC.child('variables')),
  ];
  if (validations.length + auditAnnotations.length === 0) return [...errors, required(SPEC.child('validations'), NEITHER), required(annotations, NEITHER)];
  errors.push(...each(validations, SPEC.child('validations'), (validation, path) => validateValidation(validation, place, path)));
  if (auditAnnotations.length > MAX_ANNOTATIONS) errors.push(invalidValue(annotations, auditAnnotations, `must not have more than ${MAX_ANNOTATIONS} auditAnnotations`));
  return [
    ...errors,
    ...each(auditAnnotations, annotations, (annotation, path, i) => [
      ...validateAnnotation(annotation, metadata.name ?? '', place, path),
      ...(auditAnnotations.findIndex(({ key }) => key === annotation.key) < i ? [duplicate(path.child('key'), annotation.key)] : []),
    ]),
  ];
}

export const validatingadmissionpolicies = defineStrategy<ValidatingAdmissionPolicy>('admissionregistration.k8s.io', 'v1', 'validatingadmissionpolicies', {
  default({ spec }) {
    if (!spec) return;
    spec.failurePolicy ??= 'Fail';
    defaultMatchResources(spec.matchConstraints);
  },
  prepareForCreate(policy) {
    policy.status = emptyStatus('admissionregistration.k8s.io', 'v1', 'ValidatingAdmissionPolicy');
    policy.metadata.generation = 1;
  },
  validate: (policy) => validate(policy, new Set()),
  validateUpdate: (policy, old) => validate(policy, expressionsOf(old.spec)),
  validateStatusUpdate({ status }) {
    const warnings = each(status?.typeChecking?.expressionWarnings, STATUS.child('typeChecking', 'expressionWarnings'), ({ fieldRef = '', warning }, path) => [
      ...(warning ? [] : [required(path.child('warning'))]), ...(fieldRef.trim() === '' ? [required(path.child('fieldRef'))] : []),
    ]);
    return [...warnings, ...validateConditions(status?.conditions, STATUS.child('conditions'))];
  },
  generationFields: ['spec'],
  allowUnconditionalUpdate: false,
  columns: [
    NAME,
    integer('Validations', 'Validations indicates the number of validation rules defined in this configuration'),
    text('ParamKind', 'ParamKind specifies the kind of resources used to parameterize this policy'),
    AGE,
  ],
  row: ({ metadata, spec }, now) => [metadata.name ?? '', spec?.validations?.length ?? 0, paramKindText(spec?.paramKind), age(metadata, now)],
});
