/**
 * Carries out plans, and knows when the local view of an owner's slices lags behind what was written: a reconcile on old slices would
 * write everything twice.
 */
import type { EndpointSlice } from '#api/gen/discovery-v1.ts';
import type { ObjectReference } from '#api/gen/core-v1.ts';
import { keyOf, nameOf, namespaceOf, type KubeObject } from '#api/object.ts';
import type { Client } from '#client/client.ts';
import type { Informer, InformerHandler } from '#client/informer.ts';
import { ENDPOINT_SLICES } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { TRIGGER_TIME, type NewSlice, type SlicePlan, type SliceTemplate } from './plan.ts';

export const SERVICE_NAME = 'kubernetes.io/service-name';
export const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by';
const INDEX = 'service-name';
const indexed = new WeakSet<object>();
/** Most writes of one owner at a time. */
const MAX_AT_ONCE = 8;

/** The key of the Service that a slice belongs to; undefined for one that belongs to none. */
export function serviceKeyOf(slice: EndpointSlice): string | undefined {
  const name = slice.metadata.labels?.[SERVICE_NAME];
  return name === undefined ? undefined : `${namespaceOf(slice)}/${name}`;
}

export interface SliceOwner {
  readonly object: KubeObject;
  /** apiVersion and kind of the owner: objects in lists have none. */
  readonly reference: Pick<ObjectReference, 'apiVersion' | 'kind'>;
}

export class SliceWriter {
  readonly #client: Client;
  readonly #slices: Informer<EndpointSlice>;
  readonly #manager: string;
  /** By owner's key: what was written and not yet seen, by slice key; revision, or 'gone'. */
  readonly #pending = new Map<string, Map<string, bigint | 'gone'>>();

  constructor(client: Client, slices: Informer<EndpointSlice>, manager: string) {
    this.#client = client;
    this.#slices = slices;
    this.#manager = manager;
    if (!indexed.has(slices)) {
      indexed.add(slices);
      slices.addIndex(INDEX, (slice) => {
        const key = serviceKeyOf(slice);
        return key === undefined ? [] : [key];
      });
    }
  }
  #isOurs(slice: EndpointSlice): boolean {
    return slice.metadata.labels?.[MANAGED_BY] === this.#manager;
  }
  /** Slices of a Service that this controller manages. */
  of(serviceKey: string): EndpointSlice[] {
    return this.#slices.byIndex(INDEX, serviceKey).filter((s) => this.#isOurs(s));
  }
  /** Feeds `enqueue` with the keys of Services whose slices were changed by others, or whose last write has now been seen. */
  handler(enqueue: (serviceKey: string) => void): InformerHandler<EndpointSlice> {
    const seen = (slice: EndpointSlice, gone: boolean): void => {
      const owner = serviceKeyOf(slice);
      if (owner === undefined) return;
      const pending = this.#pending.get(owner);
      const expected = pending?.get(keyOf(slice));
      if (expected === undefined) return void (this.#isOurs(slice) && enqueue(owner));
      const caughtUp = gone || (expected !== 'gone' && revisionOf(slice) >= expected);
      if (!caughtUp) return;
      pending!.delete(keyOf(slice));
      if (pending!.size === 0) {
        this.#pending.delete(owner);
        enqueue(owner);
      }
    };
    return {
      onAdd: (slice) => seen(slice, false),
      onUpdate: (old, slice) => {
        // A slice that changed its Service concerns both.
        if (serviceKeyOf(old) !== serviceKeyOf(slice) || (this.#isOurs(old) && !this.#isOurs(slice))) enqueue(serviceKeyOf(old) ?? '');
        seen(slice, false);
      },
      onDelete: (slice) => seen(slice, true),
    };
  }
  /** True while writes of the Service have not come back: the handler enqueues it when they have. */
  isBehind(serviceKey: string): boolean {
    return this.#pending.has(serviceKey);
  }
  forget(serviceKey: string): void {
    this.#pending.delete(serviceKey);
  }

  /** `triggerTime`: when the change happened that this plan tells of. */
  async apply(serviceKey: string, owner: SliceOwner, plan: SlicePlan, template: SliceTemplate, triggerTime: string | undefined, signal: AbortSignal): Promise<void> {
    const slices = this.#client.of(ENDPOINT_SLICES);
    const metaOf = (old?: EndpointSlice['metadata']) => {
      const { [TRIGGER_TIME]: _, ...kept } = (template.annotations ?? old?.annotations ?? {}) as Record<string, string>;
      const annotations = triggerTime === undefined ? kept : { ...kept, [TRIGGER_TIME]: triggerTime };
      return { labels: { ...template.labels }, ...(Object.keys(annotations).length ? { annotations } : {}) };
    };
    const runs = [
      ...plan.create.map((fresh) => async () => this.#wrote(serviceKey, await slices.create(this.#newSlice(owner, fresh, metaOf()), { signal }))),
      ...plan.update.map((slice) => async () => {
        const { annotations: _, ...meta } = slice.metadata;
        this.#wrote(serviceKey, await slices.update({ ...slice, metadata: { ...meta, ...metaOf(slice.metadata) } }, { signal }));
      }),
      ...plan.delete.map((slice) => async () => {
        this.#expect(serviceKey, keyOf(slice), 'gone');
        await slices.delete(namespaceOf(slice), nameOf(slice), {}, signal).catch((err: unknown) => {
          this.#settle(serviceKey, keyOf(slice));
          if (!isReason(err, 'NotFound')) throw err;
        });
        if (!this.#slices.getByKey(keyOf(slice))) this.#settle(serviceKey, keyOf(slice));
      }),
    ];
    for (let i = 0; i < runs.length; i += MAX_AT_ONCE) {
      const failed = (await Promise.allSettled(runs.slice(i, i + MAX_AT_ONCE).map((run) => run()))).find((r) => r.status === 'rejected');
      if (failed) throw failed.reason;
    }
  }
  #newSlice({ object, reference }: SliceOwner, fresh: NewSlice, meta: { labels: Record<string, string>; annotations?: Record<string, string> }): EndpointSlice {
    const { apiVersion = '', kind = '' } = reference;
    const name = nameOf(object);
    return {
      apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice',
      metadata: {
        generateName: `${name}-`, namespace: namespaceOf(object), ...meta,
        ownerReferences: [{ apiVersion, kind, name, uid: object.metadata.uid ?? '', controller: true, blockOwnerDeletion: true }],
      },
      ...fresh,
    };
  }
  #wrote(serviceKey: string, slice: EndpointSlice): void {
    const known = this.#slices.getByKey(keyOf(slice));
    if (known && revisionOf(known) >= revisionOf(slice)) return;
    this.#expect(serviceKey, keyOf(slice), revisionOf(slice));
  }
  #expect(serviceKey: string, key: string, what: bigint | 'gone'): void {
    const pending = this.#pending.get(serviceKey) ?? new Map<string, bigint | 'gone'>();
    this.#pending.set(serviceKey, pending.set(key, what));
  }
  #settle(serviceKey: string, key: string): void {
    const pending = this.#pending.get(serviceKey);
    pending?.delete(key);
    if (pending?.size === 0) this.#pending.delete(serviceKey);
  }
}
function revisionOf(slice: EndpointSlice): bigint {
  return BigInt(slice.metadata.resourceVersion ?? '0');
}
