/** CertificateSubjectRestriction: nobody becomes `system:masters` through the API server's client signer. */
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import type * as certificatesV1 from '#api/gen/certificates-v1.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../interfaces.ts';
import { isAbout, oneOf, refusal } from './refusal.ts';

const SIGNER = 'kubernetes.io/kube-apiserver-client';

export class CertificateSubjectRestriction implements AdmissionPlugin {
  readonly name = 'CertificateSubjectRestriction';
  readonly handles = oneOf('CREATE');
  validate(a: AdmissionAttributes): void {
    if (!isAbout(a, 'certificates.k8s.io', 'certificatesigningrequests')) return;
    const { signerName, request } = (a.object as certificatesV1.CertificateSigningRequest).spec;
    if (signerName !== SIGNER) return;
    let groups: readonly string[];
    try {
      groups = new x509.Pkcs10CertificateRequest(Buffer.from(request, 'base64').toString('utf8')).subjectName.getField('O');
    } catch (err) {
      throw refusal(a, `unable to parse csr: ${err instanceof Error ? err.message : String(err)}`);
    }
    if (groups.includes('system:masters')) throw refusal(a, `use of ${SIGNER} signer with system:masters group is not allowed`);
  }
}
