/**
 * Tells when links or addresses of the machine change, as `ip monitor` does. The kernel drops the routes of a link that goes down
 * and does not bring them back. Source: ip-monitor(8).
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { ipCommand } from './ip-command.ts';

const log = logger('routes');
const MIN_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;

export interface LinkMonitorOptions {
  readonly clock: Clock;
  /** Path of a network namespace to listen in. Default: the process's own. */
  readonly netns?: string | undefined;
  /** Something changed, or may have while nobody listened. `addresses`: an IPv4 address came or went. */
  onChange(addresses: boolean): void;
}

/** May be started and stopped again and again. */
export class LinkMonitor {
  readonly #options: LinkMonitorOptions;
  #abort: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: LinkMonitorOptions) {
    this.#options = options;
  }
  /** Idempotent. */
  start(): void {
    if (this.#abort) return;
    const { signal } = (this.#abort = new AbortController());
    this.#loop = this.#run(signal);
  }
  /** Idempotent; resolves when the child has ended. */
  async stop(): Promise<void> {
    this.#abort?.abort(new Error('nobody asks for changes of links any more'));
    this.#abort = undefined;
    await this.#loop;
  }

  async #run(signal: AbortSignal): Promise<void> {
    let retryMs = MIN_RETRY_MS;
    while (!signal.aborted) {
      const heard = (): void => void (retryMs = MIN_RETRY_MS);
      const err = await this.#listen(signal, heard).catch((failure: Error) => failure);
      if (signal.aborted) return;
      log.warn({ err, retryMs }, 'ip monitor ended: changes of links are not heard for a while');
      await sleep(this.#options.clock, retryMs, signal).catch(() => {});
      retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
    }
  }
  /** One run of the child, to its end. */
  async #listen(signal: AbortSignal, heard: () => void): Promise<Error> {
    const { netns, onChange } = this.#options;
    const { file, args } = ipCommand(['-o', 'monitor', 'link', 'address'], netns);
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    const ended = once(child, 'close') as Promise<[number | null, string | null]>;
    ended.catch(() => {}); // awaited below, once its output has been read
    const end = (): void => void child.kill();
    signal.addEventListener('abort', end, { once: true });
    try {
      onChange(true);
      for await (const line of createInterface({ input: child.stdout })) {
        heard();
        if (!signal.aborted) onChange(/ inet /.test(line));
      }
      const [code, killed] = await ended;
      return new Error(`${file} ended with ${killed ?? code}`);
    } finally {
      signal.removeEventListener('abort', end);
    }
  }
}
