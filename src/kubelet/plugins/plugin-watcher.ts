/**
 * Follows the directory in which plugins of the node put their registration sockets, and the folders below. Upstream's counterpart: the plugin manager.
 *
 * ```
 *   socket appears ──▶ GetInfo ──▶ handler of its type ──▶ NotifyRegistrationStatus   (a failure is told, and tried again)
 *   socket is replaced ──▶ the same anew
 *   socket goes ─────▶ deregister
 * ```
 */
import { watch, type FSWatcher } from 'node:fs';
import { lstat, mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { within } from '#base/abort.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { Reconciler } from '#client/reconciler.ts';
import { Channel } from '#cri/channel.ts';
import { serviceCalls } from '#cri/client.ts';
import type { Codec } from '#cri/schema.ts';
import { registrationCodec, registrationFacts } from './protocol.ts';
import type { Messages, PluginInfo, Registration } from './types.ts';

const log = logger('kubelet');
const CALL_TIMEOUT_MS = 10_000;
/** Pods wait this long at the start of the kubelet, so that those with volumes find their drivers. */
const START_WAIT_MS = 2000;

/** What is done with plugins of one type. */
export interface PluginHandler {
  /**
   * Takes the plugin up; called again when its socket was made anew, with what was registered by it before. Rejects with what the plugin is told,
   * and is then called again later.
   */
  register(plugin: PluginInfo, signal: AbortSignal, previous?: PluginInfo): Promise<void>;
  deregister(plugin: PluginInfo): Promise<void>;
}
export interface PluginWatcherOptions {
  readonly dir: string;
  readonly clock: Clock;
  /** By type, as plugins name it: `CSIPlugin`, `DRAPlugin`. */
  readonly handlers: Readonly<Record<string, PluginHandler>>;
}
interface Registered {
  /** Tells one socket from another that took its place; '' until the plugin has been told. */
  readonly identity: string;
  readonly plugin: PluginInfo;
}

export class PluginWatcher {
  readonly #o: PluginWatcherOptions;
  readonly #sockets: Reconciler;
  readonly #registered = new Map<string, Registered>();
  /** Ends the registrations at the start. */
  readonly #abort = new AbortController();
  /** By folder, relative to the directory: '' is the directory itself. */
  readonly #folders = new Map<string, FSWatcher>();
  #stopped = false;
  #scanning: Promise<void> = Promise.resolve();

  constructor(options: PluginWatcherOptions) {
    this.#o = options;
    this.#sockets = new Reconciler({ name: 'kubelet-plugins', clock: options.clock, logger: log, workers: 2, baseDelayMs: 500, maxDelayMs: 120_000, reconcile: (name, signal) => this.#reconcile(name, signal) });
  }
  /** Resolves when the directory is watched and the plugins that are there already have registered, or are too slow to wait for. */
  async start(signal: AbortSignal): Promise<void> {
    const { dir, clock } = this.#o;
    await mkdir(dir, { recursive: true, mode: 0o750 });
    const first = Promise.allSettled((await readdir(dir, { recursive: true })).map((name) => this.#reconcile(name, AbortSignal.any([signal, this.#abort.signal]))));
    await within(clock, START_WAIT_MS, first, () => new Error('too slow')).catch(() => {});
    this.#abort.abort(new Error('the plugin was too slow to start with'));
    await first;
    this.#sockets.start();
    this.#follow('');
    this.#scan();
    await this.#scanning;
  }
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const watcher of this.#folders.values()) watcher.close();
    await Promise.all([this.#scanning, this.#sockets.stop()]);
  }

  #scan(): void {
    this.#scanning = this.#scanning.then(async () => {
      for (const name of new Set([...(await readdir(this.#o.dir, { recursive: true })), ...this.#registered.keys()])) this.#sockets.queue.add(name);
    }).catch((err: unknown) => log.warn({ err }, 'directory of plugins not read'));
  }
  #follow(folder: string): void {
    if (this.#stopped || this.#folders.has(folder)) return;
    const watcher = watch(join(this.#o.dir, folder), (_, name) => (name === null ? this.#scan() : this.#sockets.queue.add(join(folder, name))));
    watcher.on('error', (err) => log.warn({ err, folder }, 'folder of plugins is not watched any more'));
    this.#folders.set(folder, watcher);
  }
  /** A folder that came is followed, with what is in it already; one that went takes its sockets with it. */
  async #folderChanged(name: string, isThere: boolean): Promise<void> {
    if (!isThere) {
      this.#folders.get(name)?.close();
      if (this.#folders.delete(name)) this.#scan();
    } else if (!this.#folders.has(name)) {
      this.#follow(name);
      for (const entry of await readdir(join(this.#o.dir, name))) this.#sockets.queue.add(join(name, entry));
    }
  }
  async #reconcile(name: string, signal: AbortSignal): Promise<undefined> {
    if (name.split('/').some((part) => part.startsWith('.'))) return;
    const path = join(this.#o.dir, name);
    const info = await lstat(path).catch(() => undefined);
    if (info?.isDirectory() || this.#folders.has(name)) return void (await this.#folderChanged(name, info?.isDirectory() ?? false));
    const identity = info?.isSocket() ? `${info.dev}:${info.ino}:${info.ctimeMs}` : undefined;
    const known = this.#registered.get(name);
    if (known?.identity === identity) return;
    if (known && identity === undefined) {
      this.#registered.delete(name);
      log.info({ plugin: known.plugin.name, socket: path }, 'plugin deregistered');
      await this.#o.handlers[known.plugin.type]?.deregister(known.plugin);
    }
    if (identity === undefined) return;
    // Once it is registered it must be deregistered one day, though it may have ended before it could be told.
    const plugin = await this.#register(path, known?.plugin, (p) => void this.#registered.set(name, { identity: '', plugin: p }), signal);
    this.#registered.set(name, { identity, plugin });
    log.info({ plugin: plugin.name, type: plugin.type, endpoint: plugin.endpoint }, 'plugin registered');
  }
  async #register(path: string, previous: PluginInfo | undefined, onRegistered: (plugin: PluginInfo) => void, signal: AbortSignal): Promise<PluginInfo> {
    const { clock, handlers } = this.#o;
    const channel = new Channel({ endpoint: path, clock });
    try {
      // The socket appears a moment before anybody listens on it.
      await channel.connected({ signal, timeoutMs: CALL_TIMEOUT_MS });
      const calls = serviceCalls(channel, registrationFacts(), (message) => registrationCodec(message as keyof Messages) as unknown as Codec<object>, () => CALL_TIMEOUT_MS) as Registration;
      const info = await calls.getInfo({}, { signal });
      // Older plugins serve themselves on the socket they register with.
      const plugin = info.endpoint === '' ? { ...info, endpoint: path } : info;
      try {
        const handler = handlers[plugin.type];
        if (!handler) throw new Error(`no handler registered for plugin type: ${plugin.type} at socket ${path}`);
        await handler.register(plugin, signal, previous);
      } catch (err) {
        await calls.notifyRegistrationStatus({ pluginRegistered: false, error: (err as Error).message }, { signal }).catch(() => {});
        throw err;
      }
      onRegistered(plugin);
      await calls.notifyRegistrationStatus({ pluginRegistered: true }, { signal });
      return plugin;
    } finally {
      channel.close();
    }
  }
}
