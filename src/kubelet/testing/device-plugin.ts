/** A device plugin as its authors write them: a socket beside the kubelet's, registration, a list of devices that may change. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '#base/clock.ts';
import { Channel } from '#cri/channel.ts';
import { startGrpcServer } from '#cri/testing/grpc-server.ts';
import type { Init } from '#cri/schema.ts';
import { deviceCodec } from '../devices/protocol.ts';
import type { ContainerAllocateResponse, ContainerPreferredAllocationRequest, DevicePluginOptions } from '../devices/types.ts';

const SERVICE = '/v1beta1.DevicePlugin';

export interface TestPluginOptions {
  /** Directory of the kubelet's socket. */
  readonly dir: string;
  readonly resource: string;
  /** IDs; a `!` in front makes a device unhealthy, `@0,1` behind tells its NUMA nodes. */
  readonly devices: readonly string[];
  readonly options?: Partial<DevicePluginOptions>;
  readonly version?: string;
  /** What a container gets with these devices; may throw. */
  readonly allocate?: (ids: readonly string[]) => Init<ContainerAllocateResponse>;
  readonly prefer?: (request: ContainerPreferredAllocationRequest) => readonly string[];
  readonly preStart?: (ids: readonly string[]) => void;
}
export interface TestPlugin extends AsyncDisposable {
  readonly socket: string;
  /** Devices of each Allocate so far, and of each PreStartContainer. */
  readonly allocated: string[][];
  readonly started: string[][];
  /** Rejects as the kubelet answers. */
  register(): Promise<void>;
  setDevices(devices: readonly string[]): void;
}

/** Serves; {@link TestPlugin.register} makes it known. */
export async function startDevicePlugin(plugin: TestPluginOptions): Promise<TestPlugin> {
  const endpoint = `${plugin.resource.replace('/', '_')}.sock`;
  const socket = join(plugin.dir, endpoint);
  const options = { preStartRequired: plugin.preStart !== undefined, getPreferredAllocationAvailable: plugin.prefer !== undefined, ...plugin.options };
  const [allocated, started]: [string[][], string[][]] = [[], []];
  const listeners = new Set<(list: Buffer) => void>();
  const stop = Promise.withResolvers<void>();
  const encoded = (devices: readonly string[]): Buffer => deviceCodec('ListAndWatchResponse').encode({ devices: devices.map((d) => {
    const [id = '', nodes] = d.replace('!', '').split('@');
    return { ID: id, health: d.startsWith('!') ? 'Unhealthy' : 'Healthy', ...(nodes ? { topology: { nodes: nodes.split(',').map((n) => ({ ID: Number(n) })) } } : {}) };
  }) });
  let list = encoded(plugin.devices);
  await rm(socket, { force: true });
  const server = await startGrpcServer({
    [`${SERVICE}/ListAndWatch`]: {
      stream: true,
      async handle({ write, cancelled }) {
        write(list);
        listeners.add(write);
        await Promise.race([cancelled, stop.promise]);
        listeners.delete(write);
      },
    },
    [`${SERVICE}/Allocate`]: {
      async handle({ request }) {
        const containers = deviceCodec('AllocateRequest').decode(request).containerRequests.map((c) => c.devicesIds);
        const containerResponses = containers.map((ids) => plugin.allocate?.(ids) ?? {});
        allocated.push(...containers.map((ids) => [...ids]));
        return deviceCodec('AllocateResponse').encode({ containerResponses });
      },
    },
    [`${SERVICE}/GetPreferredAllocation`]: {
      handle: async ({ request }) => deviceCodec('PreferredAllocationResponse').encode({ containerResponses: deviceCodec('PreferredAllocationRequest').decode(request).containerRequests.map((r) => ({ deviceIDs: plugin.prefer!(r) })) }),
    },
    [`${SERVICE}/PreStartContainer`]: {
      async handle({ request }) {
        const { devicesIds } = deviceCodec('PreStartContainerRequest').decode(request);
        plugin.preStart?.(devicesIds);
        started.push([...devicesIds]);
        return Buffer.alloc(0);
      },
    },
  }, socket);
  return {
    socket, allocated, started,
    async register() {
      const channel = new Channel({ endpoint: join(plugin.dir, 'kubelet.sock'), clock: systemClock });
      try {
        await channel.unary({ path: '/v1beta1.Registration/Register', request: deviceCodec('RegisterRequest'), response: deviceCodec('Empty') }, { version: plugin.version ?? 'v1beta1', endpoint, resourceName: plugin.resource, options });
      } finally {
        channel.close();
      }
    },
    setDevices(devices) {
      list = encoded(devices);
      for (const write of listeners) write(list);
    },
    async [Symbol.asyncDispose]() {
      stop.resolve();
      await server[Symbol.asyncDispose]();
      await rm(socket, { force: true });
    },
  };
}
