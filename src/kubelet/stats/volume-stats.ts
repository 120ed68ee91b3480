/**
 * How full the volumes of Pods are, for `/stats/summary` and `kubelet_volume_stats_…`. Measured when somebody asks, at most once a minute:
 * a driver may be slow, and a large directory too. Who asks gets what is known by then. Upstream's counterpart: the volume stat calculator.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import { namespaceOf, uidOf } from '#api/object.ts';
import { within } from '#base/abort.ts';
import { rfc3339, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { ReadyVolume } from '../interfaces.ts';
import type { VolumeUse } from '../volumes/volume-use.ts';
import type { Exposition } from './exposition.ts';

const log = logger('kubelet');
const PERIOD_MS = 60_000;
/** What an asker waits for measurements. */
const PATIENCE_MS = 2000;

/** An entry of `pods[].volume` in the API's summary. */
export interface VolumeStat extends VolumeUse {
  readonly time: string;
  readonly name: string;
  readonly pvcRef?: { readonly name: string; readonly namespace: string };
}
export interface VolumeStatsOptions {
  readonly clock: Clock;
  pods(): readonly Pod[];
  /** What is mounted for a Pod, by the volume's name. */
  volumesOf(uid: string): ReadonlyMap<string, ReadyVolume>;
}
interface Measured {
  readonly stats: readonly VolumeStat[];
  /** When the next measurement may begin; Infinity while one is under way. */
  nextAt: number;
}

export class VolumeStats {
  readonly #o: VolumeStatsOptions;
  readonly #measured = new Map<string, Measured>();
  readonly #abort = new AbortController();
  readonly #running = new Map<string, Promise<void>>();

  constructor(options: VolumeStatsOptions) {
    this.#o = options;
  }
  /** By the Pod's uid. Volumes that cannot be measured are left out. */
  async all(): Promise<ReadonlyMap<string, readonly VolumeStat[]>> {
    const { clock, pods } = this.#o;
    const here = pods();
    const uids = new Set(here.map(uidOf));
    for (const uid of this.#measured.keys()) if (!uids.has(uid)) this.#measured.delete(uid);
    for (const pod of here) this.#measureIfDue(pod);
    await within(clock, PATIENCE_MS, Promise.all(this.#running.values()), () => new Error('too slow')).catch(() => {});
    return new Map(Array.from(this.#measured, ([uid, { stats }]) => [uid, stats]));
  }
  /** Adds the metrics of volumes that are claims. */
  async expose(out: Exposition): Promise<void> {
    const claims = new Map([...(await this.all()).values()].flat().flatMap((stat) => (stat.pvcRef ? [[`${stat.pvcRef.namespace}/${stat.pvcRef.name}`, { stat, ref: stat.pvcRef }] as const] : [])));
    for (const { stat, ref } of claims.values()) {
      const gauge = (name: string, help: string, value: number): void => out.add(`kubelet_volume_stats_${name}`, 'gauge', help, { namespace: ref.namespace, persistentvolumeclaim: ref.name }, value);
      gauge('capacity_bytes', 'Capacity in bytes of the volume', stat.capacityBytes);
      gauge('available_bytes', 'Number of available bytes in the volume', stat.availableBytes);
      gauge('used_bytes', 'Number of used bytes in the volume', stat.usedBytes);
      gauge('inodes', 'Maximum number of inodes in the volume', stat.inodes);
      gauge('inodes_free', 'Number of free inodes in the volume', stat.inodesFree);
      gauge('inodes_used', 'Number of used inodes in the volume', stat.inodesUsed);
    }
  }
  /** Ends what is being measured. */
  async stop(): Promise<void> {
    this.#abort.abort(new Error('the kubelet is stopping'));
    await Promise.all(this.#running.values());
  }

  #measureIfDue(pod: Pod): void {
    const uid = uidOf(pod);
    const { clock } = this.#o;
    const known = this.#measured.get(uid);
    if (known && clock.monotonic() < known.nextAt) return;
    this.#measured.set(uid, { stats: known?.stats ?? [], nextAt: Infinity });
    const work = this.#measure(pod).then((stats) => {
      if (this.#measured.has(uid)) this.#measured.set(uid, { stats, nextAt: clock.monotonic() + PERIOD_MS });
      this.#running.delete(uid);
    });
    this.#running.set(uid, work);
  }
  async #measure(pod: Pod): Promise<readonly VolumeStat[]> {
    const time = rfc3339(this.#o.clock.now());
    const stats = await Promise.all(Array.from(this.#o.volumesOf(uidOf(pod)).values(), async ({ name, measure }): Promise<VolumeStat[]> => {
      try {
        return measure ? [{ time, ...(await measure(this.#abort.signal)), name, ...claimOf(pod, name) }] : [];
      } catch (err) {
        log.debug({ err, pod: pod.metadata.name, volume: name }, 'volume could not be measured');
        return [];
      }
    }));
    return stats.flat();
  }
}
function claimOf(pod: Pod, volumeName: string): Pick<VolumeStat, 'pvcRef'> {
  const volume = pod.spec.volumes?.find((v) => v.name === volumeName);
  const name = volume?.ephemeral ? `${pod.metadata.name}-${volumeName}` : volume?.persistentVolumeClaim?.claimName;
  return name === undefined ? {} : { pvcRef: { name, namespace: namespaceOf(pod) } };
}
