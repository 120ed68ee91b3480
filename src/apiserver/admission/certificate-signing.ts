/** CertificateSigning: who puts a certificate into a request must be allowed to sign for its signer. */
import { isDeepStrictEqual } from 'node:util';
import type * as certificatesV1 from '#api/gen/certificates-v1.ts';
import type { AdmissionAttributes, AdmissionPlugin, Authorizer } from '../interfaces.ts';
import { isAbout, oneOf, quote, refusal } from './refusal.ts';
import { maySigner } from './signer-permission.ts';

export class CertificateSigning implements AdmissionPlugin {
  readonly name = 'CertificateSigning';
  readonly handles = oneOf('UPDATE');
  readonly #authorizer: Authorizer;
  constructor(options: { readonly authorizer: Authorizer }) {
    this.#authorizer = options.authorizer;
  }
  async validate(a: AdmissionAttributes, signal: AbortSignal): Promise<void> {
    if (!isAbout(a, 'certificates.k8s.io', 'certificatesigningrequests', 'status')) return;
    const old = a.oldObject as certificatesV1.CertificateSigningRequest;
    const csr = a.object as certificatesV1.CertificateSigningRequest;
    if (old.status?.certificate === csr.status?.certificate && isDeepStrictEqual(old.status?.conditions ?? [], csr.status?.conditions ?? [])) return;
    const { signerName } = old.spec;
    if (!(await maySigner(this.#authorizer, a.user, 'sign', signerName, signal))) throw refusal(a, `user not permitted to sign requests with signerName ${quote(signerName)}`);
  }
}
