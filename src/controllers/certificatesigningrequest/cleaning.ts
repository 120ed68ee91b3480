/** Deletes requests that nobody needs any more. Upstream's counterpart: certificatesigningrequest-cleaner-controller. */
import { X509Certificate } from 'node:crypto';
import type { CertificateSigningRequest } from '#api/gen/certificates-v1.ts';
import { nameOf, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { CERTIFICATE_SIGNING_REQUESTS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { newController, source, type ControllerContext } from '../controller.ts';
import { conditionOf, isIssued } from './conditions.ts';

const HOUR_MS = 3_600_000;
/** Of requests that nobody has decided on. */
const PENDING_MS = 24 * HOUR_MS;
/** Of those that are settled. */
const SETTLED_MS = HOUR_MS;

function expiryOf(request: CertificateSigningRequest): number | undefined {
  if (!isIssued(request)) return undefined;
  try {
    return new X509Certificate(Buffer.from(request.status?.certificate ?? '', 'base64')).validToDate.getTime();
  } catch {
    return undefined;
  }
}
/** When a request may go, in ms since the epoch; undefined for one that is approved and waits for its signer. */
export function dueAt(request: CertificateSigningRequest): number | undefined {
  const created = Date.parse(request.metadata.creationTimestamp ?? '');
  if (!request.status?.conditions?.length) return created + PENDING_MS;
  const settled = [conditionOf(request, 'Denied'), conditionOf(request, 'Failed'), isIssued(request) ? conditionOf(request, 'Approved') : undefined].filter((c) => c !== undefined);
  const times = settled.map((c) => (c.lastUpdateTime === undefined ? created : Date.parse(c.lastUpdateTime)) + SETTLED_MS);
  const expiry = expiryOf(request);
  const all = expiry === undefined ? times : [...times, expiry];
  return all.length ? Math.min(...all) : undefined;
}
export function newCsrCleanerController(context: ControllerContext): Component {
  const { client, informers, clock } = context;
  const requests = informers.informer(CERTIFICATE_SIGNING_REQUESTS);
  return newController({
    name: 'certificatesigningrequest-cleaner-controller',
    context,
    workers: 1,
    sources: (queue) => [source(context, queue, CERTIFICATE_SIGNING_REQUESTS, (r) => [nameOf(r)])],
    async reconcile(name, signal) {
      const request = requests.get('', name);
      const due = request && dueAt(request);
      if (!request || due === undefined) return undefined;
      if (due > clock.now()) return { afterMs: due - clock.now() };
      await client.of(CERTIFICATE_SIGNING_REQUESTS).delete('', name, { preconditions: { uid: uidOf(request) } }, signal).catch((err: unknown) => {
        if (!isReason(err, 'NotFound') && !isReason(err, 'Conflict')) throw err;
      });
      return undefined;
    },
  });
}
