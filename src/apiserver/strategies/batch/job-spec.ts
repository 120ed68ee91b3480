/** The spec of a Job, of its own or in the template of a CronJob. */
import type { JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule, SuccessPolicyRule } from '#api/gen/batch-v1.ts';
import { duplicate, invalidValue, notSupported, required, tooLong, tooMany, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDomainPrefixedPath, isQualifiedName } from '#machinery/names.ts';
import { validatePodTemplate } from '../core/pod/spec.ts';
import { templateWarnings } from '../core/pod/warnings.ts';
import { each, fromMessages, nonNegative, oneOf } from '../field-checks.ts';
import { countIndexes, IndexesError } from './indexes.ts';
import { structByFactsName } from '#api/schema.ts';
import { internalForm } from '../internal-form.ts';

const MAX_RULES = 20;
const MAX_PATTERNS = 20;
const MAX_EXIT_CODES = 255;
const MAX_PARALLELISM = 100_000;
const MAX_FAILED_INDEXES = 100_000;
const MANY_COMPLETIONS = 100_000;
const MAX_PARALLELISM_FOR_MANY = 10_000;
const MAX_FAILED_FOR_MANY = 10_000;
const MAX_MANAGED_BY = 63;
const TOO_MANY_TO_TRACK =
  'In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track completedIndexes when a big number of indexes fail';
const MAX_INDEXES_TEXT = 64 * 1024;
const ACTIONS = ['Count', 'FailIndex', 'FailJob', 'Ignore'];
const quoted = (values: readonly string[]) => `[${values.map((v) => JSON.stringify(v)).join(' ')}]`;
/** An error about a value that upstream does not show. */
const unshown = (path: FieldPath, detail: string): FieldError => ({ type: 'FieldValueInvalid', field: path.toString(), body: `Invalid value: ${detail}` });

const COUNTS = ['parallelism', 'completions', 'activeDeadlineSeconds', 'backoffLimit', 'ttlSecondsAfterFinished', 'backoffLimitPerIndex', 'maxFailedIndexes'] as const;

function validateIndexed(spec: JobSpec, path: FieldPath): FieldError[] {
  const { completions, parallelism, maxFailedIndexes: failed } = spec;
  const errors: FieldError[] = [];
  const [parallel, maxFailed] = [path.child('parallelism'), path.child('maxFailedIndexes')];
  if (completions === undefined) errors.push(required(path.child('completions'), 'when completion mode is Indexed'));
  if (parallelism !== undefined && parallelism > MAX_PARALLELISM) {
    errors.push(invalidValue(parallel, parallelism, `must be less than or equal to ${MAX_PARALLELISM} when completion mode is Indexed`));
  }
  if (failed !== undefined && completions !== undefined && failed > completions) errors.push(invalidValue(maxFailed, failed, 'must be less than or equal to completions'));
  if (failed !== undefined && failed > MAX_FAILED_INDEXES) errors.push(invalidValue(maxFailed, failed, `must be less than or equal to ${MAX_FAILED_INDEXES}`));
  if (completions === undefined || completions <= MANY_COMPLETIONS || spec.backoffLimitPerIndex === undefined) return errors;
  const context = `when completions are above ${MANY_COMPLETIONS} and used with backoff limit per index`;
  if (failed === undefined) errors.push(required(maxFailed, `must be specified when completions is above ${MANY_COMPLETIONS}`));
  if (parallelism !== undefined && parallelism > MAX_PARALLELISM_FOR_MANY) {
    errors.push(invalidValue(parallel, parallelism, `must be less than or equal to ${MAX_PARALLELISM_FOR_MANY} ${context}`));
  }
  if (failed !== undefined && failed > MAX_FAILED_FOR_MANY) errors.push(invalidValue(maxFailed, failed, `must be less than or equal to ${MAX_FAILED_FOR_MANY} ${context}`));
  return errors;
}
function validateCompletionMode(spec: JobSpec, path: FieldPath): FieldError[] {
  const errors = spec.completionMode === undefined ? [] : oneOf(spec.completionMode, ['NonIndexed', 'Indexed'], path.child('completionMode'), 'listed');
  if (spec.completionMode === 'Indexed') return [...errors, ...validateIndexed(spec, path)];
  if (spec.completionMode !== undefined && spec.completionMode !== 'NonIndexed') return errors;
  for (const field of ['backoffLimitPerIndex', 'maxFailedIndexes'] as const) {
    if (spec[field] !== undefined) errors.push(invalidValue(path.child(field), spec[field], 'requires indexed completion mode'));
  }
  return errors;
}

function validateExitCodes(codes: PodFailurePolicyOnExitCodesRequirement, names: readonly string[], path: FieldPath): FieldError[] {
  const { operator, containerName, values = [] } = codes;
  const at = path.child('values');
  const errors = operator ? oneOf(operator, ['In', 'NotIn'], path.child('operator')) : [required(path.child('operator'), `valid values: ${quoted(['In', 'NotIn'])}`)];
  if (containerName !== undefined && !names.includes(containerName)) {
    errors.push(invalidValue(path.child('containerName'), containerName, 'must be one of the container or initContainer names in the pod template'));
  }
  if (values.length === 0) errors.push(invalidValue(at, codes.values ?? null, 'at least one value is required'));
  else if (values.length > MAX_EXIT_CODES) errors.push(tooMany(at, values.length, MAX_EXIT_CODES));
  errors.push(
    ...each(values, at, (value, valuePath, i) => [
      ...(operator === 'In' && value === 0 ? [invalidValue(valuePath, value, 'must not be 0 for the In operator')] : []),
      ...(values.indexOf(value) < i ? [duplicate(valuePath, value)] : []),
    ]),
  );
  if (values.some((value, i) => i > 0 && values[i - 1]! > value)) errors.push(invalidValue(at, values, 'must be ordered'));
  return errors;
}
function validateFailureRule(rule: PodFailurePolicyRule, spec: JobSpec, names: readonly string[], path: FieldPath): FieldError[] {
  const action = path.child('action');
  const errors: FieldError[] = [];
  if (!rule.action) errors.push(required(action, `valid values: ${quoted(ACTIONS)}`));
  else if (rule.action === 'FailIndex') {
    if (spec.backoffLimitPerIndex === undefined) errors.push(invalidValue(action, rule.action, 'requires the backoffLimitPerIndex to be set'));
  } else errors.push(...oneOf(rule.action, ACTIONS, action));
  const patterns = rule.onPodConditions ?? [];
  const conditions = path.child('onPodConditions');
  if (rule.onExitCodes) errors.push(...validateExitCodes(rule.onExitCodes, names, path.child('onExitCodes')));
  if (patterns.length > MAX_PATTERNS) errors.push(tooMany(conditions, patterns.length, MAX_PATTERNS));
  errors.push(
    ...each(patterns, conditions, ({ type = '', status }, at) => [
      ...fromMessages(at.child('type'), type, isQualifiedName(type)),
      ...(status ? oneOf(status, ['False', 'True', 'Unknown'], at.child('status')) : [required(at.child('status'), `valid values: ${quoted(['False', 'True', 'Unknown'])}`)]),
    ]),
  );
  if (rule.onExitCodes && patterns.length > 0) errors.push(unshown(path, 'specifying both OnExitCodes and OnPodConditions is not supported'));
  if (!rule.onExitCodes && patterns.length === 0) errors.push(unshown(path, 'specifying one of OnExitCodes and OnPodConditions is required'));
  return errors;
}
function validateFailurePolicy(spec: JobSpec, path: FieldPath): FieldError[] {
  if (!spec.podFailurePolicy) return [];
  const rules = spec.podFailurePolicy.rules ?? [];
  const at = path.child('rules');
  const pod = spec.template?.spec;
  const names = [...(pod?.containers ?? []), ...(pod?.initContainers ?? [])].map((c) => c.name);
  return [...(rules.length > MAX_RULES ? [tooMany(at, rules.length, MAX_RULES)] : []), ...each(rules, at, (rule, rulePath) => validateFailureRule(rule, spec, names, rulePath))];
}

function validateSuccessRule(rule: SuccessPolicyRule, completions: number, path: FieldPath): FieldError[] {
  const { succeededCount: count, succeededIndexes: indexes } = rule;
  const errors: FieldError[] = [];
  if (count === undefined && indexes === undefined) errors.push(required(path, 'at least one of succeededCount or succeededIndexes must be specified'));
  let total = 0;
  if (indexes !== undefined) {
    const at = path.child('succeededIndexes');
    if (Buffer.byteLength(indexes) > MAX_INDEXES_TEXT) errors.push(tooLong(at, MAX_INDEXES_TEXT));
    try {
      total = countIndexes(indexes, completions);
    } catch (err) {
      if (!(err instanceof IndexesError)) throw err;
      errors.push(invalidValue(at, indexes, `error parsing succeededIndexes: ${err.message}`));
    }
  }
  if (count === undefined) return errors;
  const at = path.child('succeededCount');
  errors.push(...nonNegative(count, at));
  if (count > completions) errors.push(invalidValue(at, count, `must be less than or equal to ${completions} (the number of specified completions)`));
  if (indexes !== undefined && count > total) errors.push(invalidValue(at, count, `must be less than or equal to ${total} (the number of indexes in the specified succeededIndexes field)`));
  return errors;
}
function validateSuccessPolicy(spec: JobSpec, path: FieldPath): FieldError[] {
  if (!spec.successPolicy) return [];
  if (spec.completionMode !== 'Indexed') return [invalidValue(path, internalForm(structByFactsName('api/batch/v1.SuccessPolicy'), spec.successPolicy), 'requires indexed completion mode')];
  const rules = spec.successPolicy.rules ?? [];
  const at = path.child('rules');
  const errors = rules.length === 0 ? [required(at, 'at least one rules must be specified when the successPolicy is specified')] : [];
  if (rules.length > MAX_RULES) errors.push(tooMany(at, rules.length, MAX_RULES));
  return [...errors, ...each(rules, at, (rule, rulePath) => validateSuccessRule(rule, spec.completions ?? 0, rulePath))];
}

function validateRestartPolicy(spec: JobSpec, path: FieldPath): FieldError[] {
  const policy = spec.template?.spec?.restartPolicy ?? '';
  const at = path.child('template', 'spec', 'restartPolicy');
  // Always is the default of Pods: it stands for "not given".
  if (policy === '' || policy === 'Always') return [required(at, 'valid values: "OnFailure", "Never"')];
  if (policy !== 'OnFailure' && policy !== 'Never') return [notSupported(at, policy, ['OnFailure', 'Never'], 'listed')];
  return spec.podFailurePolicy && policy !== 'Never' ? [invalidValue(at, policy, 'only "Never" is supported when podFailurePolicy is specified')] : [];
}

export function validateJobSpec(spec: JobSpec, path: FieldPath): FieldError[] {
  const errors = COUNTS.flatMap((field) => nonNegative(spec[field], path.child(field)));
  if (spec.maxFailedIndexes !== undefined && spec.backoffLimitPerIndex === undefined) errors.push(required(path.child('backoffLimitPerIndex'), 'when maxFailedIndexes is specified'));
  if (spec.managedBy !== undefined) {
    errors.push(...isDomainPrefixedPath(path.child('managedBy'), spec.managedBy));
    if (Buffer.byteLength(spec.managedBy) > MAX_MANAGED_BY) errors.push(tooLong(path.child('managedBy'), MAX_MANAGED_BY));
  }
  const replacement = spec.podReplacementPolicy;
  return [
    ...errors,
    ...validateCompletionMode(spec, path),
    ...validateFailurePolicy(spec, path.child('podFailurePolicy')),
    ...validateSuccessPolicy(spec, path.child('successPolicy')),
    ...(replacement === undefined ? [] : oneOf(replacement, spec.podFailurePolicy ? ['Failed'] : ['Failed', 'TerminatingOrFailed'], path.child('podReplacementPolicy'))),
    ...validatePodTemplate(spec.template, path.child('template')),
    ...validateRestartPolicy(spec, path),
  ];
}

/** Of a Job's spec at a path, or of the one that a CronJob makes. */
export function jobSpecWarnings(spec: JobSpec | undefined, path: FieldPath): string[] {
  const huge = spec?.completionMode === 'Indexed' && (spec.completions ?? 0) > MANY_COMPLETIONS && (spec.parallelism ?? 0) > MAX_PARALLELISM_FOR_MANY;
  return [...(huge ? [`${path.toString()}: ${TOO_MANY_TO_TRACK}`] : []), ...templateWarnings(spec?.template, path.child('template'))];
}
