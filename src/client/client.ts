/** A typed client over any {@link Transport}. Upstream's counterpart: client-go's clientset and dynamic client. */
import type { DeleteOptions, Status } from '#api/gen/meta-v1.ts';
import { apiVersionOf, nameOf, namespaceOf, type KubeList, type KubeObject } from '#api/object.ts';
import type { KindRef } from './kinds.ts';
import type { ApiCall, PatchType, ResourceRef, Transport, WatchEvent } from './transport.ts';

export interface WriteOptions {
  readonly fieldManager?: string;
  /** Checks everything, stores nothing. */
  readonly dryRun?: boolean;
  readonly subresource?: string;
  readonly signal?: AbortSignal;
}
export interface PatchOptions extends WriteOptions {
  /** Server-side apply: take over fields that others own. */
  readonly force?: boolean;
}
export interface ListOptions {
  /** Absent or '': all namespaces. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly resourceVersion?: string;
  readonly limit?: number;
  readonly continue?: string;
  readonly signal?: AbortSignal;
}
export interface WatchOptions extends Omit<ListOptions, 'limit' | 'continue' | 'signal'> {
  readonly allowWatchBookmarks?: boolean;
  readonly timeoutSeconds?: number;
}

export class Client {
  readonly transport: Transport;
  readonly #fieldManager: string | undefined;

  /** `fieldManager` names the writer in managed fields: the component's name. */
  constructor(transport: Transport, fieldManager?: string) {
    this.transport = transport;
    this.#fieldManager = fieldManager;
  }
  of<T extends KubeObject>(kind: KindRef<T>): ResourceClient<T> {
    return new ResourceClient<T>(this.transport, kind, apiVersionOf(kind.group, kind.version), kind.kind, this.#fieldManager);
  }
  /** A client for a resource that the table does not know, such as a custom one. */
  dynamic(ref: ResourceRef, kindName: string): ResourceClient<KubeObject> {
    return new ResourceClient<KubeObject>(this.transport, ref, apiVersionOf(ref.group, ref.version), kindName, this.#fieldManager);
  }
}

/** Verbs on one resource. Every method rejects with a `StatusError`. Answers are readonly and may be shared. */
export class ResourceClient<T extends KubeObject> {
  readonly #transport: Transport;
  readonly #ref: ResourceRef;
  readonly #typeMeta: { apiVersion: string; kind: string };
  readonly #fieldManager: string | undefined;

  constructor(transport: Transport, ref: ResourceRef, apiVersion: string, kind: string, fieldManager: string | undefined) {
    this.#transport = transport;
    this.#ref = ref;
    this.#typeMeta = { apiVersion, kind };
    this.#fieldManager = fieldManager;
  }

  async get(namespace: string, name: string, signal?: AbortSignal): Promise<T> {
    return (await this.#call({ verb: 'get', namespace, name }, signal)) as T;
  }
  async list(options: ListOptions = {}): Promise<KubeList<T>> {
    const { namespace, signal, ...query } = options;
    return (await this.#call({ verb: 'list', namespace, query: texts(query) }, signal)) as KubeList<T>;
  }
  /** Batches of events after `resourceVersion`, until the server ends the watch or `signal` aborts. */
  watch(options: WatchOptions, signal: AbortSignal): AsyncIterable<readonly WatchEvent<T>[]> {
    const { namespace, ...query } = options;
    return this.#transport.watch({ verb: 'list', resource: this.#ref, namespace: namespace || undefined, query: texts(query) }, signal) as AsyncIterable<readonly WatchEvent<T>[]>;
  }
  async create(obj: T, options: WriteOptions = {}): Promise<T> {
    return (await this.#write('create', obj, undefined, options)) as T;
  }
  /** Creates a subresource's object, such as a Binding, an Eviction or a TokenRequest. */
  async createSubresource<R>(namespace: string, name: string, subresource: string, body: unknown, options: WriteOptions = {}): Promise<R> {
    return (await this.#call({ verb: 'create', namespace, name, subresource, body, query: this.#writeQuery(options) }, options.signal)) as R;
  }
  /** Replaces the object that has the body's name; its resourceVersion, when set, must be the current one. */
  async update(obj: T, options: WriteOptions = {}): Promise<T> {
    return (await this.#write('update', obj, nameOf(obj), options)) as T;
  }
  updateStatus(obj: T, options: WriteOptions = {}): Promise<T> {
    return this.update(obj, { ...options, subresource: 'status' });
  }
  async patch(namespace: string, name: string, patchType: PatchType, body: unknown, options: PatchOptions = {}): Promise<T> {
    const query = { ...this.#writeQuery(options), force: options.force === undefined ? undefined : String(options.force) };
    return (await this.#call({ verb: 'patch', namespace, name, subresource: options.subresource, patchType, body, query }, options.signal)) as T;
  }
  async delete(namespace: string, name: string, options: DeleteOptions = {}, signal?: AbortSignal): Promise<T | Status> {
    return (await this.#call({ verb: 'delete', namespace, name, body: { apiVersion: 'v1', kind: 'DeleteOptions', ...options } }, signal)) as T | Status;
  }
  async deleteCollection(list: ListOptions, options: DeleteOptions = {}): Promise<void> {
    const { namespace, signal, ...query } = list;
    await this.#call({ verb: 'deletecollection', namespace, query: texts(query), body: { apiVersion: 'v1', kind: 'DeleteOptions', ...options } }, signal);
  }

  #write(verb: 'create' | 'update', obj: T, name: string | undefined, options: WriteOptions): Promise<unknown> {
    const body = obj.kind === undefined ? { ...this.#typeMeta, ...obj } : obj;
    return this.#call({ verb, namespace: namespaceOf(obj), name, subresource: options.subresource, body, query: this.#writeQuery(options) }, options.signal);
  }
  #writeQuery(options: WriteOptions): Record<string, string | undefined> {
    return { fieldManager: options.fieldManager ?? this.#fieldManager, dryRun: options.dryRun ? 'All' : undefined };
  }
  #call(call: Omit<ApiCall, 'resource'>, signal: AbortSignal | undefined): Promise<unknown> {
    return this.#transport.call({ ...call, resource: this.#ref, namespace: this.#ref.namespaced ? call.namespace || undefined : undefined }, signal);
  }
}

function texts(query: Readonly<Record<string, string | number | boolean | undefined>>): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(query).map(([k, v]) => [k, v === undefined ? undefined : String(v)]));
}
