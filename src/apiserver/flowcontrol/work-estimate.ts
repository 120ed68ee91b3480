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
  /** How many bytes they take in the store. */
  bytes(info: RequestInfo): number;
  /** How many watchers hear of a write to the resource. */
  watchers(info: RequestInfo): number;
}

const BYTES_PER_SEAT = 100_000;
/** A list is cut from the watch cache and streamed: more of it is never in hand at once. */
const MAX_LIST_BYTES = 1_000_000;
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

/** By the bytes that the answer holds at once, a page its own: upstream's SizeBasedListCostEstimate for lists from the cache. */
function listWork(info: RequestInfo, query: Query, nominalSeats: number, counts: ObjectCounts): WorkEstimate {
  const stored = counts.objects(info);
  if (stored === 0) return ONE;
  const limit = Number(query.get('limit'));
  const loaded = info.name !== '' ? 1 : limit > 0 ? Math.min(limit, stored) : stored;
  const bytes = Math.min(loaded * Math.floor(counts.bytes(info) / stored), MAX_LIST_BYTES);
  const seats = Math.min(Math.ceil(bytes / BYTES_PER_SEAT), maxSeats(nominalSeats));
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
