import type { Event } from '#api/gen/events-v1.ts';
import { fieldPath, invalidValue, required, type FieldError } from '#machinery/field-errors.ts';
import { events as coreEvents, validateEvent } from '../core/events.ts';
import { defineStrategy } from '../define.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { immutable } from '../field-checks.ts';
import { toCoreEvent } from './conversion.ts';

function validateSeries(event: Event): FieldError[] {
  if (!event.series) return [];
  const errors: FieldError[] = [];
  if ((event.series.count ?? 0) < 2) errors.push(invalidValue(fieldPath('series.count'), '', 'should be at least 2'));
  if (!event.series.lastObservedTime) errors.push(required(fieldPath('series.lastObservedTime')));
  return errors;
}

/** Upstream names the fields of the stored form in these messages. */
function validate(event: Event): FieldError[] {
  const errors = [...validateEvent(toCoreEvent(event), 'reportingController'), ...validateSeries(event)];
  if (!event.eventTime) errors.push(required(fieldPath('eventTime')));
  if (event.type !== 'Normal' && event.type !== 'Warning') errors.push(invalidValue(fieldPath('type'), '', `has invalid value: ${event.type ?? ''}`));
  const unset = (given: boolean, field: string) => given && errors.push(invalidValue(fieldPath(field), '', 'needs to be unset'));
  unset(!!event.deprecatedFirstTimestamp, 'firstTimestamp');
  unset(!!event.deprecatedLastTimestamp, 'lastTimestamp');
  unset(!!event.deprecatedCount, 'count');
  unset(!!event.deprecatedSource?.component || !!event.deprecatedSource?.host, 'source');
  return errors;
}

const FIXED = [
  ['involvedObject', 'regarding'], ['reason', 'reason'], ['message', 'note'], ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'], ['lastTimestamp', 'deprecatedLastTimestamp'], ['count', 'deprecatedCount'], ['type', 'type'],
  ['eventTime', 'eventTime'], ['action', 'action'], ['related', 'related'], ['reportingController', 'reportingController'], ['reportingInstance', 'reportingInstance'],
] as const satisfies readonly (readonly [string, keyof Event])[];

function validateUpdate(event: Event, old: Event): FieldError[] {
  const errors = validateEvent(toCoreEvent(event), 'reportingController');
  if (!semanticEqual(event.series, old.series)) errors.push(...validateSeries(event));
  return [...errors, ...FIXED.flatMap(([shown, key]) => immutable(event[key] ?? '', old[key] ?? '', fieldPath(shown)))];
}

/** Field selectors of this version name `regarding`. */
const selectable = coreEvents.selectableFields ?? {};

export const events = defineStrategy<Event>('events.k8s.io', 'v1', 'events', {
  dependents: 'ignore',
  allowCreateOnUpdate: true,
  validate,
  validateUpdate,
  columns: coreEvents.columns,
  row: (event, now) => coreEvents.row(toCoreEvent(event), now),
  selectableFields: Object.fromEntries(
    Object.entries(selectable).filter(([field]) => field !== 'source').flatMap(([field, get]) => {
      const own = (event: Event) => get(toCoreEvent(event));
      const renamed = field.startsWith('involvedObject.') ? field.replace('involvedObject', 'regarding') : field === 'reportingComponent' ? 'reportingController' : field;
      return [[renamed, own]];
    }),
  ),
});
