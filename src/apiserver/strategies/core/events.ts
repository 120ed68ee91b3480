import type { Event } from '#api/gen/core-v1.ts';
import { fieldPath, invalidValue, required, type FieldError } from '#machinery/field-errors.ts';
import { isDNS1123Subdomain, isQualifiedName } from '#machinery/names.ts';
import { defineStrategy } from '../define.ts';
import { fromMessages } from '../field-checks.ts';
import { fieldDoc, NAME, since, text, UNKNOWN, wide } from '../printing.ts';
import { nameIsPathSegment } from '#machinery/names.ts';

const NAMESPACE_MISMATCH = 'does not match event.namespace';

function required128(value: string | undefined, field: string): FieldError[] {
  const path = fieldPath(field);
  if (!value) return [required(path)];
  return Buffer.byteLength(value) > 128 ? [invalidValue(path, '', 'can have at most 128 characters')] : [];
}
/** What every event must be, whichever group's version carried it; the versions name its reporter differently. */
export function validateEvent(event: Event, controllerField = 'reportingComponent'): FieldError[] {
  const errors: FieldError[] = [];
  const namespace = event.metadata.namespace ?? '';
  const involved = event.involvedObject?.namespace ?? '';
  const mismatch = invalidValue(fieldPath('involvedObject', 'namespace'), involved, NAMESPACE_MISMATCH);
  if (!event.eventTime) {
    if (involved === '' ? namespace !== '' && namespace !== 'default' : namespace !== involved) errors.push(mismatch);
  } else {
    if (involved === '' && namespace !== 'default' && namespace !== 'kube-system') errors.push(mismatch);
    const controller = event.reportingComponent ?? '';
    if (controller === '') errors.push(required(fieldPath(controllerField)));
    errors.push(...fromMessages(fieldPath(controllerField), controller, isQualifiedName(controller)));
    errors.push(...required128(event.reportingInstance, 'reportingInstance'), ...required128(event.action, 'action'), ...required128(event.reason, 'reason'));
    if (Buffer.byteLength(event.message ?? '') > 1024) errors.push(invalidValue(fieldPath('message'), '', 'can have at most 1024 characters'));
  }
  return [...errors, ...fromMessages(fieldPath('namespace'), namespace, isDNS1123Subdomain(namespace))];
}

/** `Last Seen` of the table: the series' newest observation, else the last time, else the event's own. */
function lastSeen(event: Event, now: number): string {
  const stamp = event.series?.lastObservedTime ?? event.lastTimestamp ?? event.eventTime;
  const first = event.firstTimestamp ?? event.eventTime;
  return stamp ? since(stamp, now) : since(first, now);
}
function sourceText(event: Event): string {
  const component = event.source?.component || event.reportingComponent || '';
  const host = event.source?.host || event.reportingInstance || '';
  return [component, host].filter((part) => part !== '').join(', ');
}
function objectText(event: Event): string {
  const { kind, name } = event.involvedObject;
  return kind ? `${kind.toLowerCase()}/${name ?? ''}` : (name ?? '');
}
const involvedField = (key: 'kind' | 'namespace' | 'name' | 'uid' | 'apiVersion' | 'resourceVersion' | 'fieldPath') => (event: Event) => event.involvedObject?.[key] ?? '';

export const events = defineStrategy<Event>('', 'v1', 'events', {
  dependents: 'ignore',
  allowCreateOnUpdate: true,
  validateName: nameIsPathSegment,
  validate: (event) => validateEvent(event),
  validateUpdate: (event) => validateEvent(event),
  columns: [
    text('Last Seen', fieldDoc('api/core/v1.Event', 'lastTimestamp')),
    text('Type', fieldDoc('api/core/v1.Event', 'type')),
    text('Reason', fieldDoc('api/core/v1.Event', 'reason')),
    text('Object', 'The object that this event is about.'),
    wide('Subobject', fieldDoc('api/core/v1.ObjectReference', 'fieldPath')),
    wide('Source', 'The component reporting this event. Should be a short machine understandable string.'),
    text('Message', fieldDoc('api/core/v1.Event', 'message')),
    wide('First Seen', fieldDoc('api/core/v1.Event', 'firstTimestamp')),
    wide('Count', fieldDoc('api/core/v1.Event', 'count')),
    { ...NAME, priority: 1 },
  ],
  row: (event, now) => [
    lastSeen(event, now), event.type ?? '', event.reason ?? '', objectText(event), event.involvedObject.fieldPath ?? '', sourceText(event),
    (event.message ?? '').trim(), event.firstTimestamp || event.eventTime ? since(event.firstTimestamp ?? event.eventTime, now) : UNKNOWN,
    event.series?.count ?? (event.count || 1), event.metadata.name ?? '',
  ],
  selectableFields: {
    'involvedObject.kind': involvedField('kind'),
    'involvedObject.namespace': involvedField('namespace'),
    'involvedObject.name': involvedField('name'),
    'involvedObject.uid': involvedField('uid'),
    'involvedObject.apiVersion': involvedField('apiVersion'),
    'involvedObject.resourceVersion': involvedField('resourceVersion'),
    'involvedObject.fieldPath': involvedField('fieldPath'),
    reason: (event) => event.reason ?? '',
    reportingComponent: (event) => event.reportingComponent ?? '',
    source: (event) => event.source?.component || event.reportingComponent || '',
    type: (event) => event.type ?? '',
  },
});
