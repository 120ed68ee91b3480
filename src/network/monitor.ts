/** A child that prints a line for each change of something in the kernel, as `ip monitor` and `nft monitor` do; started again when it dies. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { sleep, type Clock } from '#base/clock.ts';
import type { Logger } from '#base/logger.ts';
import { toolEnvironment, type SystemCommand } from '#base/system-command.ts';

const MIN_RETRY_MS = 1000;
const MAX_RETRY_MS = 60_000;

export interface MonitorOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly command: SystemCommand;
  /** It begins to listen: what changed while nobody did is not told. */
  onStart(): void;
  onLine(line: string): void;
}

/** May be started and stopped again and again. */
export class Monitor {
  readonly #options: MonitorOptions;
  #abort: AbortController | undefined;
  #loop: Promise<void> = Promise.resolve();

  constructor(options: MonitorOptions) {
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
    this.#abort?.abort(new Error('nobody asks for changes any more'));
    this.#abort = undefined;
    await this.#loop;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock, logger, command } = this.#options;
    let retryMs = MIN_RETRY_MS;
    while (!signal.aborted) {
      const heard = (): void => void (retryMs = MIN_RETRY_MS);
      const err = await this.#listen(signal, heard).catch((failure: Error) => failure);
      if (signal.aborted) return;
      logger.warn({ err, command: [command.file, ...command.args].join(' '), retryMs }, 'a monitor ended: changes are not heard for a while');
      await sleep(clock, retryMs, signal).catch(() => {});
      retryMs = Math.min(retryMs * 2, MAX_RETRY_MS);
    }
  }
  /** One run of the child, to its end. */
  async #listen(signal: AbortSignal, heard: () => void): Promise<Error> {
    const { command: { file, args }, onStart, onLine } = this.#options;
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'ignore'], env: toolEnvironment() });
    const ended = once(child, 'close') as Promise<[number | null, string | null]>;
    ended.catch(() => {}); // awaited below, once its output has been read
    const end = (): void => void child.kill();
    signal.addEventListener('abort', end, { once: true });
    try {
      onStart();
      for await (const line of createInterface({ input: child.stdout })) {
        heard();
        if (!signal.aborted) onLine(line);
      }
      const [code, killed] = await ended;
      return new Error(`${file} ended with ${killed ?? code}`);
    } finally {
      signal.removeEventListener('abort', end);
    }
  }
}
