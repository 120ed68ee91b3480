/** Whether a certificate and a key fit, in the words of Go's `tls.X509KeyPair`. */
import { createPrivateKey, X509Certificate } from 'node:crypto';

const BLOCK = /-----BEGIN ([^-]+)-----[\s\S]*?-----END \1-----/g;
const LIST = (types: readonly string[]) => `[${types.join(' ')}]`;

/** Why a server could not use the pair; undefined when it can. What the certificate says is not looked at. */
export function tlsPairProblem(certificate: string, key: string): string | undefined {
  const blocks = [...certificate.matchAll(BLOCK)];
  const leaf = blocks.find((block) => block[1] === 'CERTIFICATE');
  if (!leaf) return noCertificate(blocks.map((block) => block[1]!));
  const keys = [...key.matchAll(BLOCK)];
  const secret = keys.find(([, type]) => type === 'PRIVATE KEY' || type!.endsWith(' PRIVATE KEY'));
  if (!secret) return noKey(keys.map((block) => block[1]!));
  return mismatch(leaf[0], secret[0]);
}
function noCertificate(types: readonly string[]): string {
  if (types.length === 0) return 'tls: failed to find any PEM data in certificate input';
  if (types.length === 1 && types[0]!.endsWith('PRIVATE KEY')) return 'tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched';
  return `tls: failed to find "CERTIFICATE" PEM block in certificate input after skipping PEM blocks of the following types: ${LIST(types)}`;
}
function noKey(types: readonly string[]): string {
  if (types.length === 0) return 'tls: failed to find any PEM data in key input';
  if (types.length === 1 && types[0] === 'CERTIFICATE') return 'tls: found a certificate rather than a key in the PEM for the private key';
  return `tls: failed to find PEM block with type ending in "PRIVATE KEY" in key input after skipping PEM blocks of the following types: ${LIST(types)}`;
}
function mismatch(certificate: string, key: string): string | undefined {
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(certificate);
  } catch {
    return 'x509: malformed certificate';
  }
  try {
    const secret = createPrivateKey(key);
    if (leaf.checkPrivateKey(secret)) return undefined;
    return secret.asymmetricKeyType === leaf.publicKey.asymmetricKeyType ? 'tls: private key does not match public key' : 'tls: private key type does not match public key type';
  } catch {
    return 'tls: failed to parse private key';
  }
}
