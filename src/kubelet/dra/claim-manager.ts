/**
 * Prepares the resource claims of Pods on the node, and gives them back.
 *
 * ```
 *   Pod starts ──▶ claims fetched and checked ──▶ written down ──▶ NodePrepareResources, a call for each driver ──▶ sandbox, containers
 *   last Pod of a claim has stopped ──▶ NodeUnprepareResources ──▶ forgotten ──▶ the Pod is told to have ended
 * ```
 * What is written down for a Pod is given back whatever happens to it: when it stops, or, for one that nobody stops, by {@link releaseEnded}.
 * Source: KEP-4381; upstream's counterpart: the DRA manager.
 */
import type { Pod } from '#api/gen/core-v1.ts';
import type { ResourceClaim } from '#api/gen/resource-v1.ts';
import { namespaceOf, uidOf } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { Client } from '#client/client.ts';
import { RESOURCE_CLAIMS } from '#client/kinds.ts';
import type { AnyContainer } from '../interfaces.ts';
import { ClaimInfos, type ClaimInfo, type PreparedDevice } from './claim-infos.ts';
import { ClaimLocks } from './claim-locks.ts';
import type { DraPlugin } from './plugin.ts';
import { checkClaim, claimsOf, claimUses, driversOf, extendedUses, serves, type WantedClaim } from './pod-claims.ts';
import type { Claim } from './types.ts';

const log = logger('kubelet');

export interface ClaimManagerOptions {
  readonly checkpoint: string;
  readonly client: Client;
  readonly clock: Clock;
  readonly plugins: { get(driver: string): Pick<DraPlugin, 'driver' | 'prepare' | 'unprepare'> };
  onOperation(name: 'PrepareResources' | 'UnprepareResources', failed: boolean, ms: number): void;
}

export class ClaimManager {
  readonly #o: ClaimManagerOptions;
  readonly #infos: ClaimInfos;
  readonly #locks = new ClaimLocks();

  constructor(options: ClaimManagerOptions) {
    this.#o = options;
    this.#infos = new ClaimInfos(options.checkpoint);
  }
  async start(): Promise<void> {
    await this.#infos.load();
  }
  /** Resolves when every claim of the Pod can be used by its containers. Rejects in upstream's words; what was begun is given back when the Pod stops. */
  async prepare(pod: Pod, signal: AbortSignal): Promise<void> {
    await this.#timed('PrepareResources', 'prepare dynamic resources', async () => {
      const wanted = claimsOf(pod);
      if (wanted.length === 0) return;
      await this.#locks.run(wanted.map((w) => `${namespaceOf(pod)}/${w.name}`), () => this.#prepare(pod, wanted, signal));
    });
  }
  /** Gives back what no other Pod uses. Resolves when the Pod holds nothing any more. */
  async unprepare(uid: string, signal: AbortSignal): Promise<void> {
    await this.#timed('UnprepareResources', 'unprepare dynamic resources', () => this.#unprepare(uid, signal));
  }
  /** The Pod must not be told to have ended yet. */
  holds(uid: string): boolean {
    return this.#infos.ofPod(uid).length > 0;
  }
  /** Gives back what is held for Pods that are over. A driver that is not there, or will not, is asked again at the next call. */
  async releaseEnded(isOver: (uid: string) => boolean, signal: AbortSignal): Promise<void> {
    for (const uid of new Set(this.#infos.all().flatMap((c) => [...c.pods]))) {
      if (isOver(uid)) await this.#unprepare(uid, signal).catch((err: unknown) => log.info({ err: (err as Error).message, uid }, 'claims of a pod that is over could not be given back, trying again later'));
    }
  }
  /** Pods for which something is held of a driver. */
  podsOf(driver: string): ReadonlySet<string> {
    return new Set(this.#infos.all().flatMap((c) => (c.drivers.has(driver) ? [...c.pods] : [])));
  }
  /** Of the Pods that have one of these devices. */
  podsWith(driver: string, isOne: (device: PreparedDevice) => boolean): ReadonlySet<string> {
    return new Set(this.#infos.all().flatMap((c) => (c.drivers.get(driver)?.some(isOne) ? [...c.pods] : [])));
  }

  /** Ids of what the runtime is to put into the container, each once. Throws for a claim that was not prepared. */
  cdiDevices(pod: Pod, container: AnyContainer): string[] {
    const ids = new Set<string>();
    for (const { claim, request } of [...claimUses(pod, container), ...extendedUses(pod, container)]) {
      const info = this.infoOf(pod, claim);
      if (!info) throw new Error(`internal error: unable to get claim info for ResourceClaim ${claim} in namespace ${namespaceOf(pod)}`);
      for (const device of [...info.drivers.values()].flat()) if (serves(device, request)) for (const id of device.cdiIds) ids.add(id);
    }
    return [...ids];
  }
  /** The claims that a container uses, each once; nothing of one that is not known. */
  infosOf(pod: Pod, container: AnyContainer): ClaimInfo[] {
    const names = new Set([...claimUses(pod, container), ...extendedUses(pod, container)].map((u) => u.claim));
    return [...names].map((name) => this.infoOf(pod, name)).filter((info) => info !== undefined);
  }
  infoOf(pod: Pod, claim: string): ClaimInfo | undefined {
    return this.#infos.get(namespaceOf(pod), claim);
  }
  /** Number of claims that are prepared, by driver, and of all under `<any>`. */
  inUse(): ReadonlyMap<string, number> {
    const prepared = this.#infos.all().filter((c) => c.prepared);
    const counts = new Map([['<any>', prepared.length]]);
    for (const driver of prepared.flatMap((c) => [...c.drivers.keys()])) counts.set(driver, (counts.get(driver) ?? 0) + 1);
    return counts;
  }

  async #prepare(pod: Pod, wanted: readonly WantedClaim[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    // Nothing is changed before all is well: a Pod whose driver was never here can go without it.
    const claims: ResourceClaim[] = [];
    for (const w of wanted) {
      const claim = await this.#fetch(pod, w.name, signal);
      checkClaim(pod, claim, w);
      for (const driver of driversOf(claim)) this.#o.plugins.get(driver);
      claims.push(claim);
    }
    signal.throwIfAborted();
    for (const claim of claims) this.#reference(pod, claim);
    await this.#infos.save();
    const unprepared = claims.map((c) => this.infoOf(pod, c.metadata.name!)!).filter((c) => !c.prepared);
    for (const [driver, batch] of byDriver(unprepared)) {
      const answers = await this.#call('NodePrepareResources', batch, this.#o.plugins.get(driver).prepare(batch.map(onWire), signal));
      for (const { name, uid } of batch) {
        const devices = answers.get(uid)!.devices.map((d) => ({ pool: d.poolName, device: d.deviceName, shareId: d.shareId || undefined, requests: d.requestNames, cdiIds: d.cdiDeviceIds }));
        const now = this.infoOf(pod, name)!;
        this.#infos.set({ ...now, drivers: new Map(now.drivers).set(driver, devices) });
      }
    }
    for (const { name } of unprepared) this.#infos.set({ ...this.infoOf(pod, name)!, prepared: true });
    await this.#infos.save();
  }
  async #fetch(pod: Pod, name: string, signal: AbortSignal): Promise<ResourceClaim> {
    try {
      return await this.#o.client.of(RESOURCE_CLAIMS).get(namespaceOf(pod), name, signal);
    } catch (err) {
      throw signal.aborted ? err : new Error(`fetch ResourceClaim ${name}: ${(err as Error).message}`);
    }
  }
  #reference(pod: Pod, claim: ResourceClaim): void {
    const [name, uid] = [claim.metadata.name!, uidOf(claim)];
    const known = this.infoOf(pod, name);
    if (known && known.uid !== uid) throw new Error(`old ResourceClaim with same name ${name} and different UID ${known.uid} still exists (previous pod force-deleted?!)`);
    const info = known ?? { uid, name, namespace: namespaceOf(claim), pods: new Set(), drivers: new Map(Array.from(driversOf(claim), (d) => [d, []])), prepared: false };
    this.#infos.set({ ...info, pods: new Set(info.pods).add(uidOf(pod)) });
  }

  async #unprepare(uid: string, signal: AbortSignal): Promise<void> {
    const held = this.#infos.ofPod(uid);
    if (held.length > 0) await this.#locks.run(held.map((c) => `${c.namespace}/${c.name}`), () => this.#giveBack(uid, held, signal));
  }
  async #giveBack(uid: string, held: readonly ClaimInfo[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const last: ClaimInfo[] = [];
    for (const { namespace, name } of held) {
      const info = this.#infos.get(namespace, name);
      if (!info?.pods.has(uid)) continue;
      if (info.pods.size > 1) this.#infos.set({ ...info, pods: new Set([...info.pods].filter((p) => p !== uid)) });
      else last.push(info);
    }
    for (const [driver, batch] of byDriver(last)) await this.#call('NodeUnprepareResources', batch, this.#o.plugins.get(driver).unprepare(batch.map(onWire), signal));
    for (const info of last) this.#infos.delete(info);
    await this.#infos.save();
  }

  /** Rejects unless the driver has answered well for every claim. */
  async #call<A extends { readonly error: string }>(method: string, claims: readonly ClaimInfo[], call: Promise<ReadonlyMap<string, A>>): Promise<ReadonlyMap<string, A>> {
    const answers = await call.catch((err: unknown) => {
      throw new Error(`${method}: ${(err as Error).message}`);
    });
    for (const [uid, { error }] of answers) {
      const claim = claims.find((c) => c.uid === uid);
      if (!claim) throw new Error(`${method} returned result for unknown claim UID ${uid}`);
      if (error !== '') throw new Error(`${method} failed for ResourceClaim ${claim.name}: ${error}`);
    }
    if (answers.size !== claims.length) throw new Error(`${method} skipped ${claims.length - answers.size} ResourceClaims`);
    return answers;
  }
  async #timed(name: 'PrepareResources' | 'UnprepareResources', what: string, task: () => Promise<void>): Promise<void> {
    const began = this.#o.clock.monotonic();
    let failed = true;
    try {
      await task();
      failed = false;
    } catch (err) {
      throw new Error(`${what}: ${(err as Error).message}`, { cause: err });
    } finally {
      this.#o.onOperation(name, failed, this.#o.clock.monotonic() - began);
    }
  }
}

function onWire({ namespace, name, uid }: ClaimInfo): Claim {
  return { namespace, name, uid };
}
function byDriver(claims: readonly ClaimInfo[]): Map<string, ClaimInfo[]> {
  const out = new Map<string, ClaimInfo[]>();
  for (const claim of claims) for (const driver of claim.drivers.keys()) out.set(driver, [...(out.get(driver) ?? []), claim]);
  return out;
}
