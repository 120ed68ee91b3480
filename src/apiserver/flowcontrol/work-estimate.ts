/**
 * How many seats a request takes, from what is known before it runs. Sources: the Kubernetes page "API Priority and Fairness", "Seats Occupied
 * by a Request" and "Execution time tweaks for watch requests"; numbers are upstream's.
 */
import type { RequestInfo } from '../interfaces.ts';
import type { Query } from '../query.ts';

export interface WorkEstimate {
  /** While the request runs. */
  readonly initialSeats: number;
  /** After its answer, for {@link additionalMs}: watchers are being told. */
  readonly finalSeats: number;
  readonly additionalMs: number;
}
/** What the estimate asks the caches. */
export interface ObjectCounts {
  /** How many objects of the resource there are, in all namespaces. */
  objects(info: RequestInfo): number;
  /** How many watchers hear of a write to the resource. */
  watchers(info: RequestInfo): number;
}

const OBJECTS_PER_SEAT = 100;
const WATCHERS_PER_SEAT = 10;
const MS_PER_WATCHER_SEAT = 5;
const MAX_SEATS = 10;
/** No request may take more of a level than this. */
const MAX_LEVEL_FRACTION = 0.15;
const ONE: WorkEstimate = { initialSeats: 1, finalSeats: 0, additionalMs: 0 };

/** The most seats of one request in a level with so many. */
export function maxSeats(nominalSeats: number): number {
  return Math.max(1, Math.min(MAX_SEATS, Math.ceil(nominalSeats * MAX_LEVEL_FRACTION)));
}

export function estimateWork(info: RequestInfo, query: Query, nominalSeats: number, counts: ObjectCounts): WorkEstimate {
  if (!info.isResourceRequest) return ONE;
  switch (info.verb) {
    case 'list':
    case 'deletecollection':
      return listWork(info, query, nominalSeats, counts);
    case 'watch':
      return query.get('sendInitialEvents') === 'true' ? listWork(info, query, nominalSeats, counts) : ONE;
    case 'create':
    case 'update':
    case 'patch':
    case 'delete':
      return writeWork(info, nominalSeats, counts);
    default:
      return ONE;
  }
}

/** Lists are cut from the watch cache: a page costs its own objects, a selection all that it looks at. */
function listWork(info: RequestInfo, query: Query, nominalSeats: number, counts: ObjectCounts): WorkEstimate {
  if (info.name !== '') return ONE;
  const stored = counts.objects(info);
  if (stored <= OBJECTS_PER_SEAT) return ONE;
  const limit = Number(query.get('limit'));
  const selects = query.get('labelSelector') !== '' || query.get('fieldSelector') !== '';
  const looked = limit > 0 && !selects && info.verb === 'list' ? Math.min(limit, stored) : stored;
  const seats = Math.min(Math.ceil(looked / OBJECTS_PER_SEAT), maxSeats(nominalSeats));
  return seats <= 1 ? ONE : { initialSeats: seats, finalSeats: 0, additionalMs: 0 };
}

function writeWork(info: RequestInfo, nominalSeats: number, counts: ObjectCounts): WorkEstimate {
  const watchers = counts.watchers(info);
  if (watchers < WATCHERS_PER_SEAT) return ONE;
  const wanted = Math.ceil(watchers / WATCHERS_PER_SEAT);
  const finalSeats = Math.min(wanted, maxSeats(nominalSeats));
  // Fewer seats, longer: the work stays the same.
  return { initialSeats: 1, finalSeats, additionalMs: (wanted * MS_PER_WATCHER_SEAT) / finalSeats };
}
