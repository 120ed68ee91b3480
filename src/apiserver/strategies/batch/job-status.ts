/** What the Job controller, or the one that `spec.managedBy` names, may report. */
import type { Job, JobStatus } from '#api/gen/batch-v1.ts';
import { duplicate, fieldPath, invalidValue, required, type FieldError } from '#machinery/field-errors.ts';
import { each, nonNegative } from '../field-checks.ts';
import { countIndexes, IndexesError, overlap } from './indexes.ts';

const STATUS = fieldPath('status');
const conditionError = (detail: string): FieldError => ({ type: 'FieldValueInvalid', field: STATUS.child('conditions').toString(), body: `Invalid value: ${detail}` });

export function jobHas(job: Job, type: string): boolean {
  return job.status?.conditions?.some((c) => c.type === type && c.status === 'True') ?? false;
}
const isFinished = (job: Job) => jobHas(job, 'Complete') || jobHas(job, 'Failed');

function validateUncounted(status: JobStatus): FieldError[] {
  const seen = new Set<string>();
  return (['succeeded', 'failed'] as const).flatMap((list) =>
    each(status.uncountedTerminatedPods?.[list], STATUS.child('uncountedTerminatedPods', list), (uid, at) => {
      if (uid === '') return [invalidValue(at, uid, 'must not be empty')];
      if (seen.has(uid)) return [duplicate(at, uid)];
      seen.add(uid);
      return [];
    }),
  );
}
function validateConditions(job: Job): FieldError[] {
  const [complete, failed, target, met] = ['Complete', 'Failed', 'FailureTarget', 'SuccessCriteriaMet'].map((type) => jobHas(job, type));
  const rules: readonly (readonly [broken: boolean | undefined, detail: string])[] = [
    [complete && failed, 'cannot set Complete=True and Failed=true conditions'],
    [complete && target, 'cannot set Complete=True and FailureTarget=true conditions'],
    [failed && !target, 'cannot set Failed=True condition without the FailureTarget=true condition'],
    [complete && !met, 'cannot set Complete=True condition without the SuccessCriteriaMet=true condition'],
    [met && failed, 'cannot set SuccessCriteriaMet=True and Failed=true conditions'],
    [met && target, 'cannot set SuccessCriteriaMet=True and FailureTarget=true conditions'],
  ];
  return rules.filter(([broken]) => broken).map(([, detail]) => conditionError(detail));
}
function validateTimes(job: Job): FieldError[] {
  const { startTime, completionTime, active = 0, terminating = 0, uncountedTerminatedPods: uncounted } = job.status ?? {};
  const errors: FieldError[] = [];
  const at = STATUS.child('completionTime');
  const complete = jobHas(job, 'Complete');
  if (completionTime && !complete) errors.push(invalidValue(at, completionTime, 'cannot set completionTime when there is no Complete=True condition'));
  if (!completionTime && complete) errors.push(required(at, 'completionTime is required for Complete jobs'));
  if (startTime && completionTime && Date.parse(completionTime) < Date.parse(startTime)) errors.push(invalidValue(at, completionTime, 'completionTime cannot be set before startTime'));
  if (!isFinished(job)) return errors;
  if (active > 0) errors.push(invalidValue(STATUS.child('active'), active, 'active>0 is invalid for finished job'));
  if (!startTime) errors.push(required(STATUS.child('startTime'), 'startTime is required for finished job'));
  if ((uncounted?.failed?.length ?? 0) + (uncounted?.succeeded?.length ?? 0) > 0) {
    errors.push(invalidValue(STATUS.child('uncountedTerminatedPods'), uncounted, 'uncountedTerminatedPods needs to be empty for finished job'));
  }
  if (terminating > 0) errors.push(invalidValue(STATUS.child('terminating'), terminating, 'terminating>0 is invalid for finished job'));
  return errors;
}
function indexesError(field: 'completedIndexes' | 'failedIndexes', list: string, completions: number): FieldError[] {
  try {
    countIndexes(list, completions);
    return [];
  } catch (err) {
    if (!(err instanceof IndexesError)) throw err;
    return [invalidValue(STATUS.child(field), list, `error parsing ${field}: ${err.message}`)];
  }
}
function validateIndexes(job: Job): FieldError[] {
  const { completedIndexes: completed = '', failedIndexes: failed } = job.status ?? {};
  const { completions, completionMode, backoffLimitPerIndex } = job.spec;
  const errors: FieldError[] = [];
  if (completions !== undefined) errors.push(...indexesError('completedIndexes', completed, completions));
  if (completions !== undefined && backoffLimitPerIndex !== undefined && failed !== undefined) errors.push(...indexesError('failedIndexes', failed, completions));
  if (completed !== '' && completionMode !== 'Indexed') {
    errors.push(invalidValue(STATUS.child('completedIndexes'), completed, 'cannot set non-empty completedIndexes when non-indexed completion mode'));
  }
  if (backoffLimitPerIndex === undefined && failed !== undefined) {
    errors.push(invalidValue(STATUS.child('failedIndexes'), failed, 'cannot set non-null failedIndexes when backoffLimitPerIndex is null'));
  }
  const common = completions === undefined || failed === undefined ? undefined : overlap(completed, failed, completions);
  if (common !== undefined) errors.push(invalidValue(STATUS.child('failedIndexes'), failed, `failedIndexes and completedIndexes overlap at index: ${common}`));
  return errors;
}
function validateChanges(job: Job, old: Job): FieldError[] {
  const [now, before] = [job.status ?? {}, old.status ?? {}];
  const errors = ['Failed', 'Complete', 'FailureTarget'].filter((type) => jobHas(old, type) && !jobHas(job, type)).map((type) => conditionError(`cannot disable the terminal ${type}=True condition`));
  for (const field of ['failed', 'succeeded'] as const) {
    if ((now[field] ?? 0) < (before[field] ?? 0)) errors.push(invalidValue(STATUS.child(field), now[field] ?? 0, `cannot decrease the ${field} counter`));
  }
  if (now.completionTime && before.completionTime && now.completionTime !== before.completionTime) {
    errors.push(invalidValue(STATUS.child('completionTime'), now.completionTime, 'completionTime cannot be mutated'));
  }
  // One that is resumed starts anew.
  if (before.startTime && now.startTime !== before.startTime && !job.spec.suspend && !jobHas(old, 'Suspended')) errors.push(required(STATUS.child('startTime'), 'startTime cannot be removed for unsuspended job'));
  if (jobHas(old, 'SuccessCriteriaMet') && !jobHas(job, 'SuccessCriteriaMet')) errors.push(conditionError('cannot disable the SuccessCriteriaMet=True condition'));
  if (jobHas(old, 'Complete') && !jobHas(old, 'SuccessCriteriaMet') && jobHas(job, 'SuccessCriteriaMet')) {
    errors.push(conditionError('cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions'));
  }
  return errors;
}

export function validateJobStatusUpdate(job: Job, old: Job): FieldError[] {
  const status = job.status ?? {};
  const errors = (['active', 'succeeded', 'failed', 'ready', 'terminating'] as const).flatMap((field) => nonNegative(status[field], STATUS.child(field)));
  errors.push(...validateUncounted(status), ...validateConditions(job), ...validateTimes(job), ...validateIndexes(job));
  if (status.ready !== undefined && status.ready > (status.active ?? 0)) errors.push(invalidValue(STATUS.child('ready'), status.ready, 'cannot set more ready pods than active'));
  if (job.spec.successPolicy && jobHas(job, 'Complete') && !jobHas(job, 'SuccessCriteriaMet')) {
    errors.push(conditionError('cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True'));
  }
  return [...errors, ...validateChanges(job, old)];
}
