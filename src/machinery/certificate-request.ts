/** PKCS #10 certificate requests (RFC 2986): read, checked and made, without waiting. */
import { createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { DER, der, readDer } from './der.ts';

/** What signs requests: the hash by the OID of the algorithm, in hexadecimal; null where the key has its own. */
const ALGORITHMS: Readonly<Record<string, string | null>> = {
  '2a864886f70d01010b': 'sha256', '2a864886f70d01010c': 'sha384', '2a864886f70d01010d': 'sha512', // RSA
  '2a8648ce3d040302': 'sha256', '2a8648ce3d040303': 'sha384', '2a8648ce3d040304': 'sha512', // ECDSA
  '2b6570': null, // Ed25519
};
const RSA_WITH_NULL = Buffer.from([0x05, 0x00]);

export interface CertificateRequest {
  readonly publicKey: KeyObject;
  /** Whether it is signed by its own key. */
  isSignatureValid(): boolean;
}
/** Throws an Error for bytes that are no certificate request. */
export function parseCertificateRequest(bytes: Buffer): CertificateRequest {
  const whole = readDer(bytes);
  const [info, algorithm, signature] = readDer(whole[0]!.content);
  const [version, , key] = readDer(info!.content);
  if (whole.length !== 1 || whole[0]!.tag !== DER.sequence || version?.tag !== DER.integer || key?.tag !== DER.sequence || signature?.tag !== DER.bitString) throw new Error('not a certificate request');
  const publicKey = createPublicKey({ key: key.raw, format: 'der', type: 'spki' });
  const hash = ALGORITHMS[readDer(algorithm!.content)[0]!.content.toString('hex')];
  return { publicKey, isSignatureValid: () => hash !== undefined && verify(hash, info!.raw, publicKey, signature.content.subarray(1)) };
}

/** The algorithm that a key signs with: its OID and hash. */
function algorithmOf(key: KeyObject): readonly [oid: string, hash: string | null] {
  if (key.asymmetricKeyType === 'ed25519') return ['2b6570', null];
  if (key.asymmetricKeyType === 'rsa') return ['2a864886f70d01010b', 'sha256'];
  return ({ prime256v1: ['2a8648ce3d040302', 'sha256'], secp384r1: ['2a8648ce3d040303', 'sha384'], secp521r1: ['2a8648ce3d040304', 'sha512'] } as const)[key.asymmetricKeyDetails?.namedCurve as 'prime256v1'];
}
/** A request that says nothing but which key it is for, signed by that key. */
export function emptyCertificateRequest(privateKey: KeyObject): Buffer {
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  const info = der(DER.sequence, der(DER.integer, Buffer.from([0])), der(DER.sequence), spki, der(DER.context0));
  const [oid, hash] = algorithmOf(privateKey);
  const algorithm = der(DER.sequence, der(DER.oid, Buffer.from(oid, 'hex')), ...(privateKey.asymmetricKeyType === 'rsa' ? [RSA_WITH_NULL] : []));
  return der(DER.sequence, info, algorithm, der(DER.bitString, Buffer.from([0]), sign(hash, info, privateKey)));
}
