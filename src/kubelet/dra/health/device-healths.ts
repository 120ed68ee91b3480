/**
 * How the devices of drivers are, as they tell. What a driver does not repeat in time is not known any more. Kept in `dra_health_state`, in the
 * shape that upstream's kubelet writes. Source: KEP-4680; upstream's counterpart: healthInfoCache.
 */
import type { ResourceHealth } from '#api/gen/core-v1.ts';
import type { Clock, Timer } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { CheckpointFile } from '../../checkpoint-file.ts';
import type { DeviceHealth } from './types.ts';

const log = logger('kubelet');
const DEFAULT_TIMEOUT_MS = 30_000;
/** Bytes of a message that the API takes; one that is longer ends in `...`. */
const MAX_MESSAGE = 1024;

export type Health = 'Healthy' | 'Unhealthy' | 'Unknown';
interface Known {
  readonly pool: string;
  readonly device: string;
  readonly health: Health;
  readonly message: string;
  /** When it was told, in milliseconds since the epoch. */
  readonly at: number;
  readonly timeoutMs: number;
}
/** A device by its pool and name. */
export interface DeviceName {
  readonly pool: string;
  readonly device: string;
}
interface StoredDevice {
  readonly PoolName: string;
  readonly DeviceName: string;
  readonly Health: Health;
  readonly LastUpdated: string;
  /** Nanoseconds. */
  readonly HealthCheckTimeout: number;
  readonly Message: string;
}
type Stored = Readonly<Record<string, { readonly Devices: Readonly<Record<string, StoredDevice>> }>>;

export interface DeviceHealthsOptions {
  readonly checkpoint: string;
  readonly clock: Clock;
  /** These devices of a driver are no longer as they were. */
  onChange(driver: string, devices: readonly DeviceName[]): void;
}

export class DeviceHealths {
  readonly #o: DeviceHealthsOptions;
  readonly #file: CheckpointFile;
  readonly #drivers = new Map<string, Map<string, Known>>();
  #expiry: Timer | undefined;

  constructor(options: DeviceHealthsOptions) {
    this.#o = options;
    this.#file = new CheckpointFile(options.checkpoint);
  }
  /** Takes up what an earlier process wrote. A file that cannot be read is told and left aside. */
  async load(): Promise<void> {
    try {
      const text = await this.#file.read();
      for (const [driver, { Devices }] of Object.entries(JSON.parse(text ?? '{}') as Stored)) {
        this.#drivers.set(driver, new Map(Object.entries(Devices).map(([key, d]) => [key, {
          pool: d.PoolName, device: d.DeviceName, health: d.Health, message: d.Message, at: Date.parse(d.LastUpdated), timeoutMs: d.HealthCheckTimeout / 1e6 || DEFAULT_TIMEOUT_MS,
        }])));
      }
    } catch (err) {
      log.warn({ err: (err as Error).message, file: this.#file.path }, 'health of devices cannot be taken up: drivers will tell it again');
    }
    this.#watchExpiry();
  }
  async stop(): Promise<void> {
    this.#expiry?.cancel();
    await this.#file.idle();
  }
  of(driver: string, { pool, device }: DeviceName): Pick<ResourceHealth, 'health' | 'message'> {
    const known = this.#drivers.get(driver)?.get(`${pool}/${device}`);
    if (!known || this.#isStale(known)) return { health: 'Unknown' };
    return { health: known.health, ...(known.message ? { message: known.message } : {}) };
  }
  /** A driver has told of devices: all that it has, or some. */
  update(driver: string, told: readonly DeviceHealth[]): void {
    const devices = this.#drivers.getOrInsertComputed(driver, () => new Map());
    const changed: DeviceName[] = [];
    for (const d of told) {
      const now = this.#known(d);
      const key = `${now.pool}/${now.device}`;
      const before = devices.get(key);
      if (!before || this.#isStale(before) || before.health !== now.health || before.message !== now.message || before.timeoutMs !== now.timeoutMs) changed.push(now);
      devices.set(key, now);
    }
    this.#watchExpiry();
    if (changed.length > 0) this.#changed(driver, changed);
  }
  /** Nobody tells of the driver's devices any more. */
  clear(driver: string): void {
    const devices = [...(this.#drivers.get(driver)?.values() ?? [])];
    if (this.#drivers.delete(driver)) this.#changed(driver, devices);
  }

  #known({ device, health, healthCheckTimeoutSeconds, message }: DeviceHealth): Known {
    return {
      pool: device?.poolName ?? '', device: device?.deviceName ?? '', health: health === 'HEALTHY' ? 'Healthy' : health === 'UNHEALTHY' ? 'Unhealthy' : 'Unknown',
      message: cut(message), at: this.#o.clock.now(), timeoutMs: healthCheckTimeoutSeconds > 0 ? healthCheckTimeoutSeconds * 1000 : DEFAULT_TIMEOUT_MS,
    };
  }
  #isStale({ at, timeoutMs }: Known): boolean {
    return this.#o.clock.now() - at > timeoutMs;
  }
  /** Wakes when the next device becomes unknown. */
  #watchExpiry(): void {
    this.#expiry?.cancel();
    this.#expiry = undefined;
    const ends = [...this.#drivers.values()].flatMap((d) => [...d.values()]).filter((d) => d.health !== 'Unknown').map((d) => d.at + d.timeoutMs + 1);
    if (ends.length > 0) this.#expiry = this.#o.clock.after(Math.max(0, Math.min(...ends) - this.#o.clock.now()), () => this.#expire());
  }
  #expire(): void {
    for (const [driver, devices] of this.#drivers) {
      const stale = [...devices].filter(([, d]) => d.health !== 'Unknown' && this.#isStale(d));
      for (const [key, d] of stale) devices.set(key, { ...d, health: 'Unknown', message: '' });
      if (stale.length > 0) this.#changed(driver, stale.map(([, d]) => d));
    }
    this.#watchExpiry();
  }
  #changed(driver: string, devices: readonly DeviceName[]): void {
    const stored: Stored = Object.fromEntries(Array.from(this.#drivers, ([name, all]) => [name, { Devices: Object.fromEntries(Array.from(all, ([key, d]) => [key, {
      PoolName: d.pool, DeviceName: d.device, Health: d.health, LastUpdated: new Date(d.at).toISOString(), HealthCheckTimeout: d.timeoutMs * 1e6, Message: d.message,
    }])) }]));
    void this.#file.write(JSON.stringify(stored)).catch((err: unknown) => log.error({ err }, 'health of devices could not be written'));
    this.#o.onChange(driver, devices);
  }
}

function cut(message: string): string {
  if (Buffer.byteLength(message) <= MAX_MESSAGE) return message;
  return `${new TextDecoder().decode(Buffer.from(message).subarray(0, MAX_MESSAGE - 3)).replace(/\uFFFD+$/, '')}...`;
}
