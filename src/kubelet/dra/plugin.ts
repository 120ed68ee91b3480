/** One registered plugin of a DRA driver: the kubelet's connection to its socket. */
import type { Clock } from '#base/clock.ts';
import { sleep } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { Channel } from '#cri/channel.ts';
import { serviceCalls } from '#cri/client.ts';
import { CriError, isCriError } from '#cri/error.ts';
import type { Codec } from '#cri/schema.ts';
import { healthCodec, healthFacts } from './health/protocol.ts';
import type { DeviceHealth, DRAResourceHealth, Messages as HealthMessages } from './health/types.ts';
import { draCodec, draFacts } from './protocol.ts';
import type { Claim, DRAPlugin as Calls, Messages, NodePrepareResourceResponse, NodeUnprepareResourceResponse } from './types.ts';

const log = logger('kubelet');
/** What a driver may take for a call. */
const CALL_TIMEOUT_MS = 45_000;
const HEALTH_RETRY_MS = 5000;

export interface DraPluginOptions {
  readonly driver: string;
  readonly endpoint: string;
  /** One of the protocol's `SERVICES`. */
  readonly service: string;
  readonly clock: Clock;
  /** Whether somebody listens has changed. */
  onConnection(plugin: DraPlugin): void;
  /** A call is over: its whole name, and the gRPC code of its end. */
  onCall(method: string, code: string, ms: number): void;
  onHealth(devices: readonly DeviceHealth[]): void;
  /** Nobody tells of the devices' health any more, for now or for ever. */
  onHealthEnd(): void;
}

export class DraPlugin {
  readonly driver: string;
  readonly endpoint: string;
  readonly #o: DraPluginOptions;
  readonly #channel: Channel;
  readonly #calls: Calls;
  readonly #health: DRAResourceHealth;
  readonly #abort = new AbortController();
  #connected = false;

  constructor(options: DraPluginOptions) {
    const { driver, endpoint, service, clock } = options;
    this.driver = driver;
    this.endpoint = endpoint;
    this.#o = options;
    this.#channel = new Channel({ endpoint, clock });
    this.#calls = serviceCalls(this.#channel, draFacts(service), (name) => draCodec(name as keyof Messages) as unknown as Codec<object>, () => CALL_TIMEOUT_MS) as Calls;
    this.#health = serviceCalls(this.#channel, healthFacts(), (name) => healthCodec(name as keyof HealthMessages) as unknown as Codec<object>, () => 0) as DRAResourceHealth;
  }
  /** Follows the connection, and what the driver tells of its devices, until it is closed. */
  start(): void {
    for (const loop of [this.#followConnection(), this.#followHealth()]) void loop.catch((err: unknown) => this.#abort.signal.aborted || log.error({ err, driver: this.driver }, 'plugin of a DRA driver is not followed any more'));
  }
  get connected(): boolean {
    return this.#connected;
  }
  /** Answers by claim UID. */
  async prepare(claims: readonly Claim[], signal: AbortSignal): Promise<ReadonlyMap<string, NodePrepareResourceResponse>> {
    return new Map(Object.entries((await this.#timed('NodePrepareResources', this.#calls.nodePrepareResources({ claims }, { signal }))).claims));
  }
  async unprepare(claims: readonly Claim[], signal: AbortSignal): Promise<ReadonlyMap<string, NodeUnprepareResourceResponse>> {
    return new Map(Object.entries((await this.#timed('NodeUnprepareResources', this.#calls.nodeUnprepareResources({ claims }, { signal }))).claims));
  }
  close(): void {
    this.#abort.abort(new Error(`the plugin of ${this.driver} is no longer used`));
    this.#channel.close();
  }

  async #timed<T>(method: string, call: Promise<T>): Promise<T> {
    const began = this.#o.clock.monotonic();
    const over = (code: string): void => this.#o.onCall(`/${draFacts(this.#o.service).package}.DRAPlugin/${method}`, code, this.#o.clock.monotonic() - began);
    try {
      const answer = await call;
      over('OK');
      return answer;
    } catch (err) {
      over(err instanceof CriError ? err.code : 'Canceled');
      throw err;
    }
  }
  async #followConnection(): Promise<void> {
    const { signal } = this.#abort;
    for (;;) {
      await this.#channel.connected({ signal });
      this.#setConnected(true);
      await this.#channel.disconnected({ signal });
      this.#setConnected(false);
    }
  }
  #setConnected(connected: boolean): void {
    this.#connected = connected;
    log.info({ driver: this.driver, endpoint: this.endpoint, connected }, 'connection to a DRA driver changed');
    this.#o.onConnection(this);
  }
  async #followHealth(): Promise<void> {
    const { clock, onHealth, onHealthEnd } = this.#o;
    const { signal } = this.#abort;
    for (;;) {
      await this.#channel.connected({ signal });
      try {
        for await (const { devices } of this.#health.nodeWatchResources({}, { signal })) onHealth(devices);
      } catch (err) {
        // Another program may answer at the next connection, and know of health.
        if (isCriError(err, 'Unimplemented')) await this.#channel.disconnected({ signal });
        else if (!signal.aborted) log.info({ err: (err as Error).message, driver: this.driver }, 'nobody tells how the devices of a DRA driver are, for now');
      } finally {
        onHealthEnd();
      }
      await sleep(clock, HEALTH_RETRY_MS, signal);
    }
  }
}
