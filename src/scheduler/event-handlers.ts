/** Feeds what the informers tell into cache and queue. */
import type { Node, Pod } from '#api/gen/core-v1.ts';
import { nameOf, uidOf, type KubeObject } from '#api/object.ts';
import type { Informer } from '#client/informer.ts';
import type { SchedulerCache } from './cache/cache.ts';
import { isOnlyBookkeeping, isTerminal, nodeChange, podChange } from './changes.ts';
import type { ClusterEvent, EventResource } from './framework/events.ts';
import { PodInfo } from './framework/pod-info.ts';
import type { SchedulerInformers } from './listers.ts';
import type { Nominator } from './queue/nominator.ts';
import type { SchedulingQueue } from './queue/scheduling-queue.ts';

const POD_ADDED: ClusterEvent = { resource: 'AssignedPod', actions: ['Add'] };
export const POD_DELETED: ClusterEvent = { resource: 'AssignedPod', actions: ['Delete'] };

export interface EventTargets {
  readonly cache: SchedulerCache;
  readonly queue: SchedulingQueue;
  readonly nominator: Nominator;
  readonly schedulerName: string;
}

/** Adds the handlers; returns what removes them. */
export function addEventHandlers(informers: SchedulerInformers, targets: EventTargets): () => void {
  const pods = new PodEvents(targets);
  const { cache, queue } = targets;
  const removers = [
    // Nodes first: Pods that are told before their node is known would find no place.
    informers.nodes.addHandler({
      onAdd(node) {
        cache.setNode(node);
        queue.move({ resource: 'Node', actions: ['Add'] }, undefined, node);
      },
      onUpdate(old: Node, node: Node) {
        cache.setNode(node);
        const change = nodeChange(old, node);
        if (change) queue.move(change, old, node);
      },
      onDelete(node) {
        cache.removeNode(nameOf(node));
        queue.move({ resource: 'Node', actions: ['Delete'] }, node);
      },
    }),
    informers.pods.addHandler({ onAdd: (pod) => pods.add(pod), onUpdate: (old, pod) => pods.update(old, pod), onDelete: (pod) => pods.delete(pod) }),
    moveOn(informers.persistentVolumes, 'PersistentVolume', queue),
    moveOn(informers.persistentVolumeClaims, 'PersistentVolumeClaim', queue),
    moveOn(informers.storageClasses, 'StorageClass', queue),
    moveOn(informers.csiNodes, 'CSINode', queue),
    moveOn(informers.csiDrivers, 'CSIDriver', queue),
    moveOn(informers.csiStorageCapacities, 'CSIStorageCapacity', queue),
    moveOn(informers.volumeAttachments, 'VolumeAttachment', queue),
    moveOn(informers.namespaces, 'Namespace', queue),
    moveOn(informers.resourceClaims, 'ResourceClaim', queue),
    moveOn(informers.resourceSlices, 'ResourceSlice', queue),
    moveOn(informers.deviceClasses, 'DeviceClass', queue),
  ];
  return () => { for (const remove of removers) remove(); };
}
function moveOn<T extends KubeObject>(informer: Informer<T>, resource: EventResource, queue: SchedulingQueue): () => void {
  return informer.addHandler({
    onAdd: (obj) => queue.move({ resource, actions: ['Add'] }, undefined, obj),
    onUpdate: (old, obj) => queue.move({ resource, actions: ['Update'] }, old, obj),
    onDelete: (obj) => queue.move({ resource, actions: ['Delete'] }, obj),
  });
}

class PodEvents {
  readonly #t: EventTargets;

  constructor(targets: EventTargets) {
    this.#t = targets;
  }
  add(pod: Pod): void {
    if (isTerminal(pod)) return;
    if (pod.spec.nodeName) this.#bound(pod);
    else if (this.#isOurs(pod)) this.#waiting(pod);
  }
  update(old: Pod, pod: Pod): void {
    if (uidOf(old) !== uidOf(pod) || (isTerminal(pod) && !isTerminal(old))) {
      this.delete(old);
      return this.add(pod);
    }
    if (isTerminal(pod)) return;
    if (!pod.spec.nodeName) return this.#updateWaiting(old, pod);
    if (!old.spec.nodeName) return this.#bound(pod);
    this.#t.cache.setPod(pod);
    const change = podChange('AssignedPod', old, pod);
    if (change) this.#t.queue.move(change, old, pod);
  }
  delete(pod: Pod): void {
    const { cache, queue, nominator } = this.#t;
    const uid = uidOf(pod);
    const wasNominated = nominator.nodeOf(uid) !== '';
    queue.delete(uid);
    nominator.delete(uid);
    const counted = cache.has(uid);
    cache.removePod(uid);
    if (counted || wasNominated) queue.move(POD_DELETED, pod);
  }

  #isOurs(pod: Pod): boolean {
    return (pod.spec.schedulerName || 'default-scheduler') === this.#t.schedulerName;
  }
  #bound(pod: Pod): void {
    const { cache, queue, nominator } = this.#t;
    cache.setPod(pod);
    queue.delete(uidOf(pod));
    nominator.delete(uidOf(pod));
    queue.move(POD_ADDED, undefined, pod);
  }
  #waiting(pod: Pod): void {
    if (this.#t.cache.isAssumed(uidOf(pod))) return;
    if (pod.status?.nominatedNodeName) this.#nominate(pod);
    this.#t.queue.add(pod);
  }
  #updateWaiting(old: Pod, pod: Pod): void {
    const { cache, queue } = this.#t;
    if (!this.#isOurs(pod) || cache.isAssumed(uidOf(pod))) return;
    if ((old.status?.nominatedNodeName ?? '') !== (pod.status?.nominatedNodeName ?? '')) this.#nominate(pod);
    if (isOnlyBookkeeping(old, pod)) return queue.refresh(pod);
    const change = podChange('TargetPod', old, pod);
    queue.update(old, pod, change ? [change] : []);
  }
  #nominate(pod: Pod): void {
    this.#t.nominator.set(new PodInfo(pod), pod.status?.nominatedNodeName ?? '');
  }
}
