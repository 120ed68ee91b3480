import type { Deployment, DeploymentStrategy, RollingUpdateDeployment } from '#api/gen/apps-v1.ts';
import { fieldPath, forbiddenField, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { defaultPodTemplate } from '../core/pod/defaults.ts';
import { workloadWarnings } from '../core/pod/warnings.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { immutable, nonNegative } from '../field-checks.ts';
import { AGE, age, containerCells, CONTAINERS, fieldDoc, IMAGES, NAME, selectorText, text, wide } from '../printing.ts';
import { atMost100Percent, isZero, validateAvailable, validateCollisionCount, validateCounts, validateIntOrPercent, validateWithinReplicas } from './rolling-update.ts';
import { validateReplicaTemplate, validateSelector } from './template.ts';

const SPEC = fieldPath('spec');
const STATUS = fieldPath('status');

function validateRollingUpdate(update: RollingUpdateDeployment, path: FieldPath): FieldError[] {
  const { maxUnavailable = 0, maxSurge = 0 } = update;
  const at = path.child('maxUnavailable');
  const errors = [...validateIntOrPercent(maxUnavailable, at), ...validateIntOrPercent(maxSurge, path.child('maxSurge'))];
  if (isZero(maxUnavailable) && isZero(maxSurge)) errors.push(invalidValue(at, maxUnavailable, 'may not be 0 when `maxSurge` is 0'));
  return [...errors, ...atMost100Percent(maxUnavailable, at)];
}
function validateStrategy(strategy: DeploymentStrategy | undefined, path: FieldPath): FieldError[] {
  const { type, rollingUpdate } = strategy ?? {};
  const at = path.child('rollingUpdate');
  if (type === 'Recreate') return rollingUpdate ? [forbiddenField(at, "may not be specified when strategy `type` is 'Recreate'")] : [];
  if (type !== 'RollingUpdate') {
    const shown = { Type: type ?? '', RollingUpdate: rollingUpdate ? { MaxUnavailable: rollingUpdate.maxUnavailable ?? 0, MaxSurge: rollingUpdate.maxSurge ?? 0 } : null };
    return [notSupported(path, shown, ['Recreate', 'RollingUpdate'])];
  }
  return rollingUpdate ? validateRollingUpdate(rollingUpdate, at) : [required(at, 'this should be defaulted and never be nil')];
}
function validate({ spec }: Deployment): FieldError[] {
  const deadline = spec.progressDeadlineSeconds;
  const errors = [
    ...nonNegative(spec.replicas, SPEC.child('replicas')),
    ...validateSelector(spec.selector, 'deployment', SPEC.child('selector')),
    ...validateReplicaTemplate(spec.template, spec.selector, SPEC),
    ...validateStrategy(spec.strategy, SPEC.child('strategy')),
    ...nonNegative(spec.minReadySeconds, SPEC.child('minReadySeconds')),
    ...nonNegative(spec.revisionHistoryLimit, SPEC.child('revisionHistoryLimit')),
    ...nonNegative(deadline, SPEC.child('progressDeadlineSeconds')),
  ];
  if (deadline !== undefined && deadline <= (spec.minReadySeconds ?? 0)) {
    errors.push(invalidValue(SPEC.child('progressDeadlineSeconds'), deadline, 'must be greater than minReadySeconds'));
  }
  return errors;
}

export const deployments = defineStrategy<Deployment>('apps', 'v1', 'deployments', {
  givenEmpty: ['spec.template.spec.resources.claims'],
  default({ spec }) {
    if (!spec) return;
    defaultPodTemplate(spec.template);
    spec.replicas ??= 1;
    const strategy = (spec.strategy ??= {});
    strategy.type ||= 'RollingUpdate';
    if (strategy.type === 'RollingUpdate') {
      const update = (strategy.rollingUpdate ??= {});
      update.maxUnavailable ??= '25%';
      update.maxSurge ??= '25%';
    }
    spec.revisionHistoryLimit ??= 10;
    spec.progressDeadlineSeconds ??= 600;
  },
  prepareForCreate(deployment) {
    deployment.status = emptyStatus('apps', 'v1', 'Deployment');
    deployment.metadata.generation = 1;
  },
  prepareForUpdate(deployment, old, ctx) {
    if (ctx.subresource !== '') return;
    // Annotations count too: the controller copies them to its ReplicaSets.
    const changed = !semanticEqual(deployment.spec, old.spec) || !semanticEqual(deployment.metadata.annotations ?? {}, old.metadata.annotations ?? {});
    if (changed) deployment.metadata.generation = (old.metadata.generation ?? 0) + 1;
  },
  validate,
  validateUpdate: (deployment, old) => [...validate(deployment), ...immutable(deployment.spec.selector, old.spec.selector, SPEC.child('selector'))],
  warnings: workloadWarnings(SPEC.child('template'), ({ spec }) => spec?.template),
  validateStatusUpdate({ status = {} }, old) {
    return [
      ...validateCounts(status, ['observedGeneration', 'replicas', 'updatedReplicas', 'readyReplicas', 'availableReplicas', 'unavailableReplicas', 'collisionCount', 'terminatingReplicas'], STATUS),
      ...validateWithinReplicas(status, ['updatedReplicas', 'readyReplicas', 'availableReplicas'], STATUS),
      ...validateAvailable(status, 'readyReplicas', STATUS),
      ...validateCollisionCount(status.collisionCount, old.status?.collisionCount, STATUS),
    ];
  },
  generationFields: ['spec'],
  columns: [
    NAME,
    text('Ready', 'Number of the pod with ready state'),
    text('Up-to-date', fieldDoc('api/apps/v1.DeploymentStatus', 'updatedReplicas')),
    text('Available', fieldDoc('api/apps/v1.DeploymentStatus', 'availableReplicas')),
    AGE,
    CONTAINERS,
    IMAGES,
    wide('Selector', "Label selector for pods. Existing ReplicaSets whose pods are selected by this will be the ones affected by this deployment. It must match the pod template's labels."),
  ],
  row({ metadata, spec, status = {} }, now) {
    const ready = `${status.readyReplicas ?? 0}/${spec.replicas ?? 0}`;
    const [names, images] = containerCells(spec.template?.spec?.containers);
    return [metadata.name ?? '', ready, status.updatedReplicas ?? 0, status.availableReplicas ?? 0, age(metadata, now), names, images, selectorText(spec.selector)];
  },
});
