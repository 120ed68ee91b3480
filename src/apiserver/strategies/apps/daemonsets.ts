import type { DaemonSet, DaemonSetUpdateStrategy, RollingUpdateDaemonSet } from '#api/gen/apps-v1.ts';
import { fieldPath, invalidValue, notSupported, required, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { goQuote } from '#machinery/go-text.ts';
import { parseInt64 } from '#machinery/selectors.ts';
import { validateLabelSelector } from '#machinery/object-meta.ts';
import { defaultPodTemplate } from '../core/pod/defaults.ts';
import { validatePodTemplate } from '../core/pod/spec.ts';
import { templateWarnings } from '../core/pod/warnings.ts';
import { defineStrategy, emptyStatus } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { immutable, nonNegative } from '../field-checks.ts';
import { AGE, age, containerCells, CONTAINERS, fieldDoc, IMAGES, integer, labelsText, NAME, selectorText, text, wide } from '../printing.ts';
import { atMost100Percent, isZero, validateCollisionCount, validateCounts, validateIntOrPercent } from './rolling-update.ts';
import { isEmptySelector, matcherOf, validateLongRunning, validateSelects } from './template.ts';

const SPEC = fieldPath('spec');
const STATUS = fieldPath('status');
/** What the older field `templateGeneration` became in this version. */
const TEMPLATE_GENERATION = 'deprecated.daemonset.template.generation';

function validateRollingUpdate({ maxUnavailable = 0, maxSurge = 0 }: RollingUpdateDaemonSet, path: FieldPath): FieldError[] {
  const [unavailable, surge] = [path.child('maxUnavailable'), path.child('maxSurge')];
  const errors = [
    ...validateIntOrPercent(maxUnavailable, unavailable), ...validateIntOrPercent(maxSurge, surge), ...atMost100Percent(maxUnavailable, unavailable),
    ...atMost100Percent(maxSurge, surge),
  ];
  if (!isZero(maxUnavailable) && !isZero(maxSurge)) errors.push(invalidValue(surge, maxSurge, 'may not be set when maxUnavailable is non-zero'));
  if (isZero(maxUnavailable) && isZero(maxSurge)) errors.push(required(unavailable, 'cannot be 0 when maxSurge is 0'));
  return errors;
}
function validateStrategy(strategy: DaemonSetUpdateStrategy | undefined, path: FieldPath): FieldError[] {
  const { type, rollingUpdate } = strategy ?? {};
  if (type === 'OnDelete') return [];
  if (type !== 'RollingUpdate') return [notSupported(path, { Type: type ?? '', RollingUpdate: null }, ['RollingUpdate', 'OnDelete'], 'listed')];
  return rollingUpdate ? validateRollingUpdate(rollingUpdate, path.child('rollingUpdate')) : [required(path.child('rollingUpdate'))];
}
function validate({ spec }: DaemonSet): FieldError[] {
  const at = SPEC.child('template');
  const matcher = matcherOf(spec.selector);
  const errors = validateLabelSelector(spec.selector, SPEC.child('selector'));
  if (matcher) errors.push(...validateSelects(matcher, spec.template, at));
  if (spec.selector && isEmptySelector(spec.selector)) errors.push(invalidValue(SPEC.child('selector'), spec.selector, 'empty selector is invalid for daemonset'));
  return [
    ...errors,
    ...validatePodTemplate(spec.template, at),
    ...validateLongRunning(spec.template, 'DaemonSet', at),
    ...nonNegative(spec.minReadySeconds, SPEC.child('minReadySeconds')),
    ...validateStrategy(spec.updateStrategy, SPEC.child('updateStrategy')),
    ...nonNegative(spec.revisionHistoryLimit, SPEC.child('revisionHistoryLimit')),
  ];
}
const COUNTS = [
  'currentNumberScheduled', 'numberMisscheduled', 'desiredNumberScheduled', 'numberReady', 'observedGeneration', 'updatedNumberScheduled', 'numberAvailable',
  'numberUnavailable', 'collisionCount',
] as const;

export const daemonsets = defineStrategy<DaemonSet>('apps', 'v1', 'daemonsets', {
  givenEmpty: ['spec.template.spec.resources.claims'],
  unreadable({ metadata }) {
    const generation = metadata?.annotations?.[TEMPLATE_GENERATION];
    if (generation === undefined || parseInt64(generation) !== undefined) return undefined;
    return `strconv.ParseInt: parsing ${goQuote(generation)}: ${/^[-+]?[0-9]+$/.test(generation) ? 'value out of range' : 'invalid syntax'}`;
  },
  default({ metadata, spec }) {
    (metadata.annotations ??= {})[TEMPLATE_GENERATION] ??= '0';
    if (!spec) return;
    defaultPodTemplate(spec.template);
    const strategy = (spec.updateStrategy ??= {});
    strategy.type ||= 'RollingUpdate';
    if (strategy.type === 'RollingUpdate') {
      const update = (strategy.rollingUpdate ??= {});
      update.maxUnavailable ??= 1;
      update.maxSurge ??= 0;
    }
    spec.revisionHistoryLimit ??= 10;
  },
  prepareForCreate(set) {
    set.status = emptyStatus('apps', 'v1', 'DaemonSet');
    set.metadata.generation = 1;
    const given = parseInt64(set.metadata.annotations?.[TEMPLATE_GENERATION] ?? '') ?? 0n;
    (set.metadata.annotations ??= {})[TEMPLATE_GENERATION] = String(given < 1n ? 1n : given);
  },
  prepareForUpdate(set, old, ctx) {
    if (ctx.subresource !== '') return;
    const before = parseInt64(old.metadata.annotations?.[TEMPLATE_GENERATION] ?? '') ?? 0n;
    const changed = !semanticEqual(set.spec.template, old.spec.template);
    (set.metadata.annotations ??= {})[TEMPLATE_GENERATION] = String(changed ? before + 1n : before);
  },
  validate,
  validateUpdate: (set, old) => [...validate(set), ...immutable(set.spec.selector, old.spec.selector, SPEC.child('selector'))],
  warnings: (set, old) => (old && semanticEqual(set.spec.template, old.spec.template) ? [] : templateWarnings(set.spec.template, SPEC.child('template'))),
  validateStatusUpdate: (set, old) => [
    ...validateCounts(set.status ?? {}, COUNTS, STATUS), ...validateCollisionCount(set.status?.collisionCount, old.status?.collisionCount, STATUS),
  ],
  generationFields: ['spec'],
  fieldAnnotations: [TEMPLATE_GENERATION],
  columns: [
    NAME,
    integer('Desired', fieldDoc('api/apps/v1.DaemonSetStatus', 'desiredNumberScheduled')),
    integer('Current', fieldDoc('api/apps/v1.DaemonSetStatus', 'currentNumberScheduled')),
    integer('Ready', fieldDoc('api/apps/v1.DaemonSetStatus', 'numberReady')),
    integer('Up-to-date', fieldDoc('api/apps/v1.DaemonSetStatus', 'updatedNumberScheduled')),
    integer('Available', fieldDoc('api/apps/v1.DaemonSetStatus', 'numberAvailable')),
    text('Node Selector', fieldDoc('api/core/v1.PodSpec', 'nodeSelector')),
    AGE,
    CONTAINERS,
    IMAGES,
    wide('Selector', "A label query over pods that are managed by the daemon set. Must match in order to be controlled. It must match the pod template's labels. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"),
  ],
  row({ metadata, spec, status }, now) {
    return [
      metadata.name ?? '', status?.desiredNumberScheduled ?? 0, status?.currentNumberScheduled ?? 0, status?.numberReady ?? 0, status?.updatedNumberScheduled ?? 0,
      status?.numberAvailable ?? 0, labelsText(spec.template?.spec?.nodeSelector), age(metadata, now), ...containerCells(spec.template?.spec?.containers), selectorText(spec.selector),
    ];
  },
});
