/** The CSI drivers of a node, as their plugins register. */
import type { Clock } from '#base/clock.ts';
import type { PluginHandler } from '../plugins/plugin-watcher.ts';
import type { PluginInfo } from '../plugins/types.ts';
import { connectCsi, type CsiClient } from './client.ts';
import type { CsiNodeInfo } from './node-info.ts';

interface Driver {
  readonly endpoint: string;
  readonly client: CsiClient;
}

/** `1.2.3`, `v1.0.0`; the protocol's first major version is the one that is spoken. */
const SUPPORTED = /^v?1(\.\d+)*$/;

export class CsiDrivers implements PluginHandler {
  readonly #clock: Clock;
  readonly #info: CsiNodeInfo;
  readonly #drivers = new Map<string, Driver>();
  readonly #listeners = new Set<(driver: string) => void>();
  readonly #abort = new AbortController();

  constructor(info: CsiNodeInfo, clock: Clock) {
    this.#info = info;
    this.#clock = clock;
  }
  /** Called with the name of each driver that has registered. */
  onRegistered(listener: (driver: string) => void): void {
    this.#listeners.add(listener);
  }
  /** Throws in upstream's words when no such driver has registered. */
  client(driver: string): CsiClient {
    const found = this.#drivers.get(driver);
    if (!found) throw new Error(`driver name ${driver} not found in the list of registered CSI drivers`);
    return found.client;
  }
  async register({ name, endpoint, supportedVersions }: PluginInfo, signal: AbortSignal): Promise<void> {
    const failed = `kubernetes.io/csi: RegisterPlugin for CSI driver "${name}" failed.`;
    if (supportedVersions.length === 0) throw new Error(`${failed} Plugin returned an empty list for supported versions`);
    if (!supportedVersions.some((v) => SUPPORTED.test(v))) throw new Error(`${failed} None of the versions specified ${JSON.stringify(supportedVersions)} are supported`);
    const client = connectCsi(endpoint, this.#clock);
    try {
      await this.#info.install(name, await client.nodeGetInfo({}, { signal }), signal);
    } catch (err) {
      client.close();
      await this.#remove(name, endpoint).catch(() => {});
      throw err;
    }
    this.#drivers.get(name)?.client.close();
    this.#drivers.set(name, { endpoint, client });
    for (const listener of this.#listeners) listener(name);
  }
  async deregister({ name, endpoint }: PluginInfo): Promise<void> {
    await this.#remove(name, endpoint);
  }
  stop(): void {
    this.#abort.abort(new Error('the kubelet is stopping'));
    for (const d of this.#drivers.values()) d.client.close();
  }

  /** Only what is behind that socket: another plugin may have taken the name over. */
  async #remove(name: string, endpoint: string): Promise<void> {
    const known = this.#drivers.get(name);
    if (known?.endpoint !== endpoint) return;
    known.client.close();
    this.#drivers.delete(name);
    await this.#info.uninstall(name, this.#abort.signal);
  }
}
