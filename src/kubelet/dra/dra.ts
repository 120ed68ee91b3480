/** Dynamic resource allocation on a node: its drivers, the claims of its Pods, how their devices are. Source: KEP-4381. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod, ResourceStatus } from '#api/gen/core-v1.ts';
import type { Clock } from '#base/clock.ts';
import type { Client } from '#client/client.ts';
import type { KubeletConfig } from '../config.ts';
import type { AnyContainer } from '../interfaces.ts';
import { reportClaimsInUse, type KubeletMetrics } from '../metrics.ts';
import { ClaimManager } from './claim-manager.ts';
import { DeviceHealths } from './health/device-healths.ts';
import { DraPlugins } from './plugins.ts';
import { claimUses, serves } from './pod-claims.ts';
import { SliceRemover } from './slices.ts';

export interface DraOptions {
  readonly config: KubeletConfig;
  readonly client: Client;
  readonly clock: Clock;
  readonly metrics: KubeletMetrics;
  /** A driver can be asked: Pods that wait for one try again. */
  onUsable(driver: string): void;
  /** Something is to be told anew of the Pod. */
  wake(uid: string): void;
}

export class Dra {
  readonly plugins: DraPlugins;
  readonly claims: ClaimManager;
  readonly #config: KubeletConfig;
  readonly #healths: DeviceHealths;
  readonly #slices: SliceRemover;

  constructor(options: DraOptions) {
    const { config, client, clock, metrics } = options;
    this.#config = config;
    this.#slices = new SliceRemover({ nodeName: config.nodeName, client, clock, isUsable: (driver) => this.plugins.isUsable(driver) });
    this.#healths = new DeviceHealths({ checkpoint: join(config.rootDir, 'dra_health_state'), clock, onChange: (driver, devices) => {
      const names = new Set(devices.map((d) => `${d.pool}/${d.device}`));
      for (const uid of this.claims.podsWith(driver, (d) => names.has(`${d.pool}/${d.device}`))) options.wake(uid);
    } });
    this.plugins = new DraPlugins({
      clock, onUsable: (driver) => options.onUsable(driver), onLost: (driver) => this.#slices.remove(driver),
      onCall: (driver, method, code, ms) => metrics.draGrpcOperations.observe({ driver_name: driver, method_name: method, grpc_status_code: code }, ms / 1000),
      onHealth: (driver, devices) => this.#healths.update(driver, devices), onHealthEnd: (driver) => this.#healths.clear(driver),
    });
    this.claims = new ClaimManager({
      checkpoint: join(config.rootDir, 'dra_manager_state'), client, clock, plugins: this.plugins,
      onOperation: (name, failed, ms) => metrics.draOperations.observe({ operation_name: name, is_error: String(failed) }, ms / 1000),
    });
    reportClaimsInUse(metrics, () => this.claims.inUse());
  }
  /** Call it once the node is registered, and before plugins are. */
  async start(signal: AbortSignal): Promise<void> {
    await mkdir(this.#config.rootDir, { recursive: true });
    await Promise.all([this.claims.start(), this.#healths.load(), this.#slices.start(signal)]);
  }
  async stop(): Promise<void> {
    this.plugins.stop();
    await Promise.all([this.#healths.stop(), this.#slices.stop()]);
  }
  /** How the devices of a container are, by what it uses of its claims (KEP-4680). */
  health(pod: Pod, container: AnyContainer): ResourceStatus[] {
    const out = new Map<string, ResourceStatus>();
    for (const { podClaim, claim, request } of claimUses(pod, container)) {
      const drivers = [...(this.claims.infoOf(pod, claim)?.drivers ?? [])];
      const resources = drivers.flatMap(([driver, devices]) => devices.filter((d) => serves(d, request)).map((d) => ({ resourceID: d.cdiIds[0] ?? `${driver}/${d.pool}/${d.device}`, ...this.#healths.of(driver, d) })));
      const name = `claim:${podClaim}${request === '' ? '' : `/${request}`}`;
      if (resources.length > 0) out.set(name, { name, resources: [...new Map(resources.toReversed().map((r) => [r.resourceID, r])).values()].toReversed() });
    }
    return [...out.values()];
  }
}
