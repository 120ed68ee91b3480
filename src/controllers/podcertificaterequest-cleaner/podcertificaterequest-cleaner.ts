/** Deletes PodCertificateRequests that have had their time: whoever waits for one has long got its answer. Upstream's counterpart: podcertificaterequest-cleaner-controller. */
import { keyOf, splitKey, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { POD_CERTIFICATE_REQUESTS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, source, type ControllerContext } from '../controller.ts';

const LIFE_MS = 15 * 60_000;

export function newPodCertificateRequestCleaner(context: ControllerContext): Component {
  const { client, informers, clock } = context;
  const requests = informers.informer(POD_CERTIFICATE_REQUESTS);
  return newController({
    name: 'podcertificaterequest-cleaner-controller',
    context,
    workers: 1,
    sources: (queue) => [source(context, queue, POD_CERTIFICATE_REQUESTS, (r) => [keyOf(r)])],
    async reconcile(key, signal) {
      const { namespace, name } = splitKey(key);
      const request = requests.get(namespace, name);
      if (!request) return undefined;
      const due = Date.parse(request.metadata.creationTimestamp ?? '') + LIFE_MS;
      if (due > clock.now()) return { afterMs: due - clock.now() };
      await client.of(POD_CERTIFICATE_REQUESTS).delete(namespace, name, { preconditions: { uid: uidOf(request) } }, signal).catch((err: unknown) => {
        if (!isReason(err, 'NotFound') && !isReason(err, 'Conflict')) throw err;
      });
      return undefined;
    },
  });
}
