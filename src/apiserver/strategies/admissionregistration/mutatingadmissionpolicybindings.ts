import type { MutatingAdmissionPolicyBinding } from '#api/gen/admissionregistration-v1.ts';
import { fieldPath, type FieldError } from '#machinery/field-errors.ts';
import { defineStrategy } from '../define.ts';
import { AGE, age, NAME, text } from '../printing.ts';
import { paramRefText, validateParamRef, validatePolicyName } from './policies.ts';
import { defaultMatchResources, validateMutatedOperations, validateMatchResources } from './rules.ts';

const SPEC = fieldPath('spec');

function validate({ spec }: MutatingAdmissionPolicyBinding): FieldError[] {
  return [
    ...validatePolicyName(spec?.policyName, SPEC.child('policyName')), ...validateParamRef(spec?.paramRef, SPEC.child('paramRef')),
    ...validateMatchResources(spec?.matchResources, SPEC.child('matchResources')), ...validateMutatedOperations(spec?.matchResources, SPEC.child('matchResources')),
  ];
}

export const mutatingadmissionpolicybindings = defineStrategy<MutatingAdmissionPolicyBinding>('admissionregistration.k8s.io', 'v1', 'mutatingadmissionpolicybindings', {
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
