/** Keeps volumes while they are bound. Upstream's counterpart: persistentvolume-protection-controller. */
import { nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { PERSISTENT_VOLUMES } from '#client/kinds.ts';
import { newController, source, type ControllerContext } from '../controller.ts';
import { protect } from '../protection/finalizer.ts';

export function newPvProtectionController(context: ControllerContext): Component {
  const { client, informers } = context;
  const volumes = informers.informer(PERSISTENT_VOLUMES);
  return newController({
    name: 'persistentvolume-protection-controller',
    context,
    sources: (queue) => [source(context, queue, PERSISTENT_VOLUMES, (v) => [nameOf(v)])],
    reconcile: (name, signal) => protect(volumes.get('', name), { client, kind: PERSISTENT_VOLUMES, finalizer: 'kubernetes.io/pv-protection', isUsed: (v) => v.status?.phase === 'Bound' }, signal),
  });
}
