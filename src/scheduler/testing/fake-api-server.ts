/** An API server in memory, as far as the scheduler needs one: lists, watches, creates, status patches, bindings, deletions. */
import type { Pod } from '#api/gen/core-v1.ts';
import { keyOf, nameOf, type KubeObject } from '#api/object.ts';
import type { ApiCall, ResourceRef, Transport, WatchEvent } from '#client/transport.ts';
import { conflict, notFound } from '#machinery/status-error.ts';

type Watcher = (event: WatchEvent) => void;

export class FakeApiServer implements Transport {
  readonly calls: ApiCall[] = [];
  /** Called before a call is answered; may throw. */
  intercept: (call: ApiCall) => void | Promise<void> = () => {};
  readonly #objects = new Map<string, Map<string, KubeObject>>();
  readonly #watchers = new Map<string, Set<Watcher>>();
  #revision = 100;

  /** Stores the object, new or changed, and tells the watchers. */
  put<T extends KubeObject>(resource: ResourceRef, obj: T): T {
    const stored = { ...obj, metadata: { ...obj.metadata, resourceVersion: String(++this.#revision) } };
    const all = this.#of(resource.plural);
    const type = all.has(keyOf(obj)) ? 'MODIFIED' : 'ADDED';
    all.set(keyOf(obj), stored);
    this.#tell(resource.plural, { type, object: stored });
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
    await this.intercept(call);
    const { resource, verb } = call;
    if (verb === 'list') return { metadata: { resourceVersion: String(this.#revision) }, items: this.list(resource) };
    if (call.subresource === 'binding') return this.#bind(call);
    if (verb === 'create' || verb === 'update') return this.put(resource, call.body as KubeObject);
    const key = call.namespace ? `${call.namespace}/${call.name}` : call.name!;
    const found = this.get(resource, key);
    if (!found) throw notFound({ group: resource.group, resource: resource.plural }, call.name!);
    if (verb === 'get') return found;
    if (verb === 'delete') {
      this.remove(resource, key);
      return found;
    }
    if (verb === 'patch') return this.put(resource, merged(found, call.body) as KubeObject);
    throw new Error(`the fake API server does not know ${verb}`);
  }
  async *watch(call: ApiCall, signal: AbortSignal): AsyncIterable<readonly WatchEvent[]> {
    const pending: WatchEvent[] = [];
    let wake = () => {};
    const watcher: Watcher = (event) => {
      pending.push(event);
      wake();
    };
    // What was stored between the list and this watch.
    const since = Number(call.query?.['resourceVersion'] ?? 0);
    for (const obj of this.list(call.resource)) if (Number(obj.metadata.resourceVersion) > since) pending.push({ type: 'ADDED', object: obj });
    const { plural } = call.resource;
    const watchers = this.#watchers.get(plural) ?? new Set();
    this.#watchers.set(plural, watchers.add(watcher));
    try {
      while (!signal.aborted) {
        if (pending.length > 0) yield pending.splice(0);
        else {
          await new Promise<void>((resolve) => {
            wake = resolve;
            signal.addEventListener('abort', () => resolve(), { once: true });
          });
        }
      }
    } finally {
      watchers.delete(watcher);
    }
  }

  #of(plural: string): Map<string, KubeObject> {
    let all = this.#objects.get(plural);
    if (!all) this.#objects.set(plural, (all = new Map()));
    return all;
  }
  #tell(plural: string, event: WatchEvent): void {
    for (const watcher of this.#watchers.get(plural) ?? []) watcher(event);
  }
  #bind(call: ApiCall): unknown {
    const pod = this.get<Pod>(call.resource, `${call.namespace}/${call.name}`);
    const pods = { group: '', resource: 'pods' };
    if (!pod) throw notFound(pods, call.name!);
    const node = (call.body as { target: { name: string } }).target.name;
    if (pod.spec.nodeName) throw conflict(pods, call.name!, `pod ${nameOf(pod)} is already assigned to node "${pod.spec.nodeName}"`);
    const conditions = [...(pod.status?.conditions ?? []).filter((c) => c.type !== 'PodScheduled'), { type: 'PodScheduled', status: 'True' }];
    this.put(call.resource, { ...pod, spec: { ...pod.spec, nodeName: node }, status: { ...pod.status, conditions } });
    return { kind: 'Status', status: 'Success' };
  }
}

/** A merge patch in which lists of conditions merge by type. */
function merged(target: unknown, patch: unknown): unknown {
  if (patch === null || typeof patch !== 'object' || Array.isArray(patch)) return patch;
  const out: Record<string, unknown> = { ...(target as Record<string, unknown> | undefined) };
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete out[key];
    else if (key === 'conditions') {
      const old = (out[key] ?? []) as { type: string }[];
      const next = value as { type: string }[];
      out[key] = [...old.filter((c) => !next.some((n) => n.type === c.type)), ...next];
    } else out[key] = merged(out[key], value);
  }
  return out;
}
