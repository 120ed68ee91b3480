/** The registration socket of a plugin: what tells the kubelet that it is there. */
import { mkdir, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { startGrpcServer } from '#cri/testing/grpc-server.ts';
import type { Init } from '#cri/schema.ts';
import { registrationCodec } from '../plugins/protocol.ts';
import type { PluginInfo, RegistrationStatus } from '../plugins/types.ts';

/** Takes the place of a socket that is there. Disposed of, it takes the socket away. `onStatus` is called with what the kubelet tells of each registration. */
export async function serveRegistration(socket: string, info: Init<PluginInfo>, onStatus: (status: RegistrationStatus) => void): Promise<AsyncDisposable> {
  await mkdir(dirname(socket), { recursive: true });
  await rm(socket, { force: true });
  const server = await startGrpcServer({
    '/pluginregistration.Registration/GetInfo': { handle: () => Promise.resolve(registrationCodec('PluginInfo').encode(info)) },
    '/pluginregistration.Registration/NotifyRegistrationStatus': { handle: ({ request }) => {
      onStatus(registrationCodec('RegistrationStatus').decode(request));
      return Promise.resolve(Buffer.alloc(0));
    } },
  }, socket);
  return {
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await rm(socket, { force: true });
    },
  };
}
