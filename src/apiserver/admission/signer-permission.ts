/** Whether a user may approve, sign or attest for a signer: by its full name, or by its domain with a star. */
import type { Authorizer, UserInfo } from '../interfaces.ts';

export async function maySigner(authorizer: Authorizer, user: UserInfo, verb: 'approve' | 'sign' | 'attest', signerName: string, signal: AbortSignal): Promise<boolean> {
  const domain = signerName.split('/', 1)[0]!;
  for (const name of [signerName, `${domain}/*`]) {
    const { decision } = await authorizer.authorize({ isResourceRequest: true, verb, path: '', apiGroup: 'certificates.k8s.io', apiVersion: '*', namespace: '', resource: 'signers', subresource: '', name, user }, signal);
    if (decision === 'allow') return true;
    if (decision === 'deny') return false;
  }
  return false;
}
