/** One registered device plugin: the kubelet's connection to its socket. */
import type { Clock } from '#base/clock.ts';
import { Channel } from '#cri/channel.ts';
import { serviceCalls } from '#cri/client.ts';
import type { Codec } from '#cri/schema.ts';
import { deviceCodec, deviceFacts } from './protocol.ts';
import type { ContainerAllocateResponse, ContainerPreferredAllocationRequest, Device, DevicePlugin as Calls, DevicePluginOptions, Messages } from './types.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const PRE_START_TIMEOUT_MS = 30_000;

export class DevicePlugin {
  readonly resource: string;
  readonly options: DevicePluginOptions;
  readonly #channel: Channel;
  readonly #calls: Calls;
  readonly #abort = new AbortController();

  constructor(resource: string, socket: string, options: DevicePluginOptions, clock: Clock) {
    this.resource = resource;
    this.options = options;
    this.#channel = new Channel({ endpoint: `unix://${socket}`, clock });
    this.#calls = serviceCalls(this.#channel, deviceFacts(), (name) => deviceCodec(name as keyof Messages) as unknown as Codec<object>, () => 0) as Calls;
  }
  /** Hands on each list of devices. Resolves when the plugin ends the list or is closed; rejects when it cannot be reached. */
  async watch(onDevices: (devices: readonly Device[]) => void): Promise<void> {
    const { signal } = this.#abort;
    try {
      await this.#channel.connected({ timeoutMs: CONNECT_TIMEOUT_MS, signal });
      for await (const { devices } of this.#calls.listAndWatch({}, { signal })) onDevices(devices);
    } catch (err) {
      if (!signal.aborted) throw err;
    } finally {
      this.close();
    }
  }
  /** Takes as long as the plugin takes; `signal` is the Pod's. */
  async allocate(deviceIds: readonly string[], signal: AbortSignal): Promise<ContainerAllocateResponse> {
    const { containerResponses: [response] } = await this.#calls.allocate({ containerRequests: [{ devicesIds: deviceIds }] }, { signal });
    if (!response) throw new Error('no containers return in allocation response');
    return response;
  }
  /** What the plugin would rather give; undefined where it has no opinion. */
  async preferredAllocation(request: ContainerPreferredAllocationRequest, signal: AbortSignal): Promise<readonly string[] | undefined> {
    if (!this.options.getPreferredAllocationAvailable) return undefined;
    const { containerResponses: [response] } = await this.#calls.getPreferredAllocation({ containerRequests: [request] }, { signal });
    return response?.deviceIDs;
  }
  /** Called before each start of a container, where the plugin asks for it. */
  async preStartContainer(devicesIds: readonly string[], signal: AbortSignal): Promise<void> {
    if (this.options.preStartRequired) await this.#calls.preStartContainer({ devicesIds }, { signal, timeoutMs: PRE_START_TIMEOUT_MS });
  }
  close(): void {
    this.#abort.abort(new Error(`the device plugin of ${this.resource} is no longer used`));
    this.#channel.close();
  }
}
