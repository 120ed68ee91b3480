import grpc from '@grpc/grpc-js';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';

/** What a test's server does with one call: bytes in, bytes out. `write` streams. */
export type RawHandler = (call: { readonly request: Buffer; readonly cancelled: Promise<void>; write(message: Buffer): void }) => Promise<Buffer | void>;

/** A gRPC server on a socket with handlers by path: `/runtime.v1.RuntimeService/Version`. Others are unimplemented. `socket`: default one of its own. */
export async function startGrpcServer(handlers: Readonly<Record<string, { readonly stream?: boolean; readonly handle: RawHandler }>>, socket?: string): Promise<{ readonly endpoint: string } & AsyncDisposable> {
  const dir = await mkdtemp(`${tmpdir()}/cri-test-`);
  const server = new grpc.Server();
  for (const [path, { stream = false, handle }] of Object.entries(handlers)) server.register(path, adapt(handle, stream), raw, raw, stream ? 'serverStream' : 'unary');
  const endpoint = `unix://${socket ?? `${dir}/grpc.sock`}`;
  await new Promise<void>((resolve, reject) => server.bindAsync(endpoint, grpc.ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve())));
  return {
    endpoint,
    async [Symbol.asyncDispose]() {
      server.forceShutdown();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

const raw = (bytes: Buffer): Buffer => bytes;

function adapt(handle: RawHandler, stream: boolean): grpc.UntypedHandleCall {
  if (stream) {
    return (call: grpc.ServerWritableStream<Buffer, Buffer>) => {
      const cancelled = new Promise<void>((resolve) => call.on('cancelled', resolve));
      handle({ request: call.request, cancelled, write: (message) => void call.write(message) }).then(() => call.end(), (error: unknown) => call.emit('error', error));
    };
  }
  return (call: grpc.ServerUnaryCall<Buffer, Buffer>, callback: grpc.sendUnaryData<Buffer>) => {
    const cancelled = new Promise<void>((resolve) => call.on('cancelled', resolve));
    handle({ request: call.request, cancelled, write: () => {} }).then((reply) => callback(null, reply ?? Buffer.alloc(0)), (error: unknown) => callback(error as grpc.ServiceError));
  };
}
