/** The CSI side of a node: its drivers, what the API knows of them, the volumes. */
import type { CSIDriver } from '#api/gen/storage-v1.ts';
import { abortable } from '#base/abort.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { Client } from '#client/client.ts';
import { Informer } from '#client/informer.ts';
import { CSI_DRIVERS } from '#client/kinds.ts';
import type { KubeletConfig } from '../config.ts';
import type { TokenSource } from '../token-cache.ts';
import { CsiVolumes, type NodeView } from './csi-volumes.ts';
import { CsiDrivers } from './drivers.ts';
import { CsiNodeInfo } from './node-info.ts';

const log = logger('kubelet');

export interface CsiOptions {
  readonly config: KubeletConfig;
  readonly client: Client;
  readonly clock: Clock;
  readonly node: NodeView;
  readonly requestToken: TokenSource;
}

export class Csi {
  readonly drivers: CsiDrivers;
  readonly volumes: CsiVolumes;
  readonly #info: CsiNodeInfo;
  readonly #objects: Informer<CSIDriver>;
  readonly #abort = new AbortController();

  constructor(options: CsiOptions) {
    const { config, client, clock } = options;
    this.#info = new CsiNodeInfo(client, config.nodeName);
    this.drivers = new CsiDrivers(this.#info, clock);
    this.#objects = new Informer(client, CSI_DRIVERS, clock);
    this.volumes = new CsiVolumes({ ...options, drivers: this.drivers, driverObject: async (name) => {
      await abortable(this.#objects.synced, this.#abort.signal);
      return this.#objects.get('', name);
    } });
  }
  /** Call it once the node is registered. */
  async start(): Promise<void> {
    this.#objects.start();
    await this.volumes.start();
    // Drivers that register make it too.
    await this.#info.initialise(this.#abort.signal).catch((err: unknown) => log.warn({ err }, 'the node has no CSINode yet'));
  }
  async stop(): Promise<void> {
    this.#abort.abort(new Error('the kubelet is stopping'));
    this.volumes.stop();
    this.drivers.stop();
    await this.#objects.stop();
  }
}
