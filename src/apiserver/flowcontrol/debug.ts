/** `/debug/api_priority_and_fairness/…`: what is in the levels and queues at the moment. Source: the Kubernetes page "Flow control", "Debug endpoints". */
import { rawText } from '../http/paths.ts';
import type { PathHandler } from '../pipeline.ts';
import type { ApiRequest, ApiResult } from '../request.ts';
import type { FlowControl } from './flow-control.ts';
import type { FlowRequest } from './queue-set.ts';

export const DEBUG_PREFIX = '/debug/api_priority_and_fairness/';

type Row = readonly (string | number | boolean)[];
/** Cells with commas, in columns. */
function table(head: readonly string[], rows: readonly Row[]): string {
  const cells = [head, ...rows].map((row) => row.map((cell, i) => `${cell}${i < head.length - 1 ? ',' : ''}`));
  const widths = head.map((_, i) => Math.max(...cells.map((row) => row[i]!.length)));
  return `${cells.map((row) => row.map((cell, i) => (i < head.length - 1 ? cell.padEnd(widths[i]! + 1) : cell)).join('')).join('\n')}\n`;
}

function priorityLevels(flowControl: FlowControl): string {
  const rows = [...flowControl.levels].map(({ name, queues, quiescing }): Row => {
    const { dispatched, rejected, timedOut, cancelled } = queues.counts;
    return [name, queues.activeQueues, queues.idle, quiescing, queues.waitingCount, queues.executing.size, dispatched, rejected, timedOut, cancelled];
  });
  return table(
    ['PriorityLevelName', 'ActiveQueues', 'IsIdle', 'IsQuiescing', 'WaitingRequests', 'ExecutingRequests', 'DispatchedRequests', 'RejectedRequests', 'TimedoutRequests', 'CancelledRequests'],
    rows.toSorted((a, b) => (a[0]! < b[0]! ? -1 : 1)),
  );
}
function queues(flowControl: FlowControl): string {
  const rows = [...flowControl.levels].flatMap((level) =>
    level.queues.queues.map((q): Row => [level.name, q.index, q.waiting.length, q.executing, q.seatsInUse, `${q.nextDispatch.toFixed(8)}ss`, q.waiting.reduce((n, w) => n + w.request.work.initialSeats, 0), q.seatsWaiting]));
  return table(['PriorityLevelName', 'Index', 'PendingRequests', 'ExecutingRequests', 'SeatsInUse', 'NextDispatchR', 'InitialSeatsSum', 'MaxSeatsSum'], rows);
}
function requests(flowControl: FlowControl, details: boolean, wallTime: (monotonic: number) => string): string {
  const rowOf = (level: string, request: FlowRequest, place: number): Row => {
    const { schemaName, distinguisher, arrivedAt, startedAt, work, user, info } = request;
    const row = [level, schemaName, request.queue?.index ?? -1, place, distinguisher, wallTime(arrivedAt), work.initialSeats, work.finalSeats, `${work.additionalMs}ms`, startedAt ? wallTime(startedAt) : '0001-01-01T00:00:00Z'];
    return details ? [...row, user.name, info.verb, info.path, info.namespace, info.name, info.apiVersion, info.resource, info.subresource] : row;
  };
  const head = ['PriorityLevelName', 'FlowSchemaName', 'QueueIndex', 'RequestIndexInQueue', 'FlowDistingsher', 'ArriveTime', 'InitialSeats', 'FinalSeats', 'AdditionalLatency', 'StartTime'];
  const rows = [...flowControl.levels].flatMap((level) => [
    ...[...level.queues.executing].map((r) => rowOf(level.name, r, -1)),
    ...level.queues.queues.flatMap((q) => q.waiting.map((w, i) => rowOf(level.name, w.request, i))),
  ]);
  return table(details ? [...head, 'UserName', 'Verb', 'APIPath', 'Namespace', 'Name', 'APIVersion', 'Resource', 'SubResource'] : head, rows);
}

/** `now` and `monotonic` are the clock's: dumps show when requests came by the wall. */
export function flowControlDumps(flowControl: FlowControl, clock: { now(): number; monotonic(): number }): PathHandler {
  const wallTime = (monotonic: number): string => new Date(clock.now() - (clock.monotonic() - monotonic)).toISOString();
  return (request: ApiRequest): ApiResult | undefined => {
    switch (request.info.path.slice(DEBUG_PREFIX.length)) {
      case 'dump_priority_levels':
        return rawText(200, priorityLevels(flowControl));
      case 'dump_queues':
        return rawText(200, queues(flowControl));
      case 'dump_requests':
        return rawText(200, requests(flowControl, request.query.has('includeRequestDetails'), wallTime));
      default:
        return undefined;
    }
  };
}
