/** Which form an answer takes: the `Accept` header against what a resource can be shown as (upstream's `negotiation` package). */
import { notAcceptable } from '#machinery/status-error.ts';
import { routerRefusal } from '../generic-errors.ts';
import type { Query } from '../query.ts';
import { JSON_TYPE, PROTOBUF_TYPE, YAML_TYPE } from '../registry/body.ts';

export type MediaType = typeof JSON_TYPE | typeof YAML_TYPE | typeof PROTOBUF_TYPE;
/** Another kind that the object shall be shown as (`as=Table;g=meta.k8s.io;v=v1`). */
export type Transform = 'Table' | 'PartialObjectMetadata' | 'PartialObjectMetadataList';

export interface Accepted {
  readonly mediaType: MediaType;
  readonly transform: Transform | undefined;
  /** Version of meta.k8s.io for {@link transform}: v1 or v1beta1. */
  readonly version: string;
  /** The clause says how to indent; undefined: it does not. */
  readonly pretty: boolean | undefined;
}
/** What can be offered. */
export interface Offer {
  /** The kind has a protobuf form: custom resources have none. */
  readonly protobuf: boolean;
  /** A watch streams frames: YAML has none. */
  readonly watch: boolean;
  /** Tables and metadata alone can be made of it. */
  readonly transforms: boolean;
  /** Media types of the route, where upstream's router looks at them first: all built-in kinds. */
  readonly routed?: readonly string[] | undefined;
}

export interface AcceptClause {
  readonly type: string;
  readonly q: number;
  readonly parameters: ReadonlyMap<string, string>;
}
const MAX_CLAUSES = 32;

/** The clauses of an Accept header, best first. */
export function parseAccept(header: string): readonly AcceptClause[] {
  const clauses = header.split(',', MAX_CLAUSES).map((text): AcceptClause => {
    const [type = '', ...rest] = text.split(';').map((part) => part.trim());
    const parameters = new Map(rest.map((part): [string, string] => {
      const eq = part.indexOf('=');
      return eq < 0 ? [part.toLowerCase(), ''] : [part.slice(0, eq).trim().toLowerCase(), part.slice(eq + 1).trim().replace(/^"(.*)"$/, '$1')];
    }));
    const q = Number(parameters.get('q') ?? 1);
    return { type: type.toLowerCase(), q: Number.isFinite(q) ? q : 0, parameters };
  });
  return clauses.filter((c) => c.type !== '' && c.q > 0).sort((a, b) => b.q - a.q);
}

const MEDIA_TYPES: readonly MediaType[] = [JSON_TYPE, YAML_TYPE, PROTOBUF_TYPE];
/** Wildcards stand for the first type that is offered: JSON. */
function matchType(type: string, offer: Offer): MediaType | undefined {
  if (type === '*/*' || type === 'application/*') return JSON_TYPE;
  const hit = MEDIA_TYPES.find((m) => m === type);
  if (hit === PROTOBUF_TYPE && !offer.protobuf) return undefined;
  return hit === YAML_TYPE && offer.watch ? undefined : hit;
}

function acceptClause(clause: AcceptClause, offer: Offer): Accepted | undefined {
  const mediaType = matchType(clause.type, offer);
  if (!mediaType) return undefined;
  const as = clause.parameters.get('as');
  const pretty = clause.parameters.get('pretty');
  const base = { mediaType, pretty: pretty === undefined ? undefined : pretty === '1' || pretty === 'true' };
  if (as === undefined) return { ...base, transform: undefined, version: '' };
  const version = clause.parameters.get('v') ?? '';
  const known = offer.transforms && clause.parameters.get('g') === 'meta.k8s.io' && (version === 'v1' || version === 'v1beta1');
  if (!known || (as !== 'Table' && as !== 'PartialObjectMetadata' && as !== 'PartialObjectMetadataList')) return undefined;
  return as === 'Table' && mediaType === PROTOBUF_TYPE ? undefined : { ...base, transform: as, version };
}

/** What upstream's routes of built-in kinds make. */
export const ROUTED = { object: MEDIA_TYPES, list: [...MEDIA_TYPES, 'application/json;stream=watch', 'application/vnd.kubernetes.protobuf;stream=watch'] } as const;

const DEFAULT: Accepted = { mediaType: JSON_TYPE, transform: undefined, version: '', pretty: undefined };
/** Clients send few different headers: the answers are remembered. */
const remembered = new Map<string, Accepted | null>();
const MAX_REMEMBERED = 512;

/** Throws 406 when nothing on offer is acceptable. */
export function negotiate(header: string | undefined, offer: Offer): Accepted {
  if (header === undefined || header === '' || header === JSON_TYPE) return DEFAULT;
  const id = `${Number(offer.protobuf)}${Number(offer.watch)}${Number(offer.transforms)}${header}`;
  let answer = remembered.get(id);
  if (answer === undefined) {
    answer = firstAccepted(header, offer) ?? null;
    if (remembered.size >= MAX_REMEMBERED) remembered.clear();
    if (header.length < 512) remembered.set(id, answer);
  }
  if (!answer) {
    if (offer.routed && !parseAccept(header).some((c) => c.type === '*/*' || c.type === 'application/*' || offer.routed!.includes(c.type))) {
      throw routerRefusal('NotAcceptable', `406: Not Acceptable\n\nAvailable representations: ${offer.routed.join(', ')}`);
    }
    // Protobuf is named also where custom resources have none.
    const offered = MEDIA_TYPES.filter((m) => m !== YAML_TYPE || !offer.watch);
    throw notAcceptable(`only the following media types are accepted: ${offered.join(', ')}`);
  }
  return answer;
}
function firstAccepted(header: string, offer: Offer): Accepted | undefined {
  for (const clause of parseAccept(header)) {
    const accepted = acceptClause(clause, offer);
    if (accepted) return accepted;
  }
  return undefined;
}

/** Indented when the client says so; browsers, curl and wget are taken for people. */
export function wantsPretty(accepted: Accepted, query: Query, userAgent: string | undefined): boolean {
  if (query.has('pretty')) return query.bool('pretty');
  if (accepted.pretty !== undefined) return accepted.pretty;
  return userAgent !== undefined && /^(curl|Wget|Mozilla\/5\.0)/.test(userAgent);
}
