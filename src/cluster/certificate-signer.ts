import type { CertificateSigner } from '#controllers/certificatesigningrequest/signer-rules.ts';
import type { Clock } from '#base/clock.ts';
import { signCsr, verifyCsr, type KeyPair, type KeyUsage } from './pki.ts';

const isExtended = (usage: string): usage is KeyUsage => usage === 'server auth' || usage === 'client auth';

/** Signs the API's certificate requests with the cluster's authority. */
export function certificateSigner(ca: KeyPair, clock: Clock): CertificateSigner {
  return {
    inspect: verifyCsr,
    sign: (pem, { usages, lifetimeMs }) => signCsr(ca, pem, { usages: usages.filter(isExtended), keyEncipherment: usages.includes('key encipherment'), lifetimeMs }, clock),
  };
}
