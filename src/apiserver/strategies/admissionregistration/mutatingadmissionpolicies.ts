import type { MutatingAdmissionPolicy, Mutation } from '#api/gen/admissionregistration-v1.ts';
import { fieldPath, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { defineStrategy } from '../define.ts';
import { each, oneOf, requiredOneOf } from '../field-checks.ts';
import { AGE, age, integer, NAME, text } from '../printing.ts';
import { expressionsOf, validateExpression, type ExpressionPlace } from './expressions.ts';
import { validateMatchConditions } from './match-conditions.ts';
import { paramKindText, validateConstraints, validateFailurePolicy, validateParamKind, validateVariables } from './policies.ts';
import { defaultMatchResources, validateMutatedOperations } from './rules.ts';

const SPEC = fieldPath('spec');
/** Type of patch to the field that holds it. */
const PATCHES = { ApplyConfiguration: 'applyConfiguration', JSONPatch: 'jsonPatch' } as const;

function validateMutation(mutation: Mutation, place: ExpressionPlace, path: FieldPath): FieldError[] {
  const type = mutation.patchType;
  if (!type) return [required(path.child('patchType'))];
  const errors = oneOf(type, Object.keys(PATCHES), path.child('patchType'));
  if (errors.length > 0) return errors;
  // Its own field first.
  for (const [other, field] of Object.entries(PATCHES).toSorted(([a], [b]) => Number(b === type) - Number(a === type))) {
    const given = mutation[field];
    if (other === type) {
      if (!given) errors.push(required(path.child(field), `must be specified when patchType is ${type}`));
      else if ((given.expression ?? '').trim() === '') errors.push(required(path.child(field, 'expression')));
      else errors.push(...validateExpression(given.expression!, field === 'jsonPatch' ? 'jsonPatch' : 'applyConfiguration', place, path.child(field, 'expression')));
    } else if (given) errors.push(invalidValue(path.child(field), `{${field}}`, `must not be specified when patchType is ${type}`));
  }
  return errors;
}
function validate({ spec = {} }: MutatingAdmissionPolicy, known: ReadonlySet<string>): FieldError[] {
  const place = { params: spec.paramKind !== undefined, authorizer: true, variables: spec.variables ?? [], known };
  const at = SPEC.child('mutations');
  return [
    ...validateFailurePolicy(spec.failurePolicy, SPEC.child('failurePolicy')), ...validateParamKind(spec.paramKind, SPEC.child('paramKind')),
    ...validateConstraints(spec.matchConstraints, SPEC.child('matchConstraints')), ...validateMutatedOperations(spec.matchConstraints, SPEC.child('matchConstraints')),
    ...validateMatchConditions(spec.matchConditions, place, SPEC.child('matchConditions')),
    ...validateVariables(spec.variables, place, SPEC.child('variables')),
    ...(spec.mutations?.length ? each(spec.mutations, at, (mutation, path) => validateMutation(mutation, place, path)) : [required(at, 'mutations must contain at least one item')]),
    ...requiredOneOf(spec.reinvocationPolicy, ['IfNeeded', 'Never'], SPEC.child('reinvocationPolicy')),
  ];
}

export const mutatingadmissionpolicies = defineStrategy<MutatingAdmissionPolicy>('admissionregistration.k8s.io', 'v1', 'mutatingadmissionpolicies', {
  default({ spec }) {
    if (!spec) return;
    spec.failurePolicy ??= 'Fail';
    defaultMatchResources(spec.matchConstraints);
  },
  prepareForCreate({ metadata }) {
    metadata.generation = 1;
  },
  validate: (policy) => validate(policy, new Set()),
  validateUpdate: (policy, old) => validate(policy, expressionsOf(old.spec)),
  generationFields: ['spec'],
  allowUnconditionalUpdate: false,
  columns: [
    NAME,
    integer('Mutations', 'Mutation indicates the number of mutations rules defined in this configuration'),
    text('ParamKind', 'ParamKind specifies the kind of resources used to parameterize this policy'),
    AGE,
  ],
  row: ({ metadata, spec }, now) => [metadata.name ?? '', spec?.mutations?.length ?? 0, paramKindText(spec?.paramKind), age(metadata, now)],
});
