/** Asks the cluster for a certificate and waits for it. Source: reference/access-authn-authz/certificate-signing-requests. */
import type { CertificateSigningRequest } from '#api/gen/certificates-v1.ts';
import { nameOf } from '#api/object.ts';
import type { Client } from '#client/client.ts';
import { CERTIFICATE_SIGNING_REQUESTS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';
import { createCsr, type KeyPair } from '../pki.ts';

export interface NodeCertificate {
  readonly signerName: 'kubernetes.io/kube-apiserver-client-kubelet' | 'kubernetes.io/kubelet-serving';
  readonly usage: 'client auth' | 'server auth';
  readonly nodeName: string;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}
export function nodeUser(nodeName: string): string {
  return `system:node:${nodeName}`;
}

/** Resolves with a new key and the certificate for it. Rejects when the request is denied or fails, or the signal aborts. */
export async function requestCertificate(client: Client, wanted: NodeCertificate, signal: AbortSignal): Promise<KeyPair> {
  const { signerName, usage, nodeName, dnsNames = [], ipAddresses = [] } = wanted;
  const { csr, key } = await createCsr({ commonName: nodeUser(nodeName), organizations: ['system:nodes'], dnsNames, ipAddresses });
  const requests = client.of(CERTIFICATE_SIGNING_REQUESTS);
  const made = await requests.create({ metadata: { generateName: 'csr-' }, spec: { request: Buffer.from(csr).toString('base64'), signerName, usages: ['digital signature', usage] } }, { signal });
  const cert = await issued(client, made, signal);
  return { cert, key };
}

async function issued(client: Client, made: CertificateSigningRequest, signal: AbortSignal): Promise<string> {
  const fieldSelector = `metadata.name=${nameOf(made)}`;
  const requests = client.of(CERTIFICATE_SIGNING_REQUESTS);
  let { resourceVersion = '0' } = made.metadata;
  while (!signal.aborted) {
    try {
      for await (const batch of requests.watch({ fieldSelector, resourceVersion, allowWatchBookmarks: true }, signal)) {
        for (const event of batch) {
          resourceVersion = event.object.metadata.resourceVersion ?? resourceVersion;
          if (event.type === 'BOOKMARK') continue;
          if (event.type === 'DELETED') throw new Error(`the certificate signing request "${nameOf(made)}" was deleted before it was approved`);
          const cert = certificateOf(event.object);
          if (cert !== undefined) return cert;
        }
      }
    } catch (err) {
      if (!isReason(err, 'Expired') && !isReason(err, 'Gone')) throw err;
      const { items, metadata } = await requests.list({ fieldSelector, signal });
      const cert = items[0] && certificateOf(items[0]);
      if (cert !== undefined) return cert;
      resourceVersion = metadata.resourceVersion ?? '0';
    }
  }
  throw signal.reason as Error;
}
/** Undefined while nobody has decided. Throws for what will not be issued. */
function certificateOf({ metadata, status }: CertificateSigningRequest): string | undefined {
  const refused = status?.conditions?.find((c) => c.type === 'Denied' || c.type === 'Failed');
  if (refused) throw new Error(`the certificate signing request "${metadata.name}" is ${refused.type}: ${refused.message ?? refused.reason ?? ''}`);
  return status?.certificate ? Buffer.from(status.certificate, 'base64').toString('utf8') : undefined;
}
