/** The Pod of one index of a Job. */
import type { Job } from '#api/gen/batch-v1.ts';
import type { Container, Pod, PodTemplateSpec } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { failureAnnotations } from './backoff.ts';
import { COMPLETION_INDEX, hasBackoffLimitPerIndex, TRACKING_FINALIZER } from './pods.ts';

const INDEX_VARIABLE = 'JOB_COMPLETION_INDEX';
/** A generated name's prefix is cut here by the server. */
const MAX_PREFIX = 58;

function withIndexVariable(container: Container): Container {
  if (container.env?.some((e) => e.name === INDEX_VARIABLE)) return container;
  const variable = { name: INDEX_VARIABLE, valueFrom: { fieldRef: { fieldPath: `metadata.labels['${COMPLETION_INDEX}']` } } };
  return { ...container, env: [...(container.env ?? []), variable] };
}
/** The Job's template with the finalizer that keeps a Pod until it is counted. */
export function trackedTemplate({ spec: { template } }: Job): PodTemplateSpec {
  const finalizers = template.metadata?.finalizers ?? [];
  return { ...template, metadata: { ...template.metadata, finalizers: finalizers.includes(TRACKING_FINALIZER) ? finalizers : [...finalizers, TRACKING_FINALIZER] } };
}
/** The same for an index; `replaced` is the Pod that failed there last. */
export function indexTemplate(job: Job, index: number, replaced: Pod | undefined): PodTemplateSpec {
  const template = trackedTemplate(job);
  const spec = template.spec ?? { containers: [] };
  const { labels, annotations } = template.metadata ?? {};
  const failures = hasBackoffLimitPerIndex(job) ? failureAnnotations(job, replaced) : {};
  return {
    metadata: { ...template.metadata, labels: { ...labels, [COMPLETION_INDEX]: String(index) }, annotations: { ...annotations, [COMPLETION_INDEX]: String(index), ...failures } },
    spec: {
      ...spec, hostname: `${nameOf(job)}-${index}`, containers: spec.containers.map(withIndexVariable),
      ...(spec.initContainers ? { initContainers: spec.initContainers.map(withIndexVariable) } : {}),
    },
  };
}
export function indexNamePrefix(job: Job, index: number): string {
  const suffix = `-${index}-`;
  return nameOf(job).slice(0, MAX_PREFIX - suffix.length) + suffix;
}
