/**
 * Which resources are served right now. Built-in kinds are there from the start; CustomResourceDefinitions and aggregated APIs
 * come and go. Routing looks up here on every request; discovery and OpenAPI rebuild when {@link ResourceRegistry.generation} moves.
 */
import type { APIResourceDiscovery } from '#api/gen/apidiscovery-v2.ts';
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import type { StructType } from '#api/schema.ts';
import type { Draft } from '#base/draft.ts';
import type { FieldManagement } from '#machinery/apply/update.ts';
import type { MaybePromise } from '../interfaces.ts';
import type { RequestContext } from '../context.ts';
import type { ApiRequest, ApiResult } from '../request.ts';
import type { Claims } from './claims.ts';
import type { CacheEntry, ObjectStorage } from './object-cache.ts';
import type { Strategy } from './strategy.ts';

export interface DecodedObject {
  readonly object: Draft<KubeObject>;
  /** Complaints of strict decoding: `unknown field "spec.foo"`, `duplicate field "spec.bar"`. */
  readonly strict: readonly string[];
}
/** Between the wire form of one served version and the stored form. */
export interface ResourceCodec {
  /** The Go type behind the kind; undefined for custom resources, which have no strategic merge patch. */
  readonly structType: StructType | undefined;
  /** What field ownership needs to know of the kind. */
  readonly apply: Pick<FieldManagement, 'schema' | 'zero' | 'versions'>;
  /** A private object with every default of the schema, from JSON. `text` is that JSON where it repeats keys. Throws an Error worded as Go's decoder for a value of a wrong type. */
  decode(value: unknown, text?: string): DecodedObject;
  /** The object as it is stored and printed: zero values of structs in place, everything in canonical form. A new object. */
  normalise(object: KubeObject): Draft<KubeObject>;
  /** The object in the storage version; the argument itself where versions are the same. */
  toStorage(object: KubeObject): MaybePromise<KubeObject>;
  /** The entry in the served version; itself where versions are the same. */
  fromStorage(entry: CacheEntry): CacheEntry;
  /** Does what {@link fromStorage} needs and takes time (conversion by a webhook). Absent: nothing does. Await it before. */
  prepare?(entries: readonly CacheEntry[]): Promise<void> | undefined;
  /** {@link prepare} may have to ask somebody, also before it is known what a selection takes: labels and fields are those of the served version. */
  readonly waits?: boolean;
  /** The entry is stored in a version that is no longer the one to store: even an update that changes nothing writes it. */
  isStale?(entry: CacheEntry): boolean;
}

/** Serves one subresource: `verb` is one of the table's verbs for it. */
export type SubresourceHandler = (ctx: RequestContext) => MaybePromise<ApiResult>;

export interface ServedResource {
  readonly info: ResourceInfo;
  readonly strategy: Strategy;
  readonly codec: ResourceCodec;
  /** Undefined: the resource is not stored (reviews, componentstatuses) and {@link virtual} answers. */
  readonly storage: ObjectStorage | undefined;
  readonly subresources: ReadonlyMap<string, SubresourceHandler>;
  readonly virtual?: SubresourceHandler | undefined;
  /** Served, but not in discovery yet: who finds it there may count on its definition being at rest. */
  readonly unannounced?: boolean | undefined;
  /** Warnings of every answer: the version is deprecated. */
  readonly warnings?: readonly string[] | undefined;
  /** The schema for OpenAPI, of a resource that is not in the table of facts. */
  readonly openApiSchema?: Readonly<Record<string, unknown>> | undefined;
  /** What objects of the kind hold alone in the cluster. */
  readonly claims?: Claims | undefined;
}

/** A group and version that another server answers (APIService). */
export interface GroupDelegate {
  readonly group: string;
  readonly version: string;
  /** `groupPriorityMinimum` and `versionPriority` of the APIService: its place in discovery. */
  readonly priority: { readonly group: number; readonly version: number };
  /** Every request under `/apis/GROUP/VERSION`, that path itself (its discovery) included. */
  handle(request: ApiRequest, ctx: { readonly user: RequestContext['user'] }): MaybePromise<ApiResult>;
  /** Its OpenAPI documents: of the group and version (3.0), and of the whole other server (2.0). */
  readonly openapi?: { readonly v3?: object; readonly v2?: object } | undefined;
  /** What aggregated discovery shows of it: last heard from the other server. Set the delegate again when it changes. */
  readonly discovery?: { readonly resources: readonly APIResourceDiscovery[]; readonly freshness: 'Current' | 'Stale' } | undefined;
}

export interface ResourceRegistry {
  find(group: string, version: string, plural: string): ServedResource | undefined;
  /** Everything served, in discovery's order. */
  all(): readonly ServedResource[];
  /** The delegate for a whole group and version, asked before {@link find}. */
  delegate(group: string, version: string): GroupDelegate | undefined;
  delegates(): readonly GroupDelegate[];
  /** Counts up with every change. */
  readonly generation: number;
  onChange(listener: () => void): () => void;
}

const idOf = (group: string, version: string, plural: string): string => `${group}/${version}/${plural}`;

/** The registry whose contents change at run time. */
export class DynamicResourceRegistry implements ResourceRegistry {
  readonly #byId = new Map<string, ServedResource>();
  readonly #delegates = new Map<string, GroupDelegate>();
  readonly #listeners = new Set<() => void>();
  #generation = 0;

  get generation(): number {
    return this.#generation;
  }
  find(group: string, version: string, plural: string): ServedResource | undefined {
    return this.#byId.get(idOf(group, version, plural));
  }
  all(): readonly ServedResource[] {
    return [...this.#byId.values()];
  }
  delegate(group: string, version: string): GroupDelegate | undefined {
    return this.#delegates.size === 0 ? undefined : this.#delegates.get(`${group}/${version}`);
  }
  delegates(): readonly GroupDelegate[] {
    return [...this.#delegates.values()];
  }
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
  /** Adds or replaces resources in one step. */
  add(...resources: readonly ServedResource[]): void {
    for (const r of resources) this.#byId.set(idOf(r.info.group, r.info.version, r.info.plural), r);
    this.#changed();
  }
  remove(...infos: readonly ResourceInfo[]): void {
    for (const i of infos) this.#byId.delete(idOf(i.group, i.version, i.plural));
    this.#changed();
  }
  setDelegate(delegate: GroupDelegate): void {
    this.#delegates.set(`${delegate.group}/${delegate.version}`, delegate);
    this.#changed();
  }
  removeDelegate(group: string, version: string): void {
    if (this.#delegates.delete(`${group}/${version}`)) this.#changed();
  }
  #changed(): void {
    this.#generation += 1;
    for (const listener of this.#listeners) listener();
  }
}
