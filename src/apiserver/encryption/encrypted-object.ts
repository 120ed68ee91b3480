/**
 * What KMS v2 writes to the store: a protobuf message that holds the sealed object, and beside it the key it was sealed with, itself sealed
 * by the plugin. Source: KEP-3299; `EncryptedObject` of upstream's `storage/value/encrypt/envelope/kmsv2/v2`.
 */
import { createHmac, randomBytes } from 'node:crypto';
import protobuf from 'protobufjs';
import { fieldPath, toAggregate } from '#machinery/field-errors.ts';
import { isFullyQualifiedDomainName } from '#machinery/names.ts';
import { openGcm, gcmAlgorithm, sealGcm, TOO_SHORT } from './providers.ts';

export type Annotations = Readonly<Record<string, Buffer>>;
/** A key as the plugin sealed it, and all that the plugin wants to see again to open it. */
export interface SealedKey {
  readonly keyID: string;
  readonly encryptedDEKSource: Buffer;
  readonly annotations: Annotations;
  readonly encryptedDEKSourceType: number;
}
export interface EncryptedObject extends SealedKey {
  readonly encryptedData: Buffer;
}

/** The source is an AES-GCM key: read, never written. */
export const AES_GCM_KEY = 0;
/** The source is a seed, from which each value's own key is derived. */
export const HKDF_SEED = 1;
export const SEED_BYTES = 32;
const INFO_BYTES = 32;
const MAX_KEY_ID = 1024;
const MAX_SOURCE = 1024;
const MAX_ANNOTATIONS = 32 * 1024;

const type = protobuf.Root.fromJSON({
  nested: {
    EncryptedObject: {
      fields: {
        encryptedData: { type: 'bytes', id: 1 }, keyID: { type: 'string', id: 2 }, encryptedDEKSource: { type: 'bytes', id: 3 },
        annotations: { keyType: 'string', type: 'bytes', id: 4 } as protobuf.IMapField, encryptedDEKSourceType: { type: 'int32', id: 5 },
      },
    },
  },
}).lookupType('EncryptedObject');

export function encodeEncryptedObject(object: EncryptedObject): Buffer {
  return type.encode(type.fromObject(object)).finish() as Buffer;
}
/** Throws for what is no such message, or breaks its limits. */
export function decodeEncryptedObject(bytes: Buffer): EncryptedObject {
  const object = type.toObject(type.decode(bytes), { defaults: true }) as EncryptedObject;
  if (object.encryptedData.length === 0) throw new Error('encrypted data is empty');
  validateSealedKey(object);
  return object;
}
/** Throws in upstream's words. */
export function validateSealedKey(key: SealedKey): void {
  if (key.encryptedDEKSourceType !== AES_GCM_KEY && key.encryptedDEKSourceType !== HKDF_SEED) throw new Error(`unknown encryptedDEKSourceType: ${key.encryptedDEKSourceType}`);
  const size = key.encryptedDEKSource.length;
  if (size === 0) throw new Error('failed to validate encrypted DEK source: encrypted DEK source is empty');
  if (size > MAX_SOURCE) throw new Error(`failed to validate encrypted DEK source: encrypted DEK source is ${size} bytes, which exceeds the max size of ${MAX_SOURCE}`);
  const keyID = keyIDFault(key.keyID);
  if (keyID !== undefined) throw new Error(`failed to validate key id: ${keyID}`);
  const annotations = annotationsFault(key.annotations);
  if (annotations !== undefined) throw new Error(`failed to validate annotations: ${annotations}`);
}
export function keyIDFault(keyID: string): string | undefined {
  if (keyID === '') return 'keyID is empty';
  const size = Buffer.byteLength(keyID);
  return size > MAX_KEY_ID ? `keyID is ${size} bytes, which exceeds the max size of ${MAX_KEY_ID}` : undefined;
}
function annotationsFault(annotations: Annotations): string | undefined {
  let total = 0;
  for (const [name, value] of Object.entries(annotations)) {
    const faults = isFullyQualifiedDomainName(fieldPath('annotations'), name);
    if (faults.length > 0) return toAggregate(faults);
    total += Buffer.byteLength(name) + value.length;
  }
  return total > MAX_ANNOTATIONS ? `total size of annotations is ${total}, which exceeds the max size of ${MAX_ANNOTATIONS}` : undefined;
}

/** RFC 5869's expansion to one block: the seed is random already, so there is nothing to extract. */
function derivedKey(seed: Buffer, info: Buffer): Buffer {
  return createHmac('sha256', seed).update(info).update(Buffer.of(1)).digest();
}
/** info (32) ‖ nonce (12) ‖ ciphertext ‖ tag (16), under a key of its own. */
export function sealWithSeed(seed: Buffer, plain: Buffer, storeKey: string): Buffer {
  const info = randomBytes(INFO_BYTES);
  return sealGcm('aes-256-gcm', derivedKey(seed, info), plain, storeKey, info);
}
/** Opens what either kind of source has sealed. */
export function openWithSource(kind: number, source: Buffer, sealed: Buffer, storeKey: string): Buffer {
  if (kind === AES_GCM_KEY) return openGcm(gcmAlgorithm(source.length), source, sealed, storeKey);
  if (source.length < SEED_BYTES) throw new Error(`invalid seed length ${source.length} used for key generation`);
  if (sealed.length < INFO_BYTES) throw new Error(TOO_SHORT);
  return openGcm('aes-256-gcm', derivedKey(source, sealed.subarray(0, INFO_BYTES)), sealed.subarray(INFO_BYTES), storeKey);
}
