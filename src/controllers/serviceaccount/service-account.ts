/** Every namespace has a service account `default`. Upstream's counterpart: serviceaccount-controller. */
import { nameOf, namespaceOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { NAMESPACES, SERVICE_ACCOUNTS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, source, type ControllerContext } from '../controller.ts';

export function newServiceAccountController(context: ControllerContext): Component {
  const namespaces = context.informers.informer(NAMESPACES);
  const accounts = context.informers.informer(SERVICE_ACCOUNTS);
  return newController({
    name: 'serviceaccount-controller',
    context,
    sources: (queue) => [
      source(context, queue, NAMESPACES, (ns) => [nameOf(ns)]),
      source(context, queue, SERVICE_ACCOUNTS, (sa) => (nameOf(sa) === 'default' ? [namespaceOf(sa)] : [])),
    ],
    async reconcile(namespace, signal) {
      const ns = namespaces.get('', namespace);
      if (!ns || ns.metadata.deletionTimestamp || accounts.get(namespace, 'default')) return undefined;
      try {
        await context.client.of(SERVICE_ACCOUNTS).create({ metadata: { name: 'default', namespace } }, { signal });
      } catch (err) {
        // Made by somebody else meanwhile, or the namespace has begun to end: its own events bring the key back.
        if (!isReason(err, 'AlreadyExists') && !isReason(err, 'Forbidden') && !isReason(err, 'NotFound')) throw err;
      }
      return undefined;
    },
  });
}
