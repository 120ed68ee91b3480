/** Approves the client certificates of kubelets that are allowed to have them. Upstream's counterpart: certificatesigningrequest-approving-controller. */
import type { SubjectAccessReview } from '#api/gen/authorization-v1.ts';
import type { CertificateSigningRequest } from '#api/gen/certificates-v1.ts';
import { nameOf } from '#api/object.ts';
import type { Component } from '#base/component.ts';
import { CERTIFICATE_SIGNING_REQUESTS, kind } from '#client/kinds.ts';
import { newController, source, type ControllerContext } from '../controller.ts';
import { untilCaughtUp } from '../workload/stale.ts';
import { conditionOf, isIssued, pemOf, withCondition } from './conditions.ts';
import { KUBELET_CLIENT, kubeletClientProblem, type CertificateSigner, type RequestContents } from './signer-rules.ts';

const SUBJECT_ACCESS_REVIEWS = kind<SubjectAccessReview>('authorization.k8s.io', 'v1', 'subjectaccessreviews');

interface Recognizer {
  readonly subresource: string;
  readonly message: string;
  recognizes(request: CertificateSigningRequest, contents: RequestContents): boolean;
}
const RECOGNIZERS: readonly Recognizer[] = [
  {
    subresource: 'selfnodeclient', message: 'Auto approving self kubelet client certificate after SubjectAccessReview.',
    recognizes: ({ spec }, contents) => spec.username === contents.commonName,
  },
  { subresource: 'nodeclient', message: 'Auto approving kubelet client certificate after SubjectAccessReview.', recognizes: () => true },
];

export function newCsrApprovingController(context: ControllerContext, signer: Pick<CertificateSigner, 'inspect'>): Component {
  const { client, informers, clock } = context;
  const requests = informers.informer(CERTIFICATE_SIGNING_REQUESTS);

  async function isAllowed({ spec }: CertificateSigningRequest, subresource: string, signal: AbortSignal): Promise<boolean> {
    const review = await client.of(SUBJECT_ACCESS_REVIEWS).create({
      metadata: {},
      spec: {
        user: spec.username, uid: spec.uid, groups: spec.groups, extra: spec.extra,
        resourceAttributes: { group: 'certificates.k8s.io', resource: 'certificatesigningrequests', verb: 'create', subresource, version: '*' },
      },
    }, { signal });
    return review.status?.allowed ?? false;
  }
  return newController({
    name: 'certificatesigningrequest-approving-controller',
    context,
    sources: (queue) => [source(context, queue, CERTIFICATE_SIGNING_REQUESTS, (r) => [nameOf(r)])],
    async reconcile(name, signal) {
      const request = requests.get('', name);
      if (!request || request.spec.signerName !== KUBELET_CLIENT || isIssued(request) || conditionOf(request, 'Approved') || conditionOf(request, 'Denied')) return undefined;
      const contents = await signer.inspect(pemOf(request));
      if (kubeletClientProblem(contents, request.spec.usages ?? []) !== undefined) return undefined;
      const tried = RECOGNIZERS.filter((r) => r.recognizes(request, contents));
      for (const { subresource, message } of tried) {
        if (!(await isAllowed(request, subresource, signal))) continue;
        return await untilCaughtUp(async () => {
          await client.of(CERTIFICATE_SIGNING_REQUESTS).update(withCondition(request, 'Approved', 'AutoApproved', message, clock.now()), { subresource: 'approval', signal });
          return undefined;
        });
      }
      throw new Error(`recognized csr ${JSON.stringify(name)} as [${tried.map((r) => r.subresource).join(' ')}] but subject access review was not approved`);
    },
  });
}
