import type { Job, JobSpec } from '#api/gen/batch-v1.ts';
import type { Container, PodSpec, PodTemplateSpec } from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';
import { humanDuration } from '#machinery/duration.ts';
import { fieldPath, invalidValue, required, type FieldError } from '#machinery/field-errors.ts';
import { isDNS1123Label } from '#machinery/names.ts';
import { validateLabelSelector } from '#machinery/object-meta.ts';
import { matcherOf, validateSelects } from '../apps/template.ts';
import { defaultPodTemplate } from '../core/pod/defaults.ts';
import { sameGeneration, workloadNameWarnings } from '../core/pod/warnings.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { immutable } from '../field-checks.ts';
import { AGE, age, containerCells, CONTAINERS, fieldDoc, IMAGES, NAME, selectorText, text, wide } from '../printing.ts';
import { jobSpecWarnings, validateJobSpec } from './job-spec.ts';
import { jobHas, validateJobStatusUpdate } from './job-status.ts';
import { shownMap, shownSelector } from '../internal-form.ts';

const SPEC = fieldPath('spec');
const UNLIMITED = 2 ** 31 - 1;
const UID_LABEL = 'batch.kubernetes.io/controller-uid';
const NAME_LABEL = 'batch.kubernetes.io/job-name';
/** The labels' names before they had a domain. */
const OLD_UID_LABEL = 'controller-uid';
const OLD_NAME_LABEL = 'job-name';

function generatedLabels(job: { metadata: { uid?: string | undefined; name?: string | undefined } }): Readonly<Record<string, string>> {
  const { uid = '', name = '' } = job.metadata;
  return { [OLD_UID_LABEL]: uid, [OLD_NAME_LABEL]: name, [UID_LABEL]: uid, [NAME_LABEL]: name };
}
/** A Job selects its Pods by its own UID, unless the client does so by hand. */
function generateSelector(job: Draft<Job>): void {
  const { spec } = job;
  if (spec.manualSelector) return;
  const template = (spec.template ??= {});
  const labels = ((template.metadata ??= {}).labels ??= {});
  // Labels that the client set to something else stay, for validation to refuse.
  for (const [key, value] of Object.entries(generatedLabels(job))) labels[key] ??= value;
  const selector = (spec.selector ??= {});
  (selector.matchLabels ??= {})[UID_LABEL] ??= job.metadata.uid ?? '';
}
function validateGenerated(job: Job): FieldError[] {
  if (job.spec.manualSelector || !job.spec.selector) return [];
  const errors = job.metadata.uid ? [] : [required(fieldPath('metadata', 'uid'))];
  const labels = job.spec.template?.metadata?.labels ?? {};
  const expected = generatedLabels(job);
  for (const [key, value] of Object.entries(expected)) {
    const path = SPEC.child('template', 'metadata', 'labels').key(key);
    if (labels[key] === undefined) errors.push(required(path, `must be '${value}'`));
    else if (labels[key] !== value) errors.push(invalidValue(path, shownMap(labels), `must be '${value}'`));
  }
  const matcher = matcherOf(job.spec.selector);
  if (matcher && !matcher.matches(expected)) errors.push(invalidValue(SPEC.child('selector'), shownSelector(job.spec.selector), '`selector` not auto-generated'));
  return errors;
}

function validateSpec({ spec }: Job): FieldError[] {
  const errors = validateJobSpec(spec, SPEC);
  errors.push(...(spec.selector ? validateLabelSelector(spec.selector, SPEC.child('selector')) : [required(SPEC.child('selector'))]));
  const matcher = matcherOf(spec.selector);
  return matcher ? [...errors, ...validateSelects(matcher, spec.template, SPEC.child('template'))] : errors;
}
function validate(job: Job): FieldError[] {
  const errors = [...validateGenerated(job), ...validateSpec(job)];
  const { completions = 0, completionMode } = job.spec;
  const host = `${job.metadata.name ?? ''}-${completions - 1}`;
  if (completionMode === 'Indexed' && completions > 0 && isDNS1123Label(host).length > 0) {
    errors.push(invalidValue(fieldPath('metadata', 'name'), job.metadata.name ?? '', `will not able to create pod with invalid DNS label: ${host}`));
  }
  return errors;
}

/** A suspended Job without Pods may have them scheduled elsewhere (KEP-2926) and give them other resources (KEP-5440); else its template stays. */
function validateTemplateUpdate({ spec: { template } }: Job, old: Job): FieldError[] {
  const { suspend, template: before } = old.spec;
  const at = SPEC.child('template');
  const idle = suspend === true && (!old.status?.startTime || jobHas(old, 'Suspended')) && !old.status?.active;
  if (!idle) return immutable(template, before, at);
  return immutable(template?.spec, withResourcesOf(template?.spec, withSchedulingOf(template, before).spec), at.child('spec'));
}
/** The old Pod with the resources of the new one's containers of the same names and places. */
function withResourcesOf(now: PodSpec | undefined, old: PodSpec | undefined): PodSpec {
  const merge = (next: readonly Container[] | undefined, last: readonly Container[] | undefined) =>
    next?.length === last?.length ? last?.map((c, i) => (c.name === next![i]!.name ? { ...c, resources: next![i]!.resources } : c)) : last;
  return { ...old, containers: merge(now?.containers, old?.containers) ?? [], initContainers: merge(now?.initContainers, old?.initContainers) };
}
/** The old template with the new scheduling directives. */
function withSchedulingOf(now: PodTemplateSpec | undefined, old: PodTemplateSpec | undefined): PodTemplateSpec {
  const { affinity, nodeSelector, tolerations, schedulingGates } = now?.spec ?? {};
  const before = old?.spec?.affinity;
  const merged = { ...before, nodeAffinity: affinity?.nodeAffinity };
  const empty = Object.values(merged).every((value) => value === undefined);
  return {
    ...old,
    metadata: { ...old?.metadata, annotations: now?.metadata?.annotations, labels: now?.metadata?.labels },
    spec: { containers: [], ...old?.spec, nodeSelector, tolerations, schedulingGates, affinity: empty ? undefined : merged },
  };
}
const FIXED = ['completionMode', 'podFailurePolicy', 'backoffLimitPerIndex', 'managedBy', 'successPolicy'] as const satisfies readonly (keyof JobSpec)[];
function validateUpdate(job: Job, old: Job): FieldError[] {
  const [now, before] = [job.spec, old.spec];
  // The release validates the whole, and its spec again.
  const errors = [...validate(job), ...validateSpec(job)];
  const completions = SPEC.child('completions');
  if (now.completionMode !== 'Indexed') errors.push(...immutable(now.completions, before.completions, completions));
  else if (now.completions !== undefined && now.completions !== before.completions && now.completions !== now.parallelism) {
    errors.push(invalidValue(completions, now.completions, 'can only be modified in tandem with spec.parallelism'));
  }
  errors.push(...immutable(now.selector, before.selector, SPEC.child('selector')));
  errors.push(...validateTemplateUpdate(job, old));
  return [...errors, ...FIXED.flatMap((field) => immutable(now[field], before[field], SPEC.child(field)))];
}

function statusText(job: Job): string {
  if (jobHas(job, 'Complete')) return 'Complete';
  if (jobHas(job, 'Failed')) return 'Failed';
  if (job.metadata.deletionTimestamp !== undefined) return 'Terminating';
  return ['Suspended', 'FailureTarget', 'SuccessCriteriaMet'].find((type) => jobHas(job, type)) ?? 'Running';
}
function completionsText({ spec, status }: Job): string {
  const done = status?.succeeded ?? 0;
  if (spec.completions !== undefined) return `${done}/${spec.completions}`;
  const parallelism = spec.parallelism ?? 0;
  return parallelism > 1 ? `${done}/1 of ${parallelism}` : `${done}/1`;
}
function durationText({ status }: Job, now: number): string {
  if (!status?.startTime) return '';
  return humanDuration((status.completionTime ? Date.parse(status.completionTime) : now) - Date.parse(status.startTime));
}

/** Defaults that Jobs and the templates of CronJobs share. */
export function defaultJobTemplate(spec: Draft<JobSpec>): void {
  defaultPodTemplate((spec.template ??= {}));
  for (const rule of spec.podFailurePolicy?.rules ?? []) for (const pattern of rule.onPodConditions ?? []) pattern.status ||= 'True';
}
function defaultJob(job: Draft<Job>): void {
  const spec = job.spec;
  if (!spec) return;
  defaultJobTemplate(spec);
  if (spec.completions === undefined && spec.parallelism === undefined) spec.completions = 1;
  spec.parallelism ??= 1;
  spec.backoffLimit ??= spec.backoffLimitPerIndex === undefined ? 6 : UNLIMITED;
  const labels = spec.template?.metadata?.labels;
  // The very same labels, so that those which are generated for the template become the Job's, too.
  if (labels && Object.keys(job.metadata.labels ?? {}).length === 0) job.metadata.labels = labels;
  spec.completionMode ??= 'NonIndexed';
  spec.suspend ??= false;
  spec.podReplacementPolicy ??= spec.podFailurePolicy ? 'Failed' : 'TerminatingOrFailed';
  spec.manualSelector ??= false;
}

export const JOB_SELECTOR = wide('Selector', 'A label query over pods that should match the pod count. Normally, the system sets this field for you. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors');

export const jobs = defineStrategy<Job>('batch', 'v1', 'jobs', {
  givenEmpty: ['spec.template.spec.resources.claims'],
  dependents: 'orphan',
  deletionWarning: 'child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning',
  default: defaultJob,
  prepareForCreate(job) {
    const inherits = job.metadata.labels === undefined || job.metadata.labels === job.spec.template?.metadata?.labels;
    generateSelector(job);
    if (inherits) job.metadata.labels = { ...job.spec.template?.metadata?.labels };
    job.status = emptyStatus('batch', 'v1', 'Job');
    job.metadata.generation = 1;
  },
  validate,
  validateUpdate,
  warnings: (job, old) => [...workloadNameWarnings(job, old), ...(sameGeneration(job, old) ? [] : jobSpecWarnings(job.spec, SPEC))],
  validateStatusUpdate: validateJobStatusUpdate,
  generationFields: ['spec'],
  columns: [
    NAME,
    text('Status', 'Status of the job.'),
    text('Completions', fieldDoc('api/batch/v1.JobStatus', 'succeeded')),
    text('Duration', 'Time required to complete the job.'),
    AGE,
    CONTAINERS,
    IMAGES,
    JOB_SELECTOR,
  ],
  row: (job, now) => [
    job.metadata.name ?? '', statusText(job), completionsText(job), durationText(job, now), age(job.metadata, now), ...containerCells(job.spec.template?.spec?.containers),
    selectorText(job.spec.selector),
  ],
  selectableFields: { 'status.successful': (job) => String(job.status?.succeeded ?? 0) },
});
