import type { FlowSchema } from '#api/gen/flowcontrol-v1.ts';
import { fieldPath, invalidValue, notSupported, required, type FieldError } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain } from '#machinery/names.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { each, fromMessages } from '../field-checks.ts';
import { AGE, age, fieldDoc, NAME, NONE, text } from '../printing.ts';
import { MANDATORY_SCHEMAS } from './mandatory.ts';
import { validateFlowConditions, validateRules } from './rules.ts';

const SPEC = fieldPath('spec');
const CONDITIONS = fieldPath('status', 'conditions');
const MAX_PRECEDENCE = 10_000;
const DEFAULT_PRECEDENCE = 1000;

function validate({ metadata, spec, status }: FlowSchema): FieldError[] {
  const name = metadata.name ?? '';
  const { matchingPrecedence: precedence = 0, distinguisherMethod: method, priorityLevelConfiguration: level, rules } = spec ?? {};
  const at = SPEC.child('matchingPrecedence');
  const errors: FieldError[] = [];
  if (precedence <= 0) errors.push(invalidValue(at, precedence, 'must be a positive value'));
  if (precedence > MAX_PRECEDENCE) errors.push(invalidValue(at, precedence, `must not be greater than ${MAX_PRECEDENCE}`));
  if (precedence === 1 && name !== 'exempt') errors.push(invalidValue(at, precedence, "only the schema named 'exempt' may have matchingPrecedence 1"));
  if (method && !['ByNamespace', 'ByUser'].includes(method.type)) errors.push(notSupported(SPEC.child('distinguisherMethod', 'type'), { Type: method.type ?? '' }, ['ByNamespace', 'ByUser']));
  const ref = SPEC.child('priorityLevelConfiguration', 'name');
  errors.push(...(level?.name ? fromMessages(ref, level.name, isDNS1123Subdomain(level.name)) : [required(ref, 'must reference a priority level')]));
  errors.push(...each(rules, SPEC.child('rules'), validateRules));
  const fixed = Object.hasOwn(MANDATORY_SCHEMAS, name) ? MANDATORY_SCHEMAS[name] : undefined;
  if (fixed && !semanticEqual(spec, fixed)) errors.push(invalidValue(SPEC, spec, `spec of '${name}' must equal the fixed value`));
  return [...errors, ...validateFlowConditions(status?.conditions, CONDITIONS)];
}

export const flowschemas = defineStrategy<FlowSchema>('flowcontrol.apiserver.k8s.io', 'v1', 'flowschemas', {
  default({ spec }) {
    if (spec) spec.matchingPrecedence ||= DEFAULT_PRECEDENCE;
  },
  prepareForCreate(schema) {
    schema.status = emptyStatus('flowcontrol.apiserver.k8s.io', 'v1', 'FlowSchema');
    schema.metadata.generation = 1;
  },
  validate,
  validateUpdate: validate,
  validateStatusUpdate: ({ status }) => validateFlowConditions(status?.conditions, CONDITIONS),
  generationFields: ['spec'],
  columns: [
    NAME,
    text('PriorityLevel', fieldDoc('api/flowcontrol/v1.PriorityLevelConfigurationReference', 'name')),
    text('MatchingPrecedence', fieldDoc('api/flowcontrol/v1.FlowSchemaSpec', 'matchingPrecedence')),
    text('DistinguisherMethod', '`distinguisherMethod` defines how to compute the flow distinguisher for requests that match this schema. `nil` specifies that the distinguisher is disabled and thus will always be the empty string.'),
    AGE,
    text('MissingPL', 'references a broken or non-existent PriorityLevelConfiguration'),
  ],
  row({ metadata, spec, status }, now) {
    const dangling = status?.conditions?.find(({ type }) => type === 'Dangling')?.status ?? '?';
    return [
      metadata.name ?? '', spec?.priorityLevelConfiguration?.name ?? '', spec?.matchingPrecedence ?? 0, spec?.distinguisherMethod?.type ?? NONE, age(metadata, now), dangling,
    ];
  },
});
