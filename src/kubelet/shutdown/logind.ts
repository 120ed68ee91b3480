/**
 * Hears from systemd-logind that the machine goes down, and makes it wait. Source: systemd's "Inhibitor Locks".
 *
 * ```
 *   systemd-inhibit --mode=delay cat     holds the lock as long as its standard input is open: it ends with us, however we end
 *   busctl monitor … PrepareForShutdown  true ─▶ stop the Pods ─▶ let go of the lock      false ─▶ take it again
 * ```
 * Two programs of systemd's own, so that nothing here speaks D-Bus.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { once } from 'node:events';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';

const log = logger('kubelet');
const RETRY_MS = 5000;
/** Only logind may say so: everybody may send signals. */
const MATCH = "type='signal',sender='org.freedesktop.login1',path='/org/freedesktop/login1',interface='org.freedesktop.login1.Manager',member='PrepareForShutdown'";

export interface LogindOptions {
  readonly clock: Clock;
  /** Stops the Pods. The machine waits for it, as long as logind's `InhibitDelayMaxSec` allows. */
  onShutdown(): Promise<void>;
  onCancelled(): Promise<void>;
  /** The programs; given by tests. */
  readonly inhibit?: readonly [program: string, ...args: string[]];
  readonly monitor?: readonly [program: string, ...args: string[]];
}

export class LogindWatch {
  readonly #o: LogindOptions;
  readonly #abort = new AbortController();
  #lock: ChildProcess | undefined;
  #monitor: ChildProcess | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: LogindOptions) {
    this.#o = options;
  }
  start(): void {
    this.#takeLock();
    this.#loop = this.#watch();
  }
  async stop(): Promise<void> {
    this.#abort.abort(new Error('the kubelet is stopping'));
    this.#monitor?.kill();
    await this.#loop;
    this.#releaseLock();
  }

  #takeLock(): void {
    if (this.#lock) return;
    const [program, ...args] = this.#o.inhibit ?? ['systemd-inhibit', '--what=shutdown', '--mode=delay', '--who=Podyard', '--why=Pods need time to stop', 'cat'];
    const lock = (this.#lock = spawn(program, args, { stdio: ['pipe', 'ignore', 'ignore'] }));
    lock.stdin?.on('error', () => {});
    lock.on('error', (err) => log.warn({ err: err.message }, 'the shutdown of the machine will not wait for pods: systemd-inhibit could not be started'));
    lock.on('exit', (code) => {
      if (this.#lock !== lock) return;
      this.#lock = undefined;
      log.warn({ code }, 'the shutdown of the machine will not wait for pods: the inhibitor lock is gone');
    });
    lock.unref();
  }
  #releaseLock(): void {
    const lock = this.#lock;
    this.#lock = undefined;
    lock?.stdin?.end();
  }
  async #watch(): Promise<void> {
    const { signal } = this.#abort;
    while (!signal.aborted) {
      await this.#monitorOnce().catch((err: Error) => void (signal.aborted || log.warn({ err: err.message }, 'logind is not listened to, trying again')));
      await sleep(this.#o.clock, RETRY_MS, signal).catch(() => {});
    }
  }
  async #monitorOnce(): Promise<void> {
    const [program, ...args] = this.#o.monitor ?? ['busctl', 'monitor', '--system', '--json=short', `--match=${MATCH}`];
    const monitor = (this.#monitor = spawn(program, args, { stdio: ['ignore', 'pipe', 'ignore'] }));
    const ended = once(monitor, 'exit');
    monitor.unref();
    for await (const line of createInterface({ input: monitor.stdout })) await this.#heard(line);
    const [code] = (await ended) as [number | null];
    throw new Error(`${program} ended with ${code ?? 'a signal'}`);
  }
  async #heard(line: string): Promise<void> {
    const { member, payload } = JSON.parse(line) as { member?: string; payload?: { data?: unknown[] } };
    if (member !== 'PrepareForShutdown') return;
    if (payload?.data?.[0] === true) {
      log.info({}, 'the machine goes down: stopping pods');
      await this.#o.onShutdown().catch((err: unknown) => log.error({ err }, 'pods could not be stopped for the shutdown'));
      this.#releaseLock();
    } else {
      this.#takeLock();
      await this.#o.onCancelled();
    }
  }
}
