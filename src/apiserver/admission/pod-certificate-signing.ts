/** Who answers a PodCertificateRequest must be allowed to sign for its signer. Upstream asks in the strategy of the status, and refuses in its words. Source: KEP-4317. */
import type * as certificatesV1beta1 from '#api/gen/certificates-v1beta1.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { fieldPath, forbiddenField } from '#machinery/field-errors.ts';
import { invalid } from '#machinery/status-error.ts';
import type { AdmissionAttributes, AdmissionPlugin, Authorizer } from '../interfaces.ts';
import { isAbout, oneOf, quote } from './refusal.ts';
import { maySigner } from './signer-permission.ts';

export class PodCertificateSigning implements AdmissionPlugin {
  readonly name = 'PodCertificateSigning';
  readonly handles = oneOf('UPDATE');
  readonly #authorizer: Authorizer;
  constructor(options: { readonly authorizer: Authorizer }) {
    this.#authorizer = options.authorizer;
  }
  async validate(a: AdmissionAttributes, signal: AbortSignal): Promise<void> {
    if (!isAbout(a, 'certificates.k8s.io', 'podcertificaterequests', 'status')) return;
    const [request, old] = [a.object, a.oldObject] as certificatesV1beta1.PodCertificateRequest[];
    if (semanticEqual(request!.status ?? {}, old!.status ?? {})) return;
    const { signerName } = old!.spec;
    if (await maySigner(this.#authorizer, a.user, 'sign', signerName, signal)) return;
    const error = forbiddenField(fieldPath('spec', 'signerName'), `User ${quote(a.user.name)} is not permitted to "sign" for signer ${quote(signerName)}`);
    throw invalid({ group: a.resource.group, kind: a.resource.kind }, a.name, [error]);
  }
}
