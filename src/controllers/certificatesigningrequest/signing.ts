/** Signs approved requests with the cluster's authority. Upstream's counterpart: certificatesigningrequest-signing-controller. */
import { nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { CERTIFICATE_SIGNING_REQUESTS } from '#client/kinds.ts';
import { newController, source, type ControllerContext } from '../controller.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { conditionOf, isIssued, pemOf, withCondition } from './conditions.ts';
import { API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY, signingProblem, type CertificateSigner } from './signer-rules.ts';

const SIGNERS: ReadonlySet<string> = new Set([API_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY]);
const YEAR_MS = 365 * 86_400_000;
const SHORTEST_MS = 600_000;

/** How long a certificate is good for: as asked, within bounds. */
export function lifetimeMs(expirationSeconds: number | undefined): number {
  return expirationSeconds === undefined ? YEAR_MS : Math.min(YEAR_MS, Math.max(SHORTEST_MS, expirationSeconds * 1000));
}
export function newCsrSigningController(context: ControllerContext, signer: CertificateSigner): Component {
  const { client, informers, clock } = context;
  const requests = informers.informer(CERTIFICATE_SIGNING_REQUESTS);
  return newController({
    name: 'certificatesigningrequest-signing-controller',
    context,
    sources: (queue) => [source(context, queue, CERTIFICATE_SIGNING_REQUESTS, (r) => (SIGNERS.has(r.spec.signerName) ? [nameOf(r)] : []))],
    async reconcile(name, signal) {
      const request = requests.get('', name);
      if (!request || isIssued(request) || !conditionOf(request, 'Approved') || conditionOf(request, 'Denied') || conditionOf(request, 'Failed')) return undefined;
      const { signerName, usages = [], expirationSeconds } = request.spec;
      const pem = pemOf(request);
      const problem = await signer.inspect(pem).then((contents) => signingProblem(signerName, contents, usages), (err: unknown) => `unable to parse csr ${JSON.stringify(name)}: ${err instanceof Error ? err.message : String(err)}`);
      if (problem !== undefined && signerName === LEGACY) return undefined;
      const certificate = problem === undefined ? await signer.sign(pem, { usages, lifetimeMs: lifetimeMs(expirationSeconds) }) : '';
      const next = problem === undefined ? { ...request, status: { ...request.status, certificate: Buffer.from(certificate).toString('base64') } } : withCondition(request, 'Failed', 'SignerValidationFailure', problem, clock.now());
      return await untilCaughtUp(async () => {
        await client.of(CERTIFICATE_SIGNING_REQUESTS).updateStatus(next, { signal });
        return undefined;
      });
    },
  });
}
