/** CertificateApproval: who approves or denies a request must be allowed to approve for its signer. */
import type * as certificatesV1 from '#api/gen/certificates-v1.ts';
import type { AdmissionAttributes, AdmissionPlugin, Authorizer } from '../interfaces.ts';
import { isAbout, oneOf, quote, refusal } from './refusal.ts';
import { maySigner } from './signer-permission.ts';

export class CertificateApproval implements AdmissionPlugin {
  readonly name = 'CertificateApproval';
  readonly handles = oneOf('UPDATE');
  readonly #authorizer: Authorizer;
  constructor(options: { readonly authorizer: Authorizer }) {
    this.#authorizer = options.authorizer;
  }
  async validate(a: AdmissionAttributes, signal: AbortSignal): Promise<void> {
    if (!isAbout(a, 'certificates.k8s.io', 'certificatesigningrequests', 'approval')) return;
    // The stored object's signer: the update must not choose who is asked.
    const { signerName } = (a.oldObject as certificatesV1.CertificateSigningRequest).spec;
    if (!(await maySigner(this.#authorizer, a.user, 'approve', signerName, signal))) throw refusal(a, `user not permitted to approve requests with signerName ${quote(signerName)}`);
  }
}
