/** Neutral requests and results: what passes between the adapters (HTTP, in process) and the pipeline. */
import type { KubeObject } from '#api/object.ts';
import type { Duplex } from 'node:stream';
import type { AuthenticationRequest, RequestInfo, RequestWaits, UserInfo } from './interfaces.ts';
import type { Query } from './query.ts';
import type { ListIdentity } from './registry/list-memo.ts';
import type { CacheEntry } from './registry/object-cache.ts';
import type { ServedResource } from './registry/resource-registry.ts';

/** The body as it came. In-process calls carry a value; HTTP carries bytes and their media type. */
export type RequestBody =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'bytes'; readonly mediaType: string; readonly bytes: Buffer };

/** A connection that changes its protocol (exec, attach, port-forward, proxied upgrades): the adapter's raw socket. */
export interface UpgradeSource {
  readonly socket: Duplex;
  /** Bytes that came after the request's head. */
  readonly head: Buffer;
  readonly method: string;
  /** Path and query as they came. */
  readonly path: string;
  /** Header names as the client wrote them and values, alternating. */
  readonly rawHeaders: readonly string[];
}

export interface ApiRequest {
  readonly info: RequestInfo;
  /** The HTTP method: proxies forward it. */
  readonly method: string;
  /** The path goes on behind everything that a resource path can have. */
  readonly tooLong: boolean;
  /** Path behind the subresource, for proxies. */
  readonly rest: string;
  readonly query: Query;
  readonly auth: AuthenticationRequest;
  /** Acts as this user: set for in-process calls, which are authenticated by holding the server. */
  readonly fixedUser?: UserInfo | undefined;
  /** Aborts when the client goes away, when the request's time is over, or when the server stops. */
  readonly signal: AbortSignal;
  /** Media type of the body, for the choice of patch; '' without a body. */
  readonly contentType: string;
  /** Reads the body, once. Throws for one that is too large, too slow or cut short. */
  readBody(): Promise<RequestBody | undefined>;
  /** The body as a stream, for proxies: undefined when there is none. */
  bodyStream?(): NodeJS.ReadableStream | undefined;
  readonly upgrade?: UpgradeSource | undefined;
  /** Refuses (406) when no offered form of the answer is acceptable. Called after authorisation, before anything is done. */
  checkAcceptable?(resource: ServedResource): void;
  /** Hears of the object in the body, typed and defaulted, before anything else changes it: for the audit log. `copy` makes one to keep. */
  decoded?(copy: () => KubeObject): void;
  readonly warnings: string[];
  readonly auditAnnotations: Map<string, string>;
  readonly waits?: RequestWaits | undefined;
}

/** An object of the answer with, where it came from the cache, its bytes. */
export interface ObjectResult {
  readonly kind: 'object';
  readonly code: number;
  readonly object: KubeObject;
  readonly entry?: CacheEntry | undefined;
}
export interface ListResult {
  readonly kind: 'list';
  readonly served: ServedResource;
  readonly entries: readonly CacheEntry[];
  /** The list comes again for who asks the same, and this tells that it is the same one. */
  readonly remembered?: ListIdentity | undefined;
  readonly resourceVersion: string;
  readonly continue?: string | undefined;
  readonly remainingItemCount?: number | undefined;
}
/** A watch under way: batches until it ends. `end` says how: an error becomes an ERROR event. */
export interface WatchResult {
  readonly kind: 'watch';
  /** Undefined: another server's, for callers in the process alone. */
  readonly served: ServedResource | undefined;
  readonly events: AsyncIterable<readonly WatchedEvent[]>;
}
export type WatchedEvent =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly entry: CacheEntry }
  | { readonly type: 'BOOKMARK'; readonly object: KubeObject }
  | { readonly type: 'ERROR'; readonly object: KubeObject };
/** Bytes that are no API object: logs, proxied answers. */
export interface RawResult {
  readonly kind: 'raw';
  readonly code: number;
  readonly headers: Readonly<Record<string, string | readonly string[]>>;
  readonly body: Buffer | AsyncIterable<Uint8Array>;
}
/** The connection was taken over; the adapter has nothing to answer. */
export interface HijackedResult {
  readonly kind: 'hijacked';
}
export type ApiResult = ObjectResult | ListResult | WatchResult | RawResult | HijackedResult;
