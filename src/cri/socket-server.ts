/** Serves gRPC methods on a local socket: what plugins of the node call. The other side of `channel.ts`. */
import { rm } from 'node:fs/promises';
import grpc from '@grpc/grpc-js';
import { codeNumber, CriError } from './error.ts';
import type { Codec, Init } from './schema.ts';

/** A call that is answered: bytes in, bytes out. */
export interface ServedCall {
  readonly path: string;
  handle(request: Buffer): Promise<Buffer>;
}
/** Ties a handler to a unary method, `/runtime.v1.RuntimeService/Version`. A {@link CriError} that it throws keeps its code; everything else is `Unknown`, as Go's servers say. */
export function served<In extends object, Out extends object>(path: string, request: Pick<Codec<In>, 'decode'>, response: Pick<Codec<Out>, 'encode'>, handle: (request: In) => Promise<Init<Out>> | Init<Out>): ServedCall {
  return { path, handle: async (bytes) => response.encode(await handle(request.decode(bytes))) };
}

export interface SocketServer {
  /** Ends calls under way and removes the socket. Idempotent. */
  close(): Promise<void>;
}

const raw = (bytes: Buffer): Buffer => bytes;

/** Listens on `path`, in place of a socket that an earlier process left there. Rejects when it cannot. */
export async function serveSocket(path: string, calls: readonly ServedCall[]): Promise<SocketServer> {
  await rm(path, { force: true });
  const server = new grpc.Server();
  for (const call of calls) {
    const handler: grpc.handleUnaryCall<Buffer, Buffer> = ({ request }, reply) => {
      call.handle(request).then((answer) => reply(null, answer), (err: unknown) => reply(statusOf(err)));
    };
    server.register(call.path, handler, raw, raw, 'unary');
  }
  await new Promise<void>((resolve, reject) => server.bindAsync(`unix://${path}`, grpc.ServerCredentials.createInsecure(), (err) => (err ? reject(err) : resolve())));
  return {
    async close() {
      server.forceShutdown();
      await rm(path, { force: true });
    },
  };
}
function statusOf(err: unknown): Partial<grpc.StatusObject> {
  return err instanceof CriError ? { code: codeNumber(err.code), details: err.desc } : { code: codeNumber('Unknown'), details: err instanceof Error ? err.message : String(err) };
}
