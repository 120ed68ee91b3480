/** An API server in memory, as far as a kubelet needs one: lists, watches, creates, patches, deletions with grace, tokens. */
import { structByKind } from '#api/schema.ts';
import { keyOf, type KubeObject } from '#api/object.ts';
import type { ApiCall, ResourceRef, Transport, WatchEvent } from '#client/transport.ts';
import { applyStrategicMergePatch } from '#machinery/patch/strategic-merge.ts';
import { alreadyExists, notFound } from '#machinery/status-error.ts';

type Watcher = { readonly plural: string; readonly accepts: (obj: KubeObject) => boolean; readonly send: (event: WatchEvent) => void };

export class FakeApi implements Transport {
  readonly calls: ApiCall[] = [];
  /** Called before each call is answered; may throw, as an API server that is away does. */
  intercept: (call: ApiCall) => void = () => {};
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #watchers = new Set<Watcher>();
  #revision = 100;
  #uids = 0;

  /** Stores an object, new or changed, as another client would. */
  put<T extends KubeObject>(resource: ResourceRef, obj: T): T {
    const all = this.#of(resource.plural);
    const before = all.get(keyOf(obj));
    const uid = obj.metadata.uid ?? before?.metadata.uid ?? `made-${++this.#uids}`;
    const stored = { ...obj, metadata: { ...obj.metadata, uid, resourceVersion: String(++this.#revision) } };
    all.set(keyOf(obj), stored);
    this.#tell(resource.plural, { type: before ? 'MODIFIED' : 'ADDED', object: stored });
    return stored;
  }
  remove(resource: ResourceRef, key: string): void {
    const obj = this.#of(resource.plural).get(key);
    if (!obj) return;
    this.#of(resource.plural).delete(key);
    this.#tell(resource.plural, { type: 'DELETED', object: { ...obj, metadata: { ...obj.metadata, resourceVersion: String(++this.#revision) } } });
  }
  get<T extends KubeObject>(resource: ResourceRef, key: string): T | undefined {
    return this.#of(resource.plural).get(key) as T | undefined;
  }
  list<T extends KubeObject>(resource: ResourceRef): T[] {
    return [...this.#of(resource.plural).values()] as T[];
  }

  async call(call: ApiCall): Promise<unknown> {
    this.calls.push(call);
    this.intercept(call);
    const { resource, verb } = call;
    if (verb === 'list') return { metadata: { resourceVersion: String(this.#revision) }, items: this.list(resource).filter(selector(call)) };
    if (verb === 'deletecollection') return void this.list(resource).filter(selector(call)).forEach((obj) => this.remove(resource, keyOf(obj)));
    if (call.subresource === 'token') return { ...(call.body as object), status: { token: `token-${++this.#uids}`, expirationTimestamp: new Date(Date.parse('2026-01-02T04:04:05Z')).toISOString() } };
    const key = verb === 'create' && !(call.body as KubeObject).metadata.name ? '' : verb === 'create' || verb === 'update' ? keyOf(call.body as KubeObject) : [call.namespace, call.name].filter(Boolean).join('/');
    const found = this.get(resource, key);
    if (verb === 'create') {
      if (found) throw alreadyExists({ group: resource.group, resource: resource.plural }, found.metadata.name!);
      return this.put(resource, this.#named(call.body as KubeObject));
    }
    if (!found) throw notFound({ group: resource.group, resource: resource.plural }, String(call.name ?? key));
    if (verb === 'get') return found;
    if (verb === 'update') return this.put(resource, call.body as KubeObject);
    if (verb === 'delete') {
      this.remove(resource, key);
      return found;
    }
    const type = structByKind(resource.group, resource.version, found.kind ?? '');
    if (verb !== 'patch' || !type) throw new Error(`the fake API server does not know ${verb} of ${resource.plural}`);
    return this.put(resource, applyStrategicMergePatch(found, call.body, type) as KubeObject);
  }
  async *watch(call: ApiCall, signal: AbortSignal): AsyncIterable<readonly WatchEvent[]> {
    const pending: WatchEvent[] = [];
    let wake = (): void => {};
    const watcher: Watcher = { plural: call.resource.plural, accepts: selector(call), send: (event) => {
      pending.push(event);
      wake();
    } };
    const since = Number(call.query?.['resourceVersion'] ?? 0);
    // What was written between the list and the watch.
    for (const obj of this.list(call.resource)) if (Number(obj.metadata.resourceVersion) > since && watcher.accepts(obj)) pending.push({ type: 'MODIFIED', object: obj });
    this.#watchers.add(watcher);
    const stop = (): void => wake();
    signal.addEventListener('abort', stop, { once: true });
    try {
      while (!signal.aborted) {
        if (pending.length) yield pending.splice(0);
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    } finally {
      this.#watchers.delete(watcher);
      signal.removeEventListener('abort', stop);
    }
  }

  #named(obj: KubeObject): KubeObject {
    const { name, generateName } = obj.metadata;
    return name || !generateName ? obj : { ...obj, metadata: { ...obj.metadata, name: `${generateName}${++this.#uids}` } };
  }
  #of(plural: string): Map<string, KubeObject> {
    let all = this.#objects.get(plural);
    if (!all) this.#objects.set(plural, (all = new Map()));
    return all;
  }
  #tell(plural: string, event: WatchEvent): void {
    if (event.type === 'BOOKMARK') return;
    for (const w of this.#watchers) if (w.plural === plural && w.accepts(event.object)) w.send(event);
  }
}

/** Field selectors of the kinds that a kubelet uses: `metadata.name=x`, `spec.nodeName=x`, `spec.driver=x,spec.nodeName=y`. */
function selector(call: ApiCall): (obj: KubeObject) => boolean {
  const wanted = String(call.query?.['fieldSelector'] ?? '').split(',').map((text) => text.split('='));
  const valueAt = (obj: KubeObject, path: string): unknown => path.split('.').reduce<unknown>((o, key) => (o as Record<string, unknown> | undefined)?.[key], obj);
  return (obj) => (!call.namespace || obj.metadata.namespace === call.namespace) && wanted.every(([path = '', value]) => path === '' || valueAt(obj, path) === value);
}
