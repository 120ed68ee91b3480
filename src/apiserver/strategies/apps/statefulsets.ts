import type { StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy } from '#api/gen/apps-v1.ts';
import type { PodTemplateSpec } from '#api/gen/core-v1.ts';
import type { Draft } from '#base/draft.ts';
import { fieldPath, forbiddenField, invalidValue, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { isDNS1123Label, nameIsDNSLabel } from '#machinery/names.ts';
import { defaultClaimSpec } from '../core/persistentvolumeclaim-defaults.ts';
import { defaultPodTemplate } from '../core/pod/defaults.ts';
import { validatePodTemplate } from '../core/pod/spec.ts';
import { claimSpecWarnings, sameGeneration, templateWarnings } from '../core/pod/warnings.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { each, fromMessages, nonNegative, oneOf } from '../field-checks.ts';
import { AGE, age, containerCells, CONTAINERS, IMAGES, NAME, text } from '../printing.ts';
import { atMost100Percent, isZero, validateAvailable, validateCollisionCount, validateCounts, validateIntOrPercent, validateWithinReplicas } from './rolling-update.ts';
import { matcherOf, validateLongRunning, validateSelector, validateSelects } from './template.ts';
import { validateClaimSpec } from '../core/persistentvolumeclaim-validation.ts';
import { structByFactsName } from '#api/schema.ts';
import { internalForm, shownSelector } from '../internal-form.ts';

const SPEC = fieldPath('spec');
const STATUS = fieldPath('status');
const RETENTION = ['Retain', 'Delete'];
const ENDLESS_HISTORY = 'spec.revisionHistoryLimit: a negative value retains all historical revisions; a value >= 0 is recommended';
const MUTABLE = ['replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy', 'minReadySeconds'] as const;

function validateUpdateStrategy(strategy: StatefulSetUpdateStrategy | undefined, path: FieldPath): FieldError[] {
  const { type, rollingUpdate } = strategy ?? {};
  const at = path.child('rollingUpdate');
  if (!type) return [required(path)];
  if (type === 'OnDelete') return rollingUpdate ? [invalidValue(at, { Partition: rollingUpdate.partition ?? 0, MaxUnavailable: rollingUpdate.maxUnavailable ?? null }, "only allowed for updateStrategy 'RollingUpdate'")] : [];
  if (type !== 'RollingUpdate') return [invalidValue(path, internalForm(structByFactsName('api/apps/v1.StatefulSetUpdateStrategy'), strategy!), "must be 'RollingUpdate' or 'OnDelete'")];
  if (!rollingUpdate) return [];
  const errors = nonNegative(rollingUpdate.partition, at.child('partition'));
  const unavailable = rollingUpdate.maxUnavailable;
  if (unavailable === undefined) return errors;
  const field = at.child('maxUnavailable');
  errors.push(...validateIntOrPercent(unavailable, field));
  if (isZero(unavailable)) errors.push(invalidValue(field, unavailable, 'cannot be 0'));
  return [...errors, ...atMost100Percent(unavailable, field)];
}

/** The template with the volumes that its claim templates will become. */
function withClaimVolumes({ template, volumeClaimTemplates = [] }: StatefulSetSpec): PodTemplateSpec {
  const claims = [...new Set(volumeClaimTemplates.map((claim) => claim.metadata?.name ?? ''))];
  const own = (template?.spec?.volumes ?? []).filter((volume) => !claims.includes(volume.name));
  const volumes = [...claims.map((name) => ({ name, persistentVolumeClaim: { claimName: name } })), ...own];
  // The controller writes these two.
  const { subdomain: _, hostname: __, ...rest } = template?.spec ?? { containers: [] };
  return { ...template, spec: { ...rest, volumes } };
}
function validateSpec({ spec }: StatefulSet, created: boolean): FieldError[] {
  const policy = spec.podManagementPolicy ?? '';
  const retention = spec.persistentVolumeClaimRetentionPolicy;
  const at = SPEC.child('template');
  const matcher = matcherOf(spec.selector);
  const errors: FieldError[] = [];
  if (policy === '') errors.push(required(SPEC.child('podManagementPolicy')));
  else if (policy !== 'OrderedReady' && policy !== 'Parallel') errors.push(invalidValue(SPEC.child('podManagementPolicy'), policy, "must be 'OrderedReady' or 'Parallel'"));
  errors.push(...validateUpdateStrategy(spec.updateStrategy, SPEC.child('updateStrategy')));
  if (retention) {
    const path = SPEC.child('persistentVolumeClaimRetentionPolicy');
    errors.push(...oneOf(retention.whenDeleted, RETENTION, path.child('whenDeleted'), 'listed'), ...oneOf(retention.whenScaled, RETENTION, path.child('whenScaled'), 'listed'));
  }
  // Of what cannot change, an update is not asked.
  if (created) errors.push(...each(spec.volumeClaimTemplates, SPEC.child('volumeClaimTemplates'), (claim, path) => validateClaimSpec(claim.spec, path.child('spec'))));
  errors.push(
    ...nonNegative(spec.replicas, SPEC.child('replicas')),
    ...nonNegative(spec.minReadySeconds, SPEC.child('minReadySeconds')),
    ...nonNegative(spec.ordinals?.start, SPEC.child('ordinals.start')),
    ...(created && spec.serviceName ? fromMessages(SPEC.child('serviceName'), spec.serviceName, isDNS1123Label(spec.serviceName)) : []),
    ...validateSelector(spec.selector, 'statefulset', SPEC.child('selector')),
  );
  if (!matcher) errors.push(invalidValue(SPEC.child('selector'), shownSelector(spec.selector), ''));
  else errors.push(...validateSelects(matcher, spec.template, at), ...validatePodTemplate(withClaimVolumes(spec), at));
  return [...errors, ...validateLongRunning(spec.template, 'StatefulSet', at)];
}
function validateUpdate(set: StatefulSet, old: StatefulSet): FieldError[] {
  const errors = validateSpec(set, false);
  const fixed = Object.fromEntries(MUTABLE.map((field) => [field, old.spec[field]]));
  if (!semanticEqual({ ...set.spec, ...fixed }, old.spec)) {
    const named = MUTABLE.map((field) => `'${field}'`);
    errors.push(forbiddenField(SPEC, `updates to statefulset spec for fields other than ${named.slice(0, -1).join(', ')} and ${named.at(-1)} are forbidden`));
  }
  return errors;
}

function defaultSpec(spec: Draft<StatefulSetSpec>): void {
  defaultPodTemplate(spec.template);
  for (const claim of spec.volumeClaimTemplates ?? []) {
    claim.apiVersion = 'v1';
    claim.kind = 'PersistentVolumeClaim';
    defaultClaimSpec(claim.spec);
    claim.status ??= {};
    claim.status.phase ||= 'Pending';
  }
  spec.podManagementPolicy ||= 'OrderedReady';
  const strategy = (spec.updateStrategy ??= {});
  if (!strategy.type) {
    strategy.type = 'RollingUpdate';
    strategy.rollingUpdate ??= {};
  }
  if (strategy.type === 'RollingUpdate' && strategy.rollingUpdate) strategy.rollingUpdate.partition ??= 0;
  const retention = (spec.persistentVolumeClaimRetentionPolicy ??= {});
  retention.whenDeleted ||= 'Retain';
  retention.whenScaled ||= 'Retain';
  spec.replicas ??= 1;
  spec.revisionHistoryLimit ??= 10;
}

/** The field is off by default in this release (feature gate MaxUnavailableStatefulSet): new uses of it are left out. */
function dropMaxUnavailable({ spec }: Draft<StatefulSet>, old: StatefulSet | undefined): void {
  const update = spec?.updateStrategy?.rollingUpdate;
  if (update && old?.spec.updateStrategy?.rollingUpdate?.maxUnavailable === undefined) delete update.maxUnavailable;
}

export const statefulsets = defineStrategy<StatefulSet>('apps', 'v1', 'statefulsets', {
  givenEmpty: ['spec.template.spec.resources.claims'],
  default: ({ spec }) => spec && defaultSpec(spec),
  prepareForCreate(set) {
    dropMaxUnavailable(set, undefined);
    set.status = emptyStatus('apps', 'v1', 'StatefulSet');
    set.metadata.generation = 1;
  },
  prepareForUpdate: dropMaxUnavailable,
  // Pods take the set's name and a number: a subdomain would make no host name.
  validateName: nameIsDNSLabel,
  validate: (set) => validateSpec(set, true),
  validateUpdate,
  warnings(set, old) {
    const claims = (set.spec.volumeClaimTemplates ?? []).flatMap(({ spec }, i) => {
      const at = SPEC.child('volumeClaimTemplates').index(i);
      return claimSpecWarnings(spec, old ? at.child('Spec') : at);
    });
    return [...(sameGeneration(set, old) ? [] : templateWarnings(set.spec.template, SPEC.child('template'))), ...claims, ...((set.spec.revisionHistoryLimit ?? 0) < 0 ? [ENDLESS_HISTORY] : [])];
  },
  validateStatusUpdate({ status }, old) {
    const counts = status ?? { replicas: 0 };
    return [
      ...validateCounts(counts, ['replicas', 'readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas', 'observedGeneration', 'collisionCount'], STATUS),
      ...validateWithinReplicas(counts, ['readyReplicas', 'currentReplicas', 'updatedReplicas', 'availableReplicas'], STATUS),
      ...validateAvailable(counts, 'status.readyReplicas', STATUS),
      ...validateCollisionCount(counts.collisionCount, old.status?.collisionCount, STATUS),
    ];
  },
  generationFields: ['spec'],
  columns: [
    NAME,
    text('Ready', 'Number of the pod with ready state'),
    AGE,
    CONTAINERS,
    IMAGES,
  ],
  row({ metadata, spec, status }, now) {
    return [metadata.name ?? '', `${status?.readyReplicas ?? 0}/${spec.replicas ?? 0}`, age(metadata, now), ...containerCells(spec.template?.spec?.containers)];
  },
});
