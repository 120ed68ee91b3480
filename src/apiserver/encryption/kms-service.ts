/**
 * The plugin's side of KMS v2: `v2.KeyManagementService` over gRPC on a unix socket. Source: KEP-3299, the Kubernetes page "Using a KMS
 * provider for data encryption", upstream's `kms/apis/v2`.
 */
import grpc from '@grpc/grpc-js';
import protobuf from 'protobufjs';
import type { Clock } from '#base/clock.ts';
import type { Annotations } from './encrypted-object.ts';

export interface KmsStatus {
  readonly version: string;
  readonly healthz: string;
  readonly keyId: string;
}
export interface KmsEncrypted {
  readonly ciphertext: Buffer;
  readonly keyId: string;
  readonly annotations: Annotations;
}
export interface KmsDecryptRequest {
  readonly ciphertext: Buffer;
  readonly uid: string;
  readonly keyId: string;
  readonly annotations: Annotations;
}
export interface KmsService {
  status(signal: AbortSignal): Promise<KmsStatus>;
  encrypt(plaintext: Buffer, uid: string, signal: AbortSignal): Promise<KmsEncrypted>;
  decrypt(request: KmsDecryptRequest, signal: AbortSignal): Promise<Buffer>;
  close(): void;
}

/** A call that the plugin did not answer, or refused; the message is what Go's gRPC prints. */
export class KmsError extends Error {
  readonly code: grpc.status;
  constructor(code: grpc.status, desc: string, options?: ErrorOptions) {
    super(`rpc error: code = ${GO_CODES[code] ?? 'Unknown'} desc = ${desc}`, options);
    this.name = 'KmsError';
    this.code = code;
  }
  /** The plugin may answer if it is asked again. */
  get passing(): boolean {
    return this.code === grpc.status.UNAVAILABLE || this.code === grpc.status.DEADLINE_EXCEEDED;
  }
}
/** gRPC's codes by number, as Go spells them. */
export const GO_CODES = [
  'OK', 'Canceled', 'Unknown', 'InvalidArgument', 'DeadlineExceeded', 'NotFound', 'AlreadyExists', 'PermissionDenied', 'ResourceExhausted',
  'FailedPrecondition', 'Aborted', 'OutOfRange', 'Unimplemented', 'Internal', 'Unavailable', 'DataLoss', 'Unauthenticated',
] as const;

const bytes = (id: number): protobuf.IField => ({ type: 'bytes', id });
const text = (id: number): protobuf.IField => ({ type: 'string', id });
const annotations = (id: number): protobuf.IMapField => ({ keyType: 'string', type: 'bytes', id });
const root = protobuf.Root.fromJSON({
  nested: {
    StatusRequest: { fields: {} },
    StatusResponse: { fields: { version: text(1), healthz: text(2), keyId: text(3) } },
    DecryptRequest: { fields: { ciphertext: bytes(1), uid: text(2), keyId: text(3), annotations: annotations(4) } },
    DecryptResponse: { fields: { plaintext: bytes(1) } },
    EncryptRequest: { fields: { plaintext: bytes(1), uid: text(2) } },
    EncryptResponse: { fields: { ciphertext: bytes(1), keyId: text(2), annotations: annotations(3) } },
  },
});
/** A method as grpc-js takes it, for clients and servers. */
function method<In, Out>(name: string): grpc.MethodDefinition<In, Out> {
  const [input, output] = [root.lookupType(`${name}Request`), root.lookupType(`${name}Response`)];
  const write = (type: protobuf.Type) => (value: unknown): Buffer => type.encode(type.fromObject(value as Record<string, unknown>)).finish() as Buffer;
  const read = (type: protobuf.Type) => (wire: Buffer): unknown => type.toObject(type.decode(wire), { defaults: true });
  return {
    path: `/v2.KeyManagementService/${name}`, requestStream: false, responseStream: false,
    requestSerialize: write(input), requestDeserialize: read(input) as (wire: Buffer) => In,
    responseSerialize: write(output), responseDeserialize: read(output) as (wire: Buffer) => Out,
  };
}
export const KMS_METHODS = {
  status: method<Record<never, never>, KmsStatus>('Status'),
  encrypt: method<{ readonly plaintext: Buffer; readonly uid: string }, KmsEncrypted>('Encrypt'),
  decrypt: method<KmsDecryptRequest, { readonly plaintext: Buffer }>('Decrypt'),
};

export interface KmsServiceOptions {
  /** `unix:///run/kms/socket.sock` */
  readonly endpoint: string;
  /** Of each call. */
  readonly timeoutMs: number;
  readonly clock: Clock;
  /** Hears how long each call took. */
  readonly onCall?: (method: string, code: string, seconds: number) => void;
}

/** Connects on first use, and again after a failure. */
export function connectKms(options: KmsServiceOptions): KmsService {
  const client = new grpc.Client(options.endpoint, grpc.credentials.createInsecure(), {
    'grpc.default_authority': 'localhost', 'grpc.initial_reconnect_backoff_ms': 100, 'grpc.max_reconnect_backoff_ms': 1000, 'grpc.enable_retries': 0,
  });
  function call<In, Out>(definition: grpc.MethodDefinition<In, Out>, request: In, signal: AbortSignal): Promise<Out> {
    const { clock, timeoutMs, onCall } = options;
    const began = clock.monotonic();
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason as Error);
      let late = false;
      const onAbort = (): void => running.cancel();
      const running = client.makeUnaryRequest(definition.path, definition.requestSerialize, definition.responseDeserialize, request, (err, response) => {
        timer.cancel();
        signal.removeEventListener('abort', onAbort);
        const code = late ? grpc.status.DEADLINE_EXCEEDED : (err?.code ?? grpc.status.OK);
        onCall?.(definition.path, GO_CODES[code] ?? 'Unknown', (clock.monotonic() - began) / 1000);
        if (!err && response !== undefined) resolve(response);
        else if (signal.aborted) reject(signal.reason as Error);
        else reject(new KmsError(code, late ? 'context deadline exceeded' : (err?.details ?? ''), { cause: err }));
      });
      const timer = clock.after(timeoutMs, () => {
        late = true;
        running.cancel();
      });
      signal.addEventListener('abort', onAbort, { once: true });
    });
  }
  return {
    status: (signal) => call(KMS_METHODS.status, {}, signal),
    encrypt: (plaintext, uid, signal) => call(KMS_METHODS.encrypt, { plaintext, uid }, signal),
    decrypt: async (request, signal) => (await call(KMS_METHODS.decrypt, request, signal)).plaintext,
    close: () => client.close(),
  };
}
