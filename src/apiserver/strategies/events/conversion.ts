/** Between `events.k8s.io/v1` Event and the core Event that is stored (upstream's pkg/apis/events/v1 conversion). */
import type { Event as CoreEvent } from '#api/gen/core-v1.ts';
import type { Event } from '#api/gen/events-v1.ts';

export function toCoreEvent(event: Event): CoreEvent {
  const { regarding, note, reportingController, deprecatedSource, deprecatedFirstTimestamp, deprecatedLastTimestamp, deprecatedCount, ...same } = event;
  return {
    ...same,
    apiVersion: 'v1',
    kind: 'Event',
    involvedObject: regarding ?? {},
    message: note,
    source: deprecatedSource ?? {},
    firstTimestamp: deprecatedFirstTimestamp,
    lastTimestamp: deprecatedLastTimestamp,
    count: deprecatedCount,
    reportingComponent: reportingController ?? '',
    reportingInstance: event.reportingInstance ?? '',
  };
}

export function fromCoreEvent(event: CoreEvent): Event {
  const { involvedObject, message, source, firstTimestamp, lastTimestamp, count, reportingComponent, series, ...same } = event;
  return {
    ...same,
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    // Upstream writes null here: the field is not optional in this version.
    eventTime: event.eventTime ?? (null as unknown as string),
    series: series && { count: series.count ?? 0, lastObservedTime: series.lastObservedTime ?? (null as unknown as string) },
    regarding: involvedObject,
    note: message,
    deprecatedSource: source,
    deprecatedFirstTimestamp: firstTimestamp,
    deprecatedLastTimestamp: lastTimestamp,
    deprecatedCount: count,
    reportingController: reportingComponent,
  };
}
