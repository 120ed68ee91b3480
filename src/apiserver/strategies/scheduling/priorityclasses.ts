import type { PriorityClass } from '#api/gen/scheduling-v1.ts';
import { fieldPath, forbiddenField, type FieldError } from '#machinery/field-errors.ts';
import { defineStrategy } from '../define.ts';
import { immutable, requiredOneOf } from '../field-checks.ts';
import { AGE, age, boolean, fieldDoc, integer, NAME, text } from '../printing.ts';

const HIGHEST = 1_000_000_000;
const SYSTEM_CLASSES: Readonly<Record<string, number>> = { 'system-node-critical': 2 * HIGHEST + 1000, 'system-cluster-critical': 2 * HIGHEST };
const RESERVED = "priority class names with 'system-' prefix are reserved for system use only. error:";

/** Why a `system-` class is none of the system's own. */
function systemProblem(name: string, { value = 0, globalDefault = false }: PriorityClass): string | undefined {
  const known = SYSTEM_CLASSES[name];
  if (known === undefined) return `${name} is not a known system priority class`;
  if (value !== known) return `value of ${name} PriorityClass must be ${known}`;
  return globalDefault ? `globalDefault of ${name} PriorityClass must be false` : undefined;
}
function validate(priority: PriorityClass): FieldError[] {
  const errors: FieldError[] = [];
  const name = priority.metadata.name ?? '';
  if (name.startsWith('system-')) {
    const problem = systemProblem(name, priority);
    if (problem !== undefined) errors.push(forbiddenField(fieldPath('metadata', 'name'), `${RESERVED} ${problem}`));
  } else if ((priority.value ?? 0) > HIGHEST) errors.push(forbiddenField(fieldPath('value'), `maximum allowed value of a user defined priority is ${HIGHEST}`));
  const policy = priority.preemptionPolicy;
  return policy === undefined ? errors : [...errors, ...requiredOneOf(policy, ['PreemptLowerPriority', 'Never'], fieldPath('preemptionPolicy'), 'listed')];
}

export const priorityclasses = defineStrategy<PriorityClass>('scheduling.k8s.io', 'v1', 'priorityclasses', {
  default(priority) {
    priority.preemptionPolicy ??= 'PreemptLowerPriority';
  },
  prepareForCreate(priority) {
    priority.metadata.generation = 1;
  },
  validate,
  validateUpdate(priority, old) {
    const errors = (priority.value ?? 0) === (old.value ?? 0) ? [] : [forbiddenField(fieldPath('value'), 'may not be changed in an update.')];
    return [...errors, ...immutable(priority.preemptionPolicy, old.preemptionPolicy, fieldPath('preemptionPolicy'))];
  },
  columns: [
    NAME,
    integer('Value', fieldDoc('api/scheduling/v1.PriorityClass', 'value')),
    boolean('Global-Default', fieldDoc('api/scheduling/v1.PriorityClass', 'globalDefault')),
    AGE,
    text('PreemptionPolicy', fieldDoc('api/scheduling/v1.PriorityClass', 'preemptionPolicy')),
  ],
  row: (p, now) => [p.metadata.name ?? '', p.value ?? 0, p.globalDefault ?? false, age(p.metadata, now), p.preemptionPolicy ?? ''],
});
