import type { CronJob } from '#api/gen/batch-v1.ts';
import { CronError, isKnownTimeZone, parseCron } from '#machinery/cron.ts';
import { fieldPath, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { sameGeneration, workloadNameWarnings } from '../core/pod/warnings.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { nonNegative, requiredOneOf } from '../field-checks.ts';
import { AGE, age, boolean, containerCells, CONTAINERS, fieldDoc, IMAGES, integer, NAME, NONE, selectorText, since, text } from '../printing.ts';
import { jobSpecWarnings, validateJobSpec } from './job-spec.ts';
import { defaultJobTemplate, JOB_SELECTOR } from './jobs.ts';
import { shownSelector } from '../internal-form.ts';

const SPEC = fieldPath('spec');
/** A Job's name is the CronJob's and 11 characters of its time, and at most 63 long. */
const MAX_NAME = 52;
const ZONE_IN_SCHEDULE = 'cannot use TZ or CRON_TZ in spec.spec.schedule, use timeZone instead, see https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/ for more details';
const ZONE_PART = /^[A-Za-z.\-_0-9+]{1,14}$/;

/** Why a text is no schedule; undefined when it is one. */
function scheduleProblem(schedule: string): string | undefined {
  try {
    parseCron(schedule);
    return undefined;
  } catch (err) {
    if (err instanceof CronError) return err.message;
    throw err;
  }
}
function validateSchedule(schedule: string, timeZone: string | undefined, allowZone: boolean): FieldError[] {
  const path = SPEC.child('schedule');
  if (schedule === '') return [required(path)];
  const problem = scheduleProblem(schedule);
  const errors = problem === undefined ? [] : [invalidValue(path, schedule, problem)];
  if (!schedule.includes('TZ')) return errors;
  if (!allowZone) errors.push(invalidValue(path, schedule, 'cannot use TZ or CRON_TZ in schedule, use timeZone field instead'));
  else if (timeZone !== undefined) errors.push(invalidValue(path, schedule, 'cannot use both timeZone field and TZ or CRON_TZ in schedule'));
  return errors;
}
function validateTimeZone(zone: string | undefined, path: FieldPath): FieldError[] {
  if (zone === undefined) return [];
  if (zone === '') return [invalidValue(path, zone, 'timeZone must be nil or non-empty string')];
  const unknown = invalidValue(path, zone, `unknown time zone ${zone}`);
  if (zone.split('/').some((part) => part === '.' || part === '..' || part.startsWith('-') || !ZONE_PART.test(part))) return [unknown];
  if (zone.toLowerCase() === 'local') return [invalidValue(path, zone, 'timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones')];
  return isKnownTimeZone(zone) ? [] : [unknown];
}
function validateSpec({ spec }: CronJob, old?: CronJob): FieldError[] {
  const job = spec.jobTemplate?.spec ?? { template: {} };
  const at = SPEC.child('jobTemplate', 'spec');
  const errors = [
    ...validateSchedule(spec.schedule ?? '', spec.timeZone, old?.spec.schedule.includes('TZ') ?? false),
    ...nonNegative(spec.startingDeadlineSeconds, SPEC.child('startingDeadlineSeconds')),
    ...(old && old.spec.timeZone === spec.timeZone ? [] : validateTimeZone(spec.timeZone, SPEC.child('timeZone'))),
    ...requiredOneOf(spec.concurrencyPolicy, ['Allow', 'Forbid', 'Replace'], SPEC.child('concurrencyPolicy')),
    ...validateJobSpec(job, at),
  ];
  if (job.selector) errors.push(invalidValue(at.child('selector'), shownSelector(job.selector), '`selector` will be auto-generated'));
  if (job.manualSelector) errors.push(notSupported(at.child('manualSelector'), true, ['nil', 'false']));
  return [
    ...errors, ...nonNegative(spec.successfulJobsHistoryLimit, SPEC.child('successfulJobsHistoryLimit')), ...nonNegative(spec.failedJobsHistoryLimit, SPEC.child('failedJobsHistoryLimit')),
  ];
}

export const cronjobs = defineStrategy<CronJob>('batch', 'v1', 'cronjobs', {
  givenEmpty: ['spec.jobTemplate.spec.template.spec.resources.claims'],
  default({ spec }) {
    if (!spec) return;
    spec.concurrencyPolicy ||= 'Allow';
    spec.suspend ??= false;
    spec.successfulJobsHistoryLimit ??= 3;
    spec.failedJobsHistoryLimit ??= 1;
    if (spec.jobTemplate?.spec) defaultJobTemplate(spec.jobTemplate.spec);
  },
  prepareForCreate(cronjob) {
    cronjob.status = emptyStatus('batch', 'v1', 'CronJob');
    cronjob.metadata.generation = 1;
  },
  validate(cronjob) {
    const name = cronjob.metadata.name ?? '';
    const errors = validateSpec(cronjob);
    return name.length > MAX_NAME ? [...errors, invalidValue(fieldPath('metadata', 'name'), name, `must be no more than ${MAX_NAME} characters`)] : errors;
  },
  validateUpdate: (cronjob, old) => validateSpec(cronjob, old),
  warnings: (cronjob, old) => [
    ...workloadNameWarnings(cronjob, old), ...(sameGeneration(cronjob, old) ? [] : jobSpecWarnings(cronjob.spec.jobTemplate?.spec, SPEC.child('jobTemplate', 'spec'))),
    ...(old && cronjob.spec.schedule.includes('TZ') ? [ZONE_IN_SCHEDULE] : []),
  ],
  validateStatusUpdate: () => [],
  generationFields: ['spec'],
  columns: [
    NAME,
    text('Schedule', fieldDoc('api/batch/v1.CronJobSpec', 'schedule')),
    text('Timezone', fieldDoc('api/batch/v1.CronJobSpec', 'timeZone')),
    boolean('Suspend', fieldDoc('api/batch/v1.CronJobSpec', 'suspend')),
    integer('Active', fieldDoc('api/batch/v1.CronJobStatus', 'active')),
    text('Last Schedule', fieldDoc('api/batch/v1.CronJobStatus', 'lastScheduleTime')),
    AGE,
    CONTAINERS,
    IMAGES,
    JOB_SELECTOR,
  ],
  row({ metadata, spec, status }, now) {
    const job = spec.jobTemplate?.spec;
    const suspend = spec.suspend === undefined ? '<unset>' : spec.suspend ? 'True' : 'False';
    const last = status?.lastScheduleTime ? since(status.lastScheduleTime, now) : NONE;
    return [
      metadata.name ?? '', spec.schedule, spec.timeZone ?? NONE, suspend, status?.active?.length ?? 0, last, age(metadata, now), ...containerCells(job?.template?.spec?.containers),
      selectorText(job?.selector),
    ];
  },
});
