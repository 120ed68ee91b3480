/** A KMS v2 plugin on a unix socket: AES-GCM under keys of its own. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import grpc from '@grpc/grpc-js';
import { KMS_METHODS, type KmsDecryptRequest, type KmsEncrypted, type KmsStatus } from '../kms-service.ts';

export class KmsPlugin {
  readonly path: string;
  /** What Status says, and Encrypt uses. */
  keyId: string;
  healthz = 'ok';
  version = 'v2';
  /** Calls that are never answered. */
  silent = false;
  readonly calls = { status: 0, encrypt: 0, decrypt: 0 };
  readonly #keys = new Map<string, Buffer>();
  #server: grpc.Server | undefined;

  constructor(path: string, keyId = 'key-1') {
    this.path = path;
    this.keyId = keyId;
  }
  get endpoint(): string {
    return `unix://${this.path}`;
  }
  async listen(): Promise<void> {
    await rm(this.path, { force: true });
    const server = new grpc.Server();
    server.addService({ status: KMS_METHODS.status, encrypt: KMS_METHODS.encrypt, decrypt: KMS_METHODS.decrypt }, {
      status: this.#answer('status', (): KmsStatus => ({ version: this.version, healthz: this.healthz, keyId: this.keyId })),
      encrypt: this.#answer('encrypt', ({ plaintext }: { plaintext: Buffer }) => this.#encrypt(plaintext)),
      decrypt: this.#answer('decrypt', (request: KmsDecryptRequest) => ({ plaintext: this.#decrypt(request) })),
    });
    await new Promise<void>((resolve, reject) => server.bindAsync(this.endpoint, grpc.ServerCredentials.createInsecure(), (err) => (err ? reject(err) : resolve())));
    this.#server = server;
  }
  /** Forgets a key: what it has sealed is lost. */
  destroy(keyId: string): void {
    this.#keys.delete(keyId);
  }
  close(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  #answer<In, Out>(name: keyof KmsPlugin['calls'], handle: (request: In) => Out): grpc.handleUnaryCall<In, Out> {
    return ({ request }, callback) => {
      this.calls[name] += 1;
      if (this.silent) return;
      try {
        callback(null, handle(request));
      } catch (err) {
        callback({ code: grpc.status.UNKNOWN, details: (err as Error).message });
      }
    };
  }
  #encrypt(plaintext: Buffer): KmsEncrypted {
    const key = this.#keys.get(this.keyId) ?? randomBytes(32);
    this.#keys.set(this.keyId, key);
    const nonce = randomBytes(12);
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    return { ciphertext: Buffer.concat([nonce, cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]), keyId: this.keyId, annotations: { 'local-kek.kms.kubernetes.io': Buffer.from(this.keyId) } };
  }
  #decrypt({ ciphertext, keyId, annotations }: KmsDecryptRequest): Buffer {
    const key = this.#keys.get(keyId);
    if (!key || annotations['local-kek.kms.kubernetes.io']?.toString() !== keyId) throw new Error(`key ${keyId} is not known`);
    const decipher = createDecipheriv('aes-256-gcm', key, ciphertext.subarray(0, 12)).setAuthTag(ciphertext.subarray(-16));
    return Buffer.concat([decipher.update(ciphertext.subarray(12, -16)), decipher.final()]);
  }
}
