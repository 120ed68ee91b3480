/** The keys of service-account tokens: one signs, several may verify (rotation). Also their public face: JWKS and OpenID discovery. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { exportJWK, type JWK } from 'jose';

export type TokenAlgorithm = 'ES256' | 'RS256';
export interface VerificationKey {
  /** base64url of the SHA-256 of the key's DER SubjectPublicKeyInfo, as upstream names keys. */
  readonly kid: string;
  readonly alg: TokenAlgorithm;
  readonly key: KeyObject;
}
export interface SigningKey extends VerificationKey {
  readonly privateKey: KeyObject;
}

function algorithmOf(key: KeyObject): TokenAlgorithm {
  if (key.asymmetricKeyType === 'rsa') return 'RS256';
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'ES256';
  throw new Error(`cannot use a key of type "${key.asymmetricKeyType ?? 'unknown'}" for service-account tokens: it must be RSA or EC P-256`);
}
/** A verification key from PEM: a public key, or a private one whose public half is taken. */
export function verificationKey(pem: string): VerificationKey {
  const key = createPublicKey(pem);
  const der = key.export({ format: 'der', type: 'spki' });
  return { kid: createHash('sha256').update(der).digest('base64url'), alg: algorithmOf(key), key };
}
export function signingKey(pem: string): SigningKey {
  return { ...verificationKey(pem), privateKey: createPrivateKey(pem) };
}

/** The answer to `/openid/v1/jwks` (content type `application/jwk-set+json`). */
export async function jwksDocument(keys: readonly VerificationKey[]): Promise<{ readonly keys: readonly JWK[] }> {
  return { keys: await Promise.all(keys.map(async (k) => ({ use: 'sig', alg: k.alg, kid: k.kid, ...(await exportJWK(k.key)) }))) };
}
/** The answer to `/.well-known/openid-configuration` (OpenID Connect Discovery 1.0 §3). */
export function openIdConfiguration(options: { readonly issuer: string; readonly jwksUri: string; readonly keys: readonly VerificationKey[] }): Readonly<Record<string, unknown>> {
  return {
    issuer: options.issuer,
    jwks_uri: options.jwksUri,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [...new Set(options.keys.map((k) => k.alg))].toSorted(),
  };
}
