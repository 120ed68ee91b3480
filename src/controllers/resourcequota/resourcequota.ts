/**
 * Keeps `status.hard` and `status.used` of quotas. Admission charges what is created; this controller counts anew when things go, shrink
 * or end, when a quota is new or changed, soon after creations, should a charge have come to nothing, and every five minutes.
 * Source: the Kubernetes page "Resource Quotas"; upstream's counterpart: resourcequota-controller.
 */
import type { Pod, ResourceQuota } from '#api/gen/core-v1.ts';
import { keyOf, namespaceOf, type KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import type { Component } from '#base/component.ts';
import type { Informer } from '#client/informer.ts';
import { RESOURCE_QUOTAS } from '#client/kinds.ts';
import type { ReconcileResult } from '#client/reconciler.ts';
import type { WorkQueue } from '#client/work-queue.ts';
import type { Quantity } from '#machinery/quantity.ts';
import { inScopes, usageOf } from '#machinery/quota-usage.ts';
import { newController, sourceWith, type ControllerContext } from '../controller.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { countedBy, countedResources, isLess, sameAmounts, sumUsage } from './counting.ts';

/** After a creation. */
const RECOUNT_MS = 1000;
/** A charge is written before its object: a lower count is believed only when the status has been quiet so long… */
const QUIET_MS = 500;
/** …or was not quiet for so long. */
const PATIENCE_MS = 5000;
/** How often all is counted anew, whatever was seen: what others wrote into a status is put right then. */
const RECOUNT_ALL_MS = 5 * 60_000;

interface Watched {
  readonly informer: Informer<KubeObject>;
  readonly remove: () => void;
}

export function newResourceQuotaController(context: ControllerContext): Component {
  const { client, informers, clock, resources } = context;
  const quotas = informers.informer(RESOURCE_QUOTAS);
  const watched = new Map<string, Watched>();
  /** When each quota's status changed last, and since when a lower count waits: by key, in monotonic ms. */
  const changedAt = new Map<string, number>();
  const lowerSince = new Map<string, number>();
  let unsubscribe: () => void = () => {};
  const idOf = (info: ResourceInfo): string => `${info.plural}.${info.version}.${info.group}`;

  function* concerned(info: ResourceInfo, object: KubeObject): Generator<ResourceQuota> {
    for (const quota of quotas.list(namespaceOf(object))) {
      const counts = Object.keys(quota.spec?.hard ?? {}).some((name) => {
        const { group, plural } = countedBy(name);
        return group === info.group && plural === info.plural;
      });
      if (counts) yield quota;
    }
  }
  const textOf = (usage: ReadonlyMap<string, Quantity>): string => Array.from(usage, ([name, q]) => `${name}=${q.toString()}`).join();
  function handlerFor(info: ResourceInfo, queue: WorkQueue) {
    return {
      onAdd(object: KubeObject) {
        for (const quota of concerned(info, object)) queue.addAfter(keyOf(quota), RECOUNT_MS);
      },
      onUpdate(old: KubeObject, object: KubeObject) {
        const now = clock.now();
        for (const quota of concerned(info, object)) {
          if (inScopes(quota, info, old) !== inScopes(quota, info, object) || textOf(usageOf(info, old, now)) !== textOf(usageOf(info, object, now))) queue.add(keyOf(quota));
          else if (info.plural === 'pods' && info.group === '') addAtEnd(object as Pod, quota, queue, now);
        }
      },
      onDelete(object: KubeObject) {
        for (const quota of concerned(info, object)) queue.add(keyOf(quota));
      },
    };
  }
  /** A Pod whose time to end is over counts no more, though nothing tells so. */
  function addAtEnd({ metadata }: Pod, quota: ResourceQuota, queue: WorkQueue, now: number): void {
    if (metadata.deletionTimestamp === undefined) return;
    queue.addAfter(keyOf(quota), Math.max(0, Date.parse(metadata.deletionTimestamp) + (metadata.deletionGracePeriodSeconds ?? 0) * 1000 + 1 - now));
  }
  async function informerOf(info: ResourceInfo): Promise<Informer<KubeObject>> {
    const id = idOf(info);
    let found = watched.get(id);
    if (!found) {
      const informer = informers.informer<KubeObject>(info);
      found = { informer, remove: informer.addHandler(handlerFor(info, controller.queue)) };
      watched.set(id, found);
    }
    await found.informer.synced;
    return found.informer;
  }
  /** A resource that is no longer served is forgotten; quotas may count one that has come. */
  function resourcesChanged(): void {
    const served = new Set(resources.list().map(idOf));
    for (const [id, { remove }] of watched) {
      if (served.has(id)) continue;
      remove();
      watched.delete(id);
    }
    for (const quota of quotas.list()) if (Object.keys(quota.spec?.hard ?? {}).some((name) => name.startsWith('count/'))) controller.queue.add(keyOf(quota));
  }

  async function count(quota: ResourceQuota): Promise<Map<string, Quantity>> {
    const counted = [...countedResources(quota, resources.list())];
    const sources = await Promise.all(counted.map(([info]) => informerOf(info)));
    return new Map(counted.flatMap(([info, names], i) => [...sumUsage(quota, info, names, sources[i]!.list(namespaceOf(quota)), clock.now())]));
  }
  /** How long to wait before a lower count may be written; 0 for now. */
  function waitForCharges(key: string, used: ReadonlyMap<string, Quantity>, quota: ResourceQuota): number {
    const now = clock.monotonic();
    if (!isLess(used, quota.status?.used)) return 0;
    const since = lowerSince.get(key) ?? now;
    lowerSince.set(key, since);
    const wait = Math.min((changedAt.get(key) ?? -Infinity) + QUIET_MS - now, since + PATIENCE_MS - now);
    return wait > 0 ? wait : 0;
  }
  async function sync(key: string, signal: AbortSignal): Promise<ReconcileResult> {
    const quota = quotas.getByKey(key);
    if (!quota) return undefined;
    const used = await count(quota);
    const hard = quota.spec?.hard ?? {};
    const status = { hard, used: Object.fromEntries(Array.from(used, ([name, q]) => [name, q.toString()])) };
    const same = quota.status?.used !== undefined && sameAmounts(hard, quota.status.hard) && sameAmounts(status.used, quota.status.used);
    const afterMs = same ? 0 : waitForCharges(key, used, quota);
    if (afterMs > 0) return { afterMs };
    lowerSince.delete(key);
    if (!same) await client.of(RESOURCE_QUOTAS).updateStatus({ ...quota, status }, { signal });
    return { afterMs: RECOUNT_ALL_MS };
  }

  const controller = newController({
    name: 'resourcequota-controller',
    context,
    workers: 5,
    sources: (queue) => [
      sourceWith(context, RESOURCE_QUOTAS, {
        onAdd: (quota) => queue.add(keyOf(quota)),
        onUpdate(old, quota) {
          if (!sameAmounts(old.status?.used, quota.status?.used)) changedAt.set(keyOf(quota), clock.monotonic());
          if (!sameAmounts(old.spec?.hard, quota.spec?.hard)) queue.add(keyOf(quota));
        },
        onDelete(quota) {
          changedAt.delete(keyOf(quota));
          lowerSince.delete(keyOf(quota));
        },
      }),
    ],
    reconcile: (key, signal) => untilCaughtUp(() => sync(key, signal)),
  });
  return {
    name: controller.name,
    async start(signal) {
      await controller.start(signal);
      unsubscribe = resources.onChange(resourcesChanged);
    },
    async stop() {
      unsubscribe();
      for (const { remove } of watched.values()) remove();
      watched.clear();
      await controller.stop();
    },
  };
}
