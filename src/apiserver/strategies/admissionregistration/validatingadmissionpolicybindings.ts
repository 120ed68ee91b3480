import type { ValidatingAdmissionPolicyBinding } from '#api/gen/admissionregistration-v1.ts';
import { duplicate, fieldPath, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { defineStrategy } from '../define.ts';
import { each, oneOf } from '../field-checks.ts';
import { AGE, age, NAME, text } from '../printing.ts';
import { paramRefText, validateParamRef, validatePolicyName } from './policies.ts';
import { defaultMatchResources, validateMatchResources } from './rules.ts';

const SPEC = fieldPath('spec');
const DENY_AND_WARN = 'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)';

function validateActions(actions: readonly string[], path: FieldPath): FieldError[] {
  const errors = each(actions, path, (action, at, i) => [...oneOf(action, ['Audit', 'Deny', 'Warn'], at), ...(actions.indexOf(action) < i ? [duplicate(at, action)] : [])]);
  if (actions.includes('Deny') && actions.includes('Warn')) errors.push(invalidValue(path, actions, DENY_AND_WARN));
  return actions.length === 0 ? [...errors, required(path, 'at least one validation action is required')] : errors;
}
function validate({ spec }: ValidatingAdmissionPolicyBinding): FieldError[] {
  return [
    ...validatePolicyName(spec?.policyName, SPEC.child('policyName')), ...validateParamRef(spec?.paramRef, SPEC.child('paramRef')),
    ...validateMatchResources(spec?.matchResources, SPEC.child('matchResources')), ...validateActions(spec?.validationActions ?? [], SPEC.child('validationActions')),
  ];
}

export const validatingadmissionpolicybindings = defineStrategy<ValidatingAdmissionPolicyBinding>('admissionregistration.k8s.io', 'v1', 'validatingadmissionpolicybindings', {
  default({ spec }) {
    defaultMatchResources(spec?.matchResources);
  },
  prepareForCreate({ metadata }) {
    metadata.generation = 1;
  },
  validate,
  validateUpdate: validate,
  generationFields: ['spec'],
  allowUnconditionalUpdate: false,
  columns: [
    NAME,
    text('PolicyName', 'PolicyName indicates the policy definition which the policy binding binded to'),
    text('ParamRef', 'ParamRef indicates the param resource which sets the configuration param'),
    AGE,
  ],
  row: ({ metadata, spec }, now) => [metadata.name ?? '', spec?.policyName ?? '', paramRefText(spec?.paramRef), age(metadata, now)],
});
