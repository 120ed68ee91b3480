/**
 * The ciphers of encryption at rest. What they write has upstream's form, so that a store can move between the two. Source: the Kubernetes
 * page "Encrypting Confidential Data at Rest", "Available providers".
 *
 * ```
 *   aesgcm     k8s:enc:aesgcm:v1:NAME: ‖ nonce (12) ‖ ciphertext ‖ tag (16)      authenticated with the object's key in the store
 *   aescbc     k8s:enc:aescbc:v1:NAME: ‖ IV (16) ‖ ciphertext, padded as PKCS #7  not authenticated
 *   secretbox  k8s:enc:secretbox:v1:NAME: ‖ nonce (24) ‖ tag (16) ‖ ciphertext    authenticated by itself: NaCl's box
 *   identity   as it is
 * ```
 * KMS is in `kms-provider.ts`.
 */
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes, type CipherKey, type KeyObject } from 'node:crypto';
import { xsalsa20poly1305 } from '@noble/ciphers/salsa.js';

/** What every encrypted value begins with: JSON never does. */
const ENCRYPTED = Buffer.from('k8s:enc:');
export function isEncrypted(value: Buffer): boolean {
  return startsWith(ENCRYPTED)(value);
}
export const startsWith = (prefix: Buffer) => (value: Buffer): boolean => value.length >= prefix.length && value[0] === prefix[0] && value.subarray(0, prefix.length).equals(prefix);

/** One key of one provider. */
export interface Cipher {
  /** Whether the value was written with this key, or by this plugin. */
  reads(value: Buffer): boolean;
  /** Throws when there is no key to write with. */
  encrypt(plain: Buffer, storeKey: string): Buffer;
  /** Throws for a value that this key did not write, or that was changed since. */
  decrypt(value: Buffer, storeKey: string): Buffer;
  /** Whether {@link encrypt} would use the same key today, for a value that this cipher reads. Absent: it would. */
  isCurrent?(value: Buffer): boolean;
  /** Fetches what {@link decrypt} needs for these values, all of which it reads. Undefined when nothing is missing. Never rejects: decrypt throws then. */
  prepare?(values: readonly Buffer[], signal: AbortSignal): Promise<void> | undefined;
}

export const IDENTITY: Cipher = {
  reads: (value) => !isEncrypted(value),
  encrypt: (plain) => plain,
  decrypt: (value) => value,
};

const NONCE = 12;
const TAG = 16;
const BLOCK = 16;
const BOX_NONCE = 24;
export const TOO_SHORT = 'the stored data was shorter than the required size';

type GcmAlgorithm = 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm';
export const gcmAlgorithm = (keyBytes: number): GcmAlgorithm => `aes-${(keyBytes * 8) as 128 | 192 | 256}-gcm`;
/** nonce ‖ ciphertext ‖ tag, after `head`. */
export function sealGcm(algorithm: GcmAlgorithm, key: CipherKey, plain: Buffer, storeKey: string, head: Buffer): Buffer {
  const nonce = randomBytes(NONCE);
  const cipher = createCipheriv(algorithm, key, nonce).setAAD(Buffer.from(storeKey));
  return Buffer.concat([head, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
}
export function openGcm(algorithm: GcmAlgorithm, key: CipherKey, sealed: Buffer, storeKey: string): Buffer {
  if (sealed.length < NONCE + TAG) throw new Error(TOO_SHORT);
  const decipher = createDecipheriv(algorithm, key, sealed.subarray(0, NONCE), { authTagLength: TAG });
  decipher.setAAD(Buffer.from(storeKey)).setAuthTag(sealed.subarray(-TAG));
  return Buffer.concat([decipher.update(sealed.subarray(NONCE, -TAG)), decipher.final()]);
}

class AesGcm implements Cipher {
  readonly reads: (value: Buffer) => boolean;
  readonly #prefix: Buffer;
  readonly #key: KeyObject;
  readonly #algorithm: GcmAlgorithm;
  constructor(name: string, secret: Buffer) {
    this.#prefix = Buffer.from(`k8s:enc:aesgcm:v1:${name}:`);
    this.reads = startsWith(this.#prefix);
    this.#key = createSecretKey(secret);
    this.#algorithm = gcmAlgorithm(secret.length);
  }
  encrypt(plain: Buffer, storeKey: string): Buffer {
    return sealGcm(this.#algorithm, this.#key, plain, storeKey, this.#prefix);
  }
  decrypt(value: Buffer, storeKey: string): Buffer {
    return openGcm(this.#algorithm, this.#key, value.subarray(this.#prefix.length), storeKey);
  }
}

class AesCbc implements Cipher {
  readonly reads: (value: Buffer) => boolean;
  readonly #prefix: Buffer;
  readonly #key: KeyObject;
  readonly #algorithm: string;
  constructor(name: string, secret: Buffer) {
    this.#prefix = Buffer.from(`k8s:enc:aescbc:v1:${name}:`);
    this.reads = startsWith(this.#prefix);
    this.#key = createSecretKey(secret);
    this.#algorithm = `aes-${secret.length * 8}-cbc`;
  }
  encrypt(plain: Buffer): Buffer {
    const iv = randomBytes(BLOCK);
    const cipher = createCipheriv(this.#algorithm, this.#key, iv);
    return Buffer.concat([this.#prefix, iv, cipher.update(plain), cipher.final()]);
  }
  decrypt(value: Buffer): Buffer {
    const body = value.subarray(this.#prefix.length);
    if (body.length < 2 * BLOCK) throw new Error(TOO_SHORT);
    const decipher = createDecipheriv(this.#algorithm, this.#key, body.subarray(0, BLOCK));
    return Buffer.concat([decipher.update(body.subarray(BLOCK)), decipher.final()]);
  }
}

class SecretBox implements Cipher {
  readonly reads: (value: Buffer) => boolean;
  readonly #prefix: Buffer;
  readonly #key: Buffer;
  constructor(name: string, secret: Buffer) {
    this.#prefix = Buffer.from(`k8s:enc:secretbox:v1:${name}:`);
    this.reads = startsWith(this.#prefix);
    this.#key = secret;
  }
  encrypt(plain: Buffer): Buffer {
    const nonce = randomBytes(BOX_NONCE);
    return Buffer.concat([this.#prefix, nonce, xsalsa20poly1305(this.#key, nonce).encrypt(plain)]);
  }
  decrypt(value: Buffer): Buffer {
    const body = value.subarray(this.#prefix.length);
    if (body.length < BOX_NONCE + TAG) throw new Error(TOO_SHORT);
    let plain: Uint8Array;
    try {
      plain = xsalsa20poly1305(this.#key, body.subarray(0, BOX_NONCE)).decrypt(body.subarray(BOX_NONCE));
    } catch (err) {
      throw new Error('output array was not large enough for encryption', { cause: err });
    }
    return Buffer.from(plain.buffer, plain.byteOffset, plain.byteLength);
  }
}

export const aesGcm = (name: string, secret: Buffer): Cipher => new AesGcm(name, secret);
export const aesCbc = (name: string, secret: Buffer): Cipher => new AesCbc(name, secret);
export const secretBox = (name: string, secret: Buffer): Cipher => new SecretBox(name, secret);
