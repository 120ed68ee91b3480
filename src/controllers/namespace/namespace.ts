/**
 * Ends namespaces: deletes all they hold, tells what is left in conditions, then lets the namespace go.
 * Upstream's counterpart: namespace-controller; KEP-5080 (Pods before everything else).
 */
import type { Namespace, NamespaceCondition } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, type KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { NAMESPACES, PODS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, source, type ControllerContext } from '../controller.ts';

const FINALIZER = 'kubernetes';

interface Remaining {
  /** Objects left, by `pods.` or `deployments.apps`: upstream prints the group after a dot even when it is empty. */
  readonly counts: Map<string, number>;
  readonly finalizers: Map<string, number>;
  readonly failures: string[];
  /** Seconds that what is left may still take to end by itself. */
  graceSeconds: number;
}

export function newNamespaceController(context: ControllerContext): Component {
  const { client, informers, clock } = context;
  const namespaces = informers.informer(NAMESPACES);

  const deletable = (): ResourceInfo[] => context.resources.list().filter((r) => r.namespaced && !r.storedAs && r.verbs.includes('delete') && r.verbs.includes('list'));

  async function drain(namespace: string, resource: ResourceInfo, left: Remaining, signal: AbortSignal): Promise<void> {
    const name = `${resource.plural}.${resource.group}`;
    const objects = client.dynamic(resource, resource.kind);
    try {
      if (resource.verbs.includes('deletecollection')) await objects.deleteCollection({ namespace, signal }, { propagationPolicy: 'Background' });
      else for (const obj of (await objects.list({ namespace, signal })).items) await objects.delete(namespace, nameOf(obj), { propagationPolicy: 'Background' }, signal);
      const { items } = await objects.list({ namespace, signal });
      if (items.length) count(left, name, items);
    } catch (err) {
      if (isReason(err, 'NotFound') || isReason(err, 'MethodNotAllowed')) return;
      left.failures.push(`${(err as Error).message}`);
    }
  }
  function count(left: Remaining, name: string, items: readonly KubeObject[]): void {
    left.counts.set(name, items.length);
    for (const obj of items) {
      for (const f of obj.metadata.finalizers ?? []) left.finalizers.set(f, (left.finalizers.get(f) ?? 0) + 1);
      left.graceSeconds = Math.max(left.graceSeconds, obj.metadata.deletionGracePeriodSeconds ?? 0);
    }
  }
  async function deleteContent(namespace: string, signal: AbortSignal): Promise<Remaining> {
    const left: Remaining = { counts: new Map(), finalizers: new Map(), failures: [], graceSeconds: 0 };
    // Pods first: what they use must outlive them.
    await drain(namespace, PODS, left, signal);
    if (left.counts.size > 0 || left.failures.length > 0) return left;
    for (const resource of deletable()) if (resource.plural !== 'pods' || resource.group !== '') await drain(namespace, resource, left, signal);
    return left;
  }
  async function updateConditions(ns: Namespace, left: Remaining, signal: AbortSignal): Promise<Namespace> {
    const conditions = namespaceConditions(ns.status?.conditions ?? [], left, rfc3339(clock.now()));
    if (JSON.stringify(conditions) === JSON.stringify(ns.status?.conditions ?? []) && ns.status?.phase === 'Terminating') return ns;
    return await client.of(NAMESPACES).updateStatus({ ...ns, status: { ...ns.status, phase: 'Terminating', conditions } }, { signal });
  }

  return newController({
    name: 'namespace-controller',
    context,
    workers: 10,
    sources: (queue) => [
      source(context, queue, NAMESPACES, (ns) => (ns.metadata.deletionTimestamp ? [nameOf(ns)] : [])),
      // A Pod that has ended may be the last thing that a namespace waits for.
      source(context, queue, PODS, (pod) => (namespaces.get('', namespaceOf(pod))?.metadata.deletionTimestamp ? [namespaceOf(pod)] : [])),
    ],
    async reconcile(name, signal) {
      const ns = namespaces.get('', name);
      if (!ns?.metadata.deletionTimestamp || !ns.spec.finalizers?.includes(FINALIZER)) return undefined;
      const left = await deleteContent(name, signal);
      const updated = await updateConditions(ns, left, signal).catch((err: unknown) => {
        if (isReason(err, 'NotFound') || isReason(err, 'Conflict')) return undefined;
        throw err;
      });
      if (!updated) return { afterMs: 50 };
      if (left.failures.length) throw new Error(left.failures.join('; '));
      // Foreground deletions and graceful ends need a moment: events of Pods come by themselves, the rest is looked at again.
      if (left.counts.size) return { afterMs: left.graceSeconds ? Math.min(left.graceSeconds * 500 + 1000, 15_000) : 500 };
      await client.of(NAMESPACES).update({ ...updated, spec: { ...updated.spec, finalizers: (updated.spec.finalizers ?? []).filter((f) => f !== FINALIZER) } }, { subresource: 'finalize', signal }).catch((err: unknown) => {
        if (!isReason(err, 'NotFound')) throw err;
      });
      return undefined;
    },
  });
}

/** The five conditions of a namespace that ends, in upstream's words. */
export function namespaceConditions(before: readonly NamespaceCondition[], left: Remaining, now: string): NamespaceCondition[] {
  const list = (map: ReadonlyMap<string, number>, verb: string) => Array.from(map).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([k, n]) => `${k} ${verb} ${n} resource instances`).join(', ');
  const remaining = list(left.counts, 'has');
  const finalizers = list(left.finalizers, 'in');
  const wanted: Omit<NamespaceCondition, 'lastTransitionTime'>[] = [
    { type: 'NamespaceDeletionDiscoveryFailure', status: 'False', reason: 'ResourcesDiscovered', message: 'All resources successfully discovered' },
    { type: 'NamespaceDeletionGroupVersionParsingFailure', status: 'False', reason: 'ParsedGroupVersions', message: 'All legacy kube types successfully parsed' },
    left.failures.length
      ? { type: 'NamespaceDeletionContentFailure', status: 'True', reason: 'ContentDeletionFailed', message: `Failed to delete all resource types, ${left.failures.length} remaining: ${left.failures.join(', ')}` }
      : { type: 'NamespaceDeletionContentFailure', status: 'False', reason: 'ContentDeleted', message: 'All content successfully deleted, may be waiting on finalization' },
    left.counts.size
      ? { type: 'NamespaceContentRemaining', status: 'True', reason: 'SomeResourcesRemain', message: `Some resources are remaining: ${remaining}` }
      : { type: 'NamespaceContentRemaining', status: 'False', reason: 'ContentRemoved', message: 'All content successfully removed' },
    left.finalizers.size
      ? { type: 'NamespaceFinalizersRemaining', status: 'True', reason: 'SomeFinalizersRemain', message: `Some content in the namespace has finalizers remaining: ${finalizers}` }
      : { type: 'NamespaceFinalizersRemaining', status: 'False', reason: 'ContentHasNoFinalizers', message: 'All content-preserving finalizers finished' },
  ];
  const foreign = before.filter((b) => !wanted.some((w) => w.type === b.type));
  return [...foreign, ...wanted.map((w) => {
    const old = before.find((b) => b.type === w.type);
    return { ...w, lastTransitionTime: old?.status === w.status && old.lastTransitionTime ? old.lastTransitionTime : now };
  })];
}
