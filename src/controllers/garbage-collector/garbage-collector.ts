/**
 * Deletes objects whose owners are gone, and carries out foreground and orphaning deletions.
 * Source: concepts/architecture/garbage-collection; upstream's counterpart: garbage-collector-controller.
 */
import type { OwnerReference } from '#api/gen/meta-v1.ts';
import { apiVersionOf, splitApiVersion, uidOf, type KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { recorderOf, type ControllerContext } from '../controller.ts';
import { Informer } from '#client/informer.ts';
import { Reconciler } from '#client/reconciler.ts';
import { isReason } from '#machinery/status-error.ts';
import { OwnerGraph, ownersOf, ownershipOf, type GraphNode } from './graph.ts';

const log = logger('garbage-collector-controller');
const FOREGROUND = 'foregroundDeletion';
const ORPHAN = 'orphan';
/** Upstream leaves these out: they come in great numbers and own nothing. */
const IGNORED = new Set(['/events', 'events.k8s.io/events']);
/** Owners that were looked for in vain; a UID never comes back. */
const MAX_ABSENT = 10_000;

export function newGarbageCollector(context: ControllerContext): Component {
  const { client, clock, resources } = context;
  const graph = new OwnerGraph();
  const absent = new Set<string>();
  const watched = new Map<string, { informer: Informer<KubeObject>; remove: () => void }>();
  const recorder = recorderOf(context, 'garbage-collector-controller');
  let unsubscribe: () => void = () => {};

  const reconciler = new Reconciler({ name: 'garbage-collector-controller', clock, logger: log, workers: 20, maxDelayMs: 60_000, reconcile: (uid, signal) => reconcile(uid, signal) });
  const { queue } = reconciler;

  function seen(resource: ResourceInfo, object: KubeObject): void {
    const node = graph.set(resource, object);
    absent.delete(node.uid);
    const finalizers = object.metadata.finalizers ?? [];
    const deleting = object.metadata.deletionTimestamp !== undefined;
    if (deleting && finalizers.includes(ORPHAN)) queue.add(node.uid);
    if (deleting && finalizers.includes(FOREGROUND)) {
      node.deletingDependents = true;
      queue.add(node.uid);
      for (const d of node.dependents) queue.add(d.uid);
    }
    if (ownersOf(object).length) queue.add(node.uid);
    // An owner that waits for this dependent looks again when the dependent changes.
    if (deleting) for (const o of ownersOf(object)) if (graph.get(o.uid)?.deletingDependents) queue.add(o.uid);
  }
  function gone(object: KubeObject): void {
    for (const o of ownersOf(object)) if (graph.get(o.uid)?.deletingDependents) queue.add(o.uid);
    remember(uidOf(object));
    for (const dependent of graph.remove(uidOf(object))) queue.add(dependent.uid);
  }
  function remember(uid: string): void {
    absent.add(uid);
    if (absent.size > MAX_ABSENT) absent.delete(absent.values().next().value!);
  }

  async function reconcile(uid: string, signal: AbortSignal): Promise<undefined> {
    const node = graph.get(uid);
    if (!node?.object || !node.resource) return undefined;
    const finalizers = node.object.metadata.finalizers ?? [];
    if (node.object.metadata.deletionTimestamp && finalizers.includes(ORPHAN)) return await orphanDependents(node, signal);
    if (node.deletingDependents) return await deleteDependents(node, signal);
    if (node.object.metadata.deletionTimestamp) return undefined;
    return await collect(node, signal);
  }
  /** Deletes the object when no owner of it is left. */
  async function collect(node: GraphNode, signal: AbortSignal): Promise<undefined> {
    const owners = ownersOf(node.object);
    if (owners.length === 0) return undefined;
    const solid: OwnerReference[] = [];
    const waiting: OwnerReference[] = [];
    const dangling: OwnerReference[] = [];
    for (const owner of owners) {
      const found = await findOwner(node, owner, signal);
      // What the reference means cannot be told: the object stays.
      if (found === 'invalid') return undefined;
      if (!found) dangling.push(owner);
      else if (graph.get(owner.uid)?.deletingDependents) waiting.push(owner);
      else solid.push(owner);
    }
    if (solid.length) {
      if (dangling.length + waiting.length) await dropOwners(node, [...dangling, ...waiting], signal);
      return undefined;
    }
    // Inside a foreground deletion the object goes the same way, if others wait for it in turn.
    const foreground = waiting.length > 0 && node.dependents.size > 0;
    // A dependent that is itself waited for: the owners run in a circle, and here it is cut.
    if (foreground && [...node.dependents].some((d) => d.deletingDependents)) await unblockOwners(node, signal);
    await remove(node, foreground ? 'Foreground' : undefined, signal);
    return undefined;
  }
  /** An owner of a kind that is not served cannot be proved absent: better wait than delete what may be owned. */
  function servedOf(owner: OwnerReference): ResourceInfo {
    const { group } = splitApiVersion(owner.apiVersion);
    const resource = resources.list().find((r) => r.group === group && r.kind === owner.kind);
    if (!resource) throw new Error(`no resource of kind "${owner.kind}" in "${owner.apiVersion}" is served`);
    return resource;
  }
  /** Whether the owner of a reference exists. A namespaced owner is looked for in the dependent's namespace only; an object without one cannot have such an owner. */
  async function findOwner(node: GraphNode, owner: OwnerReference, signal: AbortSignal): Promise<boolean | 'invalid'> {
    const known = graph.get(owner.uid);
    if (known?.object) {
      const near = known.namespace === '' || known.namespace === node.namespace;
      if (!near) {
        recorder.event({ apiVersion: apiVersionOf(node.resource!.group, node.resource!.version), kind: node.resource!.kind, ...node.object! }, 'Warning', 'OwnerRefInvalidNamespace', `ownerRef [${owner.apiVersion}/${owner.kind}, namespace: ${node.namespace}, name: ${owner.name}, uid: ${owner.uid}] does not exist in namespace "${node.namespace}"`);
      }
      if (!near && node.namespace === '') return 'invalid';
      if (!near) return false;
      if (known.resource?.kind === owner.kind && known.resource.group === splitApiVersion(owner.apiVersion).group) return known.name === owner.name;
      servedOf(owner);
      return false;
    }
    if (absent.has(owner.uid)) return false;
    const resource = servedOf(owner);
    if (resource.namespaced && node.namespace === '') return 'invalid';
    try {
      const live = await client.dynamic(resource, resource.kind).get(node.namespace, owner.name, signal);
      return uidOf(live) === owner.uid || missing(owner.uid);
    } catch (err) {
      if (isReason(err, 'NotFound')) return missing(owner.uid);
      throw err;
    }
  }
  function missing(uid: string): false {
    remember(uid);
    return false;
  }
  async function dropOwners(node: GraphNode, owners: readonly OwnerReference[], signal: AbortSignal): Promise<void> {
    const { resource, object } = node;
    const left = ownersOf(object).filter((o) => !owners.includes(o));
    const patch = { metadata: { resourceVersion: object!.metadata.resourceVersion, uid: node.uid, ownerReferences: left } };
    await ignoreMissing(client.dynamic(resource!, resource!.kind).patch(node.namespace, node.name, 'application/merge-patch+json', patch, { signal }));
  }
  /** The object's owners need not wait for it any more. */
  async function unblockOwners(node: GraphNode, signal: AbortSignal): Promise<void> {
    const { resource, object } = node;
    const ownerReferences = ownersOf(object).map((o) => ({ ...o, blockOwnerDeletion: false }));
    if (!ownersOf(object).some((o) => o.blockOwnerDeletion)) return;
    const patch = { metadata: { resourceVersion: object!.metadata.resourceVersion, ownerReferences } };
    const patched = await client.dynamic(resource!, resource!.kind).patch(node.namespace, node.name, 'application/merge-patch+json', patch, { signal });
    seen(resource!, ownershipOf(patched));
    for (const o of ownersOf(patched)) queue.add(o.uid);
  }
  async function remove(node: GraphNode, propagation: 'Foreground' | undefined, signal: AbortSignal): Promise<void> {
    const { resource, object } = node;
    const finalizers = object!.metadata.finalizers ?? [];
    const propagationPolicy = propagation ?? (finalizers.includes(ORPHAN) ? 'Orphan' : finalizers.includes(FOREGROUND) ? 'Foreground' : 'Background');
    const preconditions = { uid: node.uid, resourceVersion: object!.metadata.resourceVersion };
    await ignoreMissing(client.dynamic(resource!, resource!.kind).delete(node.namespace, node.name, { propagationPolicy, preconditions }, signal));
  }
  /** Foreground: blocking dependents go first, then the finalizer. */
  async function deleteDependents(node: GraphNode, signal: AbortSignal): Promise<undefined> {
    const blocking = [...node.dependents].filter((d) => d.object && ownersOf(d.object).some((o) => o.uid === node.uid && o.blockOwnerDeletion));
    if (blocking.length === 0) {
      await removeFinalizer(node, FOREGROUND, signal);
      return undefined;
    }
    for (const d of blocking) if (!d.object!.metadata.deletionTimestamp) queue.add(d.uid);
    return undefined;
  }
  /** Orphan: dependents lose this owner, then the finalizer goes. */
  async function orphanDependents(node: GraphNode, signal: AbortSignal): Promise<undefined> {
    for (const d of node.dependents) {
      const mine = ownersOf(d.object).filter((o) => o.uid === node.uid);
      if (d.object && mine.length) await dropOwners(d, mine, signal);
    }
    await removeFinalizer(node, ORPHAN, signal);
    return undefined;
  }
  async function removeFinalizer(node: GraphNode, finalizer: string, signal: AbortSignal): Promise<void> {
    const { resource, object } = node;
    const finalizers = (object!.metadata.finalizers ?? []).filter((f) => f !== finalizer);
    const patch = { metadata: { resourceVersion: object!.metadata.resourceVersion, finalizers } };
    await ignoreMissing(client.dynamic(resource!, resource!.kind).patch(node.namespace, node.name, 'application/merge-patch+json', patch, { signal }));
  }

  /** Watches every resource that can be deleted; custom ones come and go. */
  function watchAll(): Informer<KubeObject>[] {
    const wanted = new Map(resources.list()
      .filter((r) => !r.storedAs && !IGNORED.has(`${r.group}/${r.plural}`) && ['delete', 'list', 'watch'].every((v) => r.verbs.includes(v)))
      .map((r) => [`${r.group}/${r.plural}`, r]));
    for (const [key, w] of watched) {
      if (wanted.has(key)) continue;
      w.remove();
      void w.informer.stop();
      watched.delete(key);
    }
    for (const [key, resource] of wanted) {
      if (watched.has(key)) continue;
      const informer = new Informer<KubeObject>(client, resource, clock, {}, ownershipOf);
      const remove = informer.addHandler({ onAdd: (o) => seen(resource, o), onUpdate: (_, o) => seen(resource, o), onDelete: gone });
      informer.start();
      watched.set(key, { informer, remove });
    }
    return Array.from(watched.values(), (w) => w.informer);
  }

  return {
    name: 'garbage-collector-controller',
    async start() {
      unsubscribe = resources.onChange(() => void watchAll());
      // The built-in resources must be known before anything is judged ownerless.
      await Promise.all(watchAll().map((i) => i.synced));
      reconciler.start();
    },
    async stop() {
      unsubscribe();
      for (const w of watched.values()) w.remove();
      await Promise.all(Array.from(watched.values(), (w) => w.informer.stop()));
      await reconciler.stop();
    },
  };
}

async function ignoreMissing(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (err) {
    if (!isReason(err, 'NotFound')) throw err;
  }
}
