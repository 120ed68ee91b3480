/**
 * Approves the serving certificates that nodes ask for themselves, by `serving-rules.ts`. Upstream leaves them all to an administrator, as this does with
 * the rest: they stay pending, with an event. Source: reference/access-authn-authz/certificate-signing-requests, "Kubernetes signers".
 */
import type { CertificateSigningRequest } from '#api/gen/certificates-v1.ts';
import type { Node } from '#api/gen/core-v1.ts';
import { nameOf, uidOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { CERTIFICATE_SIGNING_REQUESTS, NODES } from '#client/kinds.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { newController, recorderOf, source, sourceWith, type ControllerContext } from '../controller.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { conditionOf, isIssued, pemOf, withCondition } from './conditions.ts';
import { servingApprovalProblem, type ReservedNames } from './serving-rules.ts';
import { KUBELET_SERVING, type CertificateSigner } from './signer-rules.ts';

const NAME = 'podyard-serving-approver';
/** A node that has just registered tells its addresses a moment later: nobody is called for that. */
const PATIENCE_MS = 5000;

function isPending(request: CertificateSigningRequest): boolean {
  return request.spec.signerName === KUBELET_SERVING && !isIssued(request) && !(['Approved', 'Denied', 'Failed'] as const).some((type) => conditionOf(request, type));
}
export function newServingApprover(context: ControllerContext, signer: Pick<CertificateSigner, 'inspect'>, reserved: ReservedNames): Component {
  const { client, informers, clock } = context;
  const requests = informers.informer(CERTIFICATE_SIGNING_REQUESTS);
  const nodes = informers.informer(NODES);
  const recorder = recorderOf(context, NAME);
  /** UIDs of pending requests that an event tells of, by name. */
  const told = new Map<string, string>();

  async function problemOf(request: CertificateSigningRequest): Promise<string | undefined> {
    try {
      return servingApprovalProblem(request.spec, await signer.inspect(pemOf(request)), nodes.list(), reserved);
    } catch (err) {
      return `it cannot be read: ${(err as Error).message}`;
    }
  }
  return newController({
    name: NAME,
    context,
    workers: 1,
    sources: (queue) => {
      const lookAgain = (): void => requests.list().filter(isPending).forEach((r) => queue.add(nameOf(r)));
      const handler = {
        onAdd: lookAgain,
        onUpdate: (old: Node, node: Node) => {
          // Nodes tell every few minutes that they are alive.
          if (!semanticEqual(old.status?.addresses, node.status?.addresses)) lookAgain();
        },
        onDelete: lookAgain,
      };
      return [source(context, queue, CERTIFICATE_SIGNING_REQUESTS, (r) => [nameOf(r)]), sourceWith(context, NODES, handler)];
    },
    async reconcile(name, signal) {
      const request = requests.get('', name);
      if (!request || !isPending(request)) return void told.delete(name);
      const problem = await problemOf(request);
      if (problem === undefined) {
        return await untilCaughtUp(async () => {
          const message = 'Auto approving kubelet serving certificate: the node asks for its own names and addresses.';
          await client.of(CERTIFICATE_SIGNING_REQUESTS).update(withCondition(request, 'Approved', 'AutoApproved', message, clock.now()), { subresource: 'approval', signal });
          return undefined;
        });
      }
      if (told.get(name) === uidOf(request)) return undefined;
      const afterMs = Date.parse(request.metadata.creationTimestamp ?? '') + PATIENCE_MS - clock.now();
      if (afterMs > 0) return { afterMs };
      told.set(name, uidOf(request));
      recorder.event(request, 'Warning', 'ServingCertificateNotApproved', `Not approved by itself: ${problem}. To approve it: kubectl certificate approve ${name}`);
      return undefined;
    },
  });
}
