/**
 * Takes away the ResourceSlices of drivers that are not there: nobody should be sent to this node for what cannot be had here. All of them go
 * when a kubelet starts; drivers publish theirs again. Source: KEP-4381, "ResourceSlice"; upstream's counterpart: the DRA plugin manager's wiping.
 */
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { Client } from '#client/client.ts';
import { RESOURCE_SLICES } from '#client/kinds.ts';
import { Reconciler } from '#client/reconciler.ts';

const log = logger('kubelet');
/** Not a driver's name: all of them. */
const ALL = '';

export interface SliceRemoverOptions {
  readonly nodeName: string;
  readonly client: Client;
  readonly clock: Clock;
  isUsable(driver: string): boolean;
}

export class SliceRemover {
  readonly #o: SliceRemoverOptions;
  readonly #drivers: Reconciler;

  constructor(options: SliceRemoverOptions) {
    this.#o = options;
    this.#drivers = new Reconciler({ name: 'kubelet-resource-slices', clock: options.clock, logger: log, workers: 1, baseDelayMs: 1000, maxDelayMs: 300_000, reconcile: (driver, signal) => this.#remove(driver, signal) });
  }
  /** Removes the slices of the node; resolves when they are gone, or cannot be removed for now. Call it before drivers can register. */
  async start(signal: AbortSignal): Promise<void> {
    await this.#remove(ALL, signal).catch((err: unknown) => {
      log.warn({ err }, 'resource slices of an earlier process could not be removed, trying again');
      this.#drivers.queue.addRateLimited(ALL);
    });
    this.#drivers.start();
  }
  async stop(): Promise<void> {
    await this.#drivers.stop();
  }
  remove(driver: string): void {
    this.#drivers.queue.add(driver);
  }

  async #remove(driver: string, signal: AbortSignal): Promise<undefined> {
    const { client, nodeName, isUsable } = this.#o;
    if (driver !== ALL && isUsable(driver)) return;
    await client.of(RESOURCE_SLICES).deleteCollection({ fieldSelector: `${driver === ALL ? '' : `spec.driver=${driver},`}spec.nodeName=${nodeName}`, signal });
    log.info({ driver }, 'resource slices of the node removed');
  }
}
