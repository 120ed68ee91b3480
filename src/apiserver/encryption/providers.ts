/**
 * How one value lies in the store: upstream's forms, so that data can move between the two. Source: the Kubernetes page "Encrypting
 * Confidential Data at Rest", "Available providers".
 *
 * ```
 *   aesgcm   k8s:enc:aesgcm:v1:NAME: ‖ nonce (12) ‖ ciphertext ‖ tag (16)      authenticated with the object's key in the store
 *   aescbc   k8s:enc:aescbc:v1:NAME: ‖ IV (16) ‖ ciphertext, padded as PKCS #7  not authenticated
 *   identity as it is
 * ```
 */
import { createCipheriv, createDecipheriv, createSecretKey, randomBytes, type KeyObject } from 'node:crypto';

/** What every encrypted value begins with: JSON never does. */
const ENCRYPTED = Buffer.from('k8s:enc:');
export function isEncrypted(value: Buffer): boolean {
  return value.length >= ENCRYPTED.length && value[0] === ENCRYPTED[0] && value.subarray(0, ENCRYPTED.length).equals(ENCRYPTED);
}

/** One key of one provider. */
export interface Cipher {
  /** Whether the value was written with this key. */
  reads(value: Buffer): boolean;
  encrypt(plain: Buffer, storeKey: string): Buffer;
  /** Throws for a value that this key did not write, or that was changed since. */
  decrypt(value: Buffer, storeKey: string): Buffer;
}

export const IDENTITY: Cipher = {
  reads: (value) => !isEncrypted(value),
  encrypt: (plain) => plain,
  decrypt: (value) => value,
};

const NONCE = 12;
const TAG = 16;
const BLOCK = 16;
const startsWith = (prefix: Buffer) => (value: Buffer): boolean => value.length >= prefix.length && value.subarray(0, prefix.length).equals(prefix);
const TOO_SHORT = 'the stored data was shorter than the required size';

class AesGcm implements Cipher {
  readonly reads: (value: Buffer) => boolean;
  readonly #prefix: Buffer;
  readonly #key: KeyObject;
  readonly #algorithm: 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm';
  constructor(name: string, secret: Buffer) {
    this.#prefix = Buffer.from(`k8s:enc:aesgcm:v1:${name}:`);
    this.reads = startsWith(this.#prefix);
    this.#key = createSecretKey(secret);
    this.#algorithm = `aes-${(secret.length * 8) as 128 | 192 | 256}-gcm`;
  }
  encrypt(plain: Buffer, storeKey: string): Buffer {
    const nonce = randomBytes(NONCE);
    const cipher = createCipheriv(this.#algorithm, this.#key, nonce).setAAD(Buffer.from(storeKey));
    return Buffer.concat([this.#prefix, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }
  decrypt(value: Buffer, storeKey: string): Buffer {
    const body = value.subarray(this.#prefix.length);
    if (body.length < NONCE + TAG) throw new Error(TOO_SHORT);
    const decipher = createDecipheriv(this.#algorithm, this.#key, body.subarray(0, NONCE), { authTagLength: TAG });
    decipher.setAAD(Buffer.from(storeKey)).setAuthTag(body.subarray(-TAG));
    return Buffer.concat([decipher.update(body.subarray(NONCE, -TAG)), decipher.final()]);
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

export const aesGcm = (name: string, secret: Buffer): Cipher => new AesGcm(name, secret);
export const aesCbc = (name: string, secret: Buffer): Cipher => new AesCbc(name, secret);
