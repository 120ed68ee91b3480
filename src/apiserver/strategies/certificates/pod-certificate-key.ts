/** The key that a certificate is asked for, with the proof that the asker has it. Source: KEP-4317. */
import { createPublicKey, verify, constants, type KeyObject } from 'node:crypto';
import type { PodCertificateRequestSpec } from '#api/gen/certificates-v1beta1.ts';
import { parseCertificateRequest } from '#machinery/certificate-request.ts';
import { fieldPath, invalidField, invalidValue, tooLong, type FieldError, type FieldPath } from '#machinery/field-errors.ts';

const SPEC = fieldPath('spec');
export const REQUEST = SPEC.child('stubPKCS10Request');
export const PUBLIC_KEY = SPEC.child('pkixPublicKey');
const PROOF = SPEC.child('proofOfPossession');
const MAX_BYTES = 10 * 1024;
const CURVES: Readonly<Record<string, string>> = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521', secp224r1: 'P-224' };

const bytesOf = (base64: string | undefined): Buffer => Buffer.from(base64 ?? '', 'base64');

/** Keys of kinds and sizes that signers must know. `curves` are upstream's words, which differ by field. */
function kindProblem(key: KeyObject, path: FieldPath, curves: string, unknown: FieldError): FieldError[] {
  const { namedCurve = '', modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case 'ed25519':
      return [];
    case 'ec':
      return ['prime256v1', 'secp384r1', 'secp521r1'].includes(namedCurve) ? [] : [invalidValue(path, `curve ${CURVES[namedCurve] ?? namedCurve}`, `elliptic public keys must use curve ${curves}`)];
    case 'rsa':
      return [3072, 4096].includes(modulusLength) ? [] : [invalidValue(path, `${modulusLength}-bit modulus`, 'RSA keys must have modulus size 3072 or 4096')];
    default:
      return [unknown];
  }
}
const UNKNOWN = 'unknown public key type; supported types are Ed25519, ECDSA, and RSA';

function validateRequest(request: string): FieldError[] {
  const bytes = bytesOf(request);
  if (bytes.length > MAX_BYTES) return [tooLong(REQUEST, MAX_BYTES)];
  let parsed: ReturnType<typeof parseCertificateRequest>;
  try {
    parsed = parseCertificateRequest(bytes);
  } catch {
    return [invalidField(REQUEST, 'must be a valid PKCS#10 CSR')];
  }
  const problem = kindProblem(parsed.publicKey, REQUEST, 'P256, P384, or P521', invalidField(REQUEST, UNKNOWN));
  // What the request says beside its key is nobody's business here: kubelets leave it empty.
  return problem.length > 0 || parsed.isSignatureValid() ? problem : [invalidField(REQUEST, 'invalid signature')];
}
function proves(key: KeyObject, uid: string, proof: Buffer): boolean {
  const signed = Buffer.from(uid);
  if (key.asymmetricKeyType === 'ed25519') return verify(null, signed, key, proof);
  if (key.asymmetricKeyType === 'ec') return verify('sha256', signed, key, proof);
  return verify('sha256', signed, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_AUTO }, proof);
}
function validateKeyAndProof({ pkixPublicKey = '', proofOfPossession, podUID }: PodCertificateRequestSpec): FieldError[] {
  const [bytes, proof] = [bytesOf(pkixPublicKey), bytesOf(proofOfPossession)];
  if (bytes.length > MAX_BYTES) return [tooLong(PUBLIC_KEY, MAX_BYTES)];
  if (proof.length > MAX_BYTES) return [tooLong(PROOF, MAX_BYTES)];
  let key: KeyObject;
  try {
    key = createPublicKey({ key: bytes, format: 'der', type: 'spki' });
  } catch {
    return [invalidValue(PUBLIC_KEY, pkixPublicKey, 'must be a valid PKIX-serialized public key')];
  }
  const problem = kindProblem(key, PUBLIC_KEY, 'P256 or P384', invalidValue(PUBLIC_KEY, pkixPublicKey, UNKNOWN));
  return problem.length > 0 || proves(key, podUID ?? '', proof) ? problem : [invalidField(PROOF, 'could not verify proof-of-possession signature')];
}

/** A stub request, or a key and a proof, which came before it. */
export function validateKey(spec: PodCertificateRequestSpec): FieldError[] {
  const [request, key, proof] = [spec.stubPKCS10Request, spec.pkixPublicKey, spec.proofOfPossession].map(Boolean);
  if (request && !key && !proof) return validateRequest(spec.stubPKCS10Request);
  if (!request && key && proof) return validateKeyAndProof(spec);
  return [invalidField(SPEC, 'exactly one of (stubPKCS10Request) or (pkixPublicKey, proofOfPossession) must be set')];
}
/** The key of a request that was found good. Throws for one that is not. */
export function requestedKey(spec: PodCertificateRequestSpec): KeyObject {
  if (spec.stubPKCS10Request) return parseCertificateRequest(bytesOf(spec.stubPKCS10Request)).publicKey;
  return createPublicKey({ key: bytesOf(spec.pkixPublicKey), format: 'der', type: 'spki' });
}
