/** ClusterTrustBundleAttest: who vouches for a signer's trust anchors must be allowed to attest for it. Source: KEP-3257. */
import { isDeepStrictEqual } from 'node:util';
import type * as certificatesV1beta1 from '#api/gen/certificates-v1beta1.ts';
import type { AdmissionAttributes, AdmissionPlugin, Authorizer } from '../interfaces.ts';
import { isAbout, oneOf, quote, refusal } from './refusal.ts';
import { maySigner } from './signer-permission.ts';

/** All but what the garbage collector and a storage migration write. */
function withoutGcFields(object: unknown): unknown {
  const { metadata: { ownerReferences: _o, finalizers: _f, managedFields: _m, resourceVersion: _r, ...metadata }, ...rest } = JSON.parse(JSON.stringify(object)) as { metadata: Record<string, unknown> };
  return { ...rest, metadata };
}

export class ClusterTrustBundleAttest implements AdmissionPlugin {
  readonly name = 'ClusterTrustBundleAttest';
  readonly handles = oneOf('CREATE', 'UPDATE');
  readonly #authorizer: Authorizer;
  constructor(options: { readonly authorizer: Authorizer }) {
    this.#authorizer = options.authorizer;
  }
  async validate(a: AdmissionAttributes, signal: AbortSignal): Promise<void> {
    if (!isAbout(a, 'certificates.k8s.io', 'clustertrustbundles')) return;
    const { signerName = '' } = (a.object as certificatesV1beta1.ClusterTrustBundle).spec;
    if (signerName === '') return;
    if (a.operation === 'UPDATE' && isDeepStrictEqual(withoutGcFields(a.object), withoutGcFields(a.oldObject))) return;
    if (!(await maySigner(this.#authorizer, a.user, 'attest', signerName, signal))) throw refusal(a, `user not permitted to attest for signerName ${quote(signerName)}`);
  }
}
