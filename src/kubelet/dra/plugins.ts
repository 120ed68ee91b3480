/**
 * The DRA drivers of a node, as their plugins register. A driver may have several at once while it is being replaced.
 *
 * ```
 *   registered ──▶ connecting ──▶ usable ◀──▶ unusable ──▶ 30 s later: its ResourceSlices go
 * ```
 * Source: KEP-4381; upstream's counterpart: the DRA plugin manager.
 */
import type { Clock, Timer } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { PluginHandler } from '../plugins/plugin-watcher.ts';
import type { PluginInfo } from '../plugins/types.ts';
import type { DeviceHealth } from './health/types.ts';
import { DraPlugin } from './plugin.ts';
import { SERVICES } from './protocol.ts';

const log = logger('kubelet');
/** What a driver has to come back in. */
const GRACE_MS = 30_000;

export interface DraPluginsOptions {
  readonly clock: Clock;
  /** A driver can be asked; told whenever its plugins change. */
  onUsable(driver: string): void;
  /** A driver has not been there for a while: what it offers on this node cannot be had. */
  onLost(driver: string): void;
  onCall(driver: string, method: string, code: string, ms: number): void;
  onHealth(driver: string, devices: readonly DeviceHealth[]): void;
  /** No plugin of the driver tells how its devices are. */
  onHealthEnd(driver: string): void;
}

export class DraPlugins implements PluginHandler {
  readonly #o: DraPluginsOptions;
  /** By driver, in the order in which they came. */
  readonly #plugins = new Map<string, DraPlugin[]>();
  readonly #grace = new Map<string, Timer>();
  /** Plugins that have told how their devices are. */
  readonly #telling = new Set<DraPlugin>();
  #stopped = false;

  constructor(options: DraPluginsOptions) {
    this.#o = options;
  }
  /** The plugin to ask: the latest that is connected, else the latest. Throws in upstream's words when there is none. */
  get(driver: string): DraPlugin {
    const plugins = this.#plugins.get(driver) ?? [];
    const plugin = plugins.findLast((p) => p.connected) ?? plugins.at(-1);
    if (!plugin) throw new Error(`DRA driver ${driver} is not registered`);
    return plugin;
  }
  isUsable(driver: string): boolean {
    return this.#plugins.get(driver)?.some((p) => p.connected) ?? false;
  }
  async register({ name, endpoint, supportedVersions }: PluginInfo, _signal: AbortSignal, previous?: PluginInfo): Promise<void> {
    const service = supportedVersions.find((v) => SERVICES.includes(v));
    if (service === undefined) {
      const why = supportedVersions.length ? `none of services supported by the plugin (${goList(supportedVersions)}) are supported by the kubelet (${goList(SERVICES)})` : 'empty list of supported gRPC services (aka supported versions)';
      throw new Error(`invalid supported gRPC versions of DRA driver plugin ${name} at endpoint ${endpoint}: ${why}`);
    }
    if (previous) this.#remove(previous);
    const plugins = this.#plugins.get(name) ?? [];
    if (plugins.some((p) => p.endpoint === endpoint)) throw new Error(`endpoint ${endpoint} already registered for DRA driver plugin ${name}`);
    const plugin: DraPlugin = new DraPlugin({
      driver: name, endpoint, service, clock: this.#o.clock,
      onConnection: () => this.#sync(name),
      onCall: (method, code, ms) => this.#o.onCall(name, method, code, ms),
      onHealth: (devices) => {
        this.#telling.add(plugin);
        this.#o.onHealth(name, devices);
      },
      onHealthEnd: () => this.#endHealth(plugin),
    });
    this.#plugins.set(name, [...plugins, plugin]);
    plugin.start();
    log.info({ driver: name, endpoint, service, plugins: plugins.length + 1 }, 'plugin of a DRA driver registered');
    this.#sync(name);
  }
  async deregister(plugin: PluginInfo): Promise<void> {
    this.#remove(plugin);
  }
  stop(): void {
    this.#stopped = true;
    for (const timer of this.#grace.values()) timer.cancel();
    for (const plugins of this.#plugins.values()) for (const p of plugins) p.close();
  }

  #remove({ name, endpoint }: PluginInfo): void {
    const plugins = this.#plugins.get(name) ?? [];
    const plugin = plugins.find((p) => p.endpoint === endpoint);
    if (!plugin) return;
    const left = plugins.filter((p) => p !== plugin);
    if (left.length) this.#plugins.set(name, left);
    else this.#plugins.delete(name);
    plugin.close();
    this.#endHealth(plugin);
    log.info({ driver: name, endpoint, plugins: left.length }, 'plugin of a DRA driver is gone');
    this.#sync(name);
  }
  #endHealth(plugin: DraPlugin): void {
    // It is we who go: its devices are as well as before.
    if (this.#stopped || !this.#telling.delete(plugin)) return;
    if (![...this.#telling].some((p) => p.driver === plugin.driver)) this.#o.onHealthEnd(plugin.driver);
  }
  #sync(driver: string): void {
    if (this.#stopped) return;
    const waiting = this.#grace.get(driver);
    if (this.isUsable(driver)) {
      waiting?.cancel();
      this.#grace.delete(driver);
      this.#o.onUsable(driver);
    } else if (!waiting) {
      this.#grace.set(driver, this.#o.clock.after(GRACE_MS, () => {
        this.#grace.delete(driver);
        this.#o.onLost(driver);
      }));
    }
  }
}
/** `["a" "b"]`, as Go writes a list of quoted texts. */
function goList(texts: readonly string[]): string {
  return `[${texts.map((t) => JSON.stringify(t)).join(' ')}]`;
}
