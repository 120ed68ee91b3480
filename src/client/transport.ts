/**
 * What a client talks through. Two implementations: HTTP(S) (`http-transport.ts`) for any cluster, and in process
 * (`cluster/in-process-transport.ts`), which runs the API server's real chain and skips only sockets and text.
 */
import type { KubeObject } from '#api/object.ts';

/** The part of a resource that a path needs; a row of the resource table is one. */
export interface ResourceRef {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespaced: boolean;
}
export type PatchType =
  | 'application/json-patch+json'
  | 'application/merge-patch+json'
  | 'application/strategic-merge-patch+json'
  | 'application/apply-patch+yaml';

export interface ApiCall {
  readonly verb: 'get' | 'list' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection';
  readonly resource: ResourceRef;
  /** Absent for cluster-scoped resources, and for lists over all namespaces. */
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
  /** Query parameters under their wire names: `labelSelector`, `fieldManager`, `dryRun`, … */
  readonly query?: Readonly<Record<string, string | readonly string[] | undefined>> | undefined;
  /** Object, patch (with {@link patchType}) or DeleteOptions. */
  readonly body?: unknown;
  readonly patchType?: PatchType | undefined;
}

export type WatchEvent<T extends KubeObject = KubeObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly object: KubeObject };

export interface Transport {
  /** Answers are deeply readonly and may be the server's own objects. Rejects with a `StatusError` for every refusal, transport failures included. */
  call(call: ApiCall, signal?: AbortSignal): Promise<unknown>;
  /**
   * A watch (`call.verb` is `list`), in batches, until the server ends it or `signal` aborts. Throws a `StatusError` of
   * reason `Expired` or `Gone` when the resourceVersion is too old.
   */
  watch(call: ApiCall, signal: AbortSignal): AsyncIterable<readonly WatchEvent[]>;
}
