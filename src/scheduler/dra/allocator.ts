/**
 * Finds devices on one node for all claims of a Pod: the first whole solution, in a fixed order. Source: KEP-4381, "Scheduling".
 *
 * ```
 *  claim ─▶ its requests in order ─▶ alternatives, best first ─▶ devices, by pool, slice and place ─▶ next request, next claim
 *                                          ▲                          │ no device, or a constraint broken
 *                                          └────── undo, try the next ◀┘
 * ```
 * Devices of one request are only tried in rising order, so no set is tried twice. Before the search each request is asked whether it could be
 * met if it were alone: most nodes are refused by that. The search itself is exponential at worst; `checkTime` ends it.
 */
import type { Node } from '#api/gen/core-v1.ts';
import type { AllocationResult, ResourceClaim } from '#api/gen/resource-v1.ts';
import { nameOf } from '#api/object.ts';
import { keepsAway } from '#machinery/device-taints.ts';
import { allocationResultOf, type Given } from './allocation-result.ts';
import { amountsFor, hasRoom } from './capacity.ts';
import { CounterBooks } from './counters.ts';
import type { Amounts, DeviceLedger } from './device-ledger.ts';
import { reaches, type Candidate, type Pool } from './pools.ts';
import { MAX_RESULTS, planOf, type ClaimPlan, type ClassLookup, type Want } from './requests.ts';
import type { DeviceSelectors } from './selectors.ts';
import type { SliceIndex } from './slices.ts';

export interface AllocatorOptions {
  readonly slices: SliceIndex;
  readonly ledger: DeviceLedger;
  readonly selectors: DeviceSelectors;
  readonly classOf: ClassLookup;
  /** An id for a share of a device, a UUID. */
  newShareID(): string;
}
/** Why there is no solution; `invalid`: it may be for a pool that contradicts itself. */
export type AllocationFailure = 'none' | 'invalid';
/** Devices that a request may use, as far as they are free. */
interface Usable {
  readonly candidates: readonly Candidate[];
  /** False where a selector fails on some device: they are then asked one by one. */
  readonly exact: boolean;
}
type Outcome = 'done' | 'failed' | /** The claim would be given too many devices, whatever is chosen for what comes before. */ 'too many';

/** One result per claim, in their order. Throws where a claim, a class or a selector is wrong, and what `checkTime` throws. */
export function allocate(options: AllocatorOptions, node: Node, claims: readonly ResourceClaim[], checkTime: () => void = () => {}): readonly AllocationResult[] | AllocationFailure {
  const pools = options.slices.poolsFor(node);
  const results = new Search(options, node, pools, claims, checkTime).run();
  return results ?? (pools.some((pool) => pool.state === 'invalid') ? 'invalid' : 'none');
}

class Search {
  readonly #o: AllocatorOptions;
  readonly #node: Node;
  readonly #plans: readonly ClaimPlan[];
  readonly #pools: readonly Pool[];
  readonly #candidates: readonly Candidate[];
  readonly #checkTime: () => void;
  readonly #counters: CounterBooks;
  /** Devices for requests that want all, by request. */
  readonly #all = new Map<Want, readonly Candidate[]>();
  readonly #usable = new Map<Want, Usable>();
  readonly #given: Given[][];
  readonly #chosen: Want[][];
  /** Indices of the claims that are being given a device. */
  readonly #taking = new Map<string, Set<number>>();
  readonly #sharing = new Map<string, Amounts[]>();

  constructor(options: AllocatorOptions, node: Node, pools: readonly Pool[], claims: readonly ResourceClaim[], checkTime: () => void) {
    this.#o = options;
    this.#node = node;
    this.#pools = pools;
    this.#checkTime = checkTime;
    this.#candidates = pools.flatMap((pool) => pool.candidates);
    this.#counters = new CounterBooks(options.ledger);
    this.#given = claims.map(() => []);
    this.#chosen = claims.map(() => []);
    this.#plans = claims.map((claim) => this.#planOf(claim));
  }
  run(): readonly AllocationResult[] | undefined {
    if (this.#isHopeless() || this.#claim(0) !== 'done') return undefined;
    return this.#plans.map((plan, i) => allocationResultOf(plan, this.#given[i]!, this.#chosen[i]!, nameOf(this.#node)));
  }

  /** Finds what `All` means here too. Throws where a claim asks for more than it can be given. */
  #planOf(claim: ResourceClaim): ClaimPlan {
    const plan = planOf(claim, this.#o.classOf, (want, key) => {
      if (want.count === undefined) this.#all.set(want, this.#allFor(want, key));
    });
    const least = plan.slots.reduce((sum, wants) => sum + Math.min(...wants.map((want) => this.#countOf(want))), 0);
    if (least > MAX_RESULTS) throw new Error(`claim ${plan.key}: number of requested devices ${least} exceeds the claim limit of ${MAX_RESULTS}`);
    return plan;
  }
  #allFor(want: Want, claim: string): Candidate[] {
    const out: Candidate[] = [];
    for (const pool of this.#pools) {
      if (pool.state !== 'complete') throw new Error(`claim ${claim}, request ${want.name}: asks for all devices, but resource pool ${pool.key} is currently ${pool.state === 'invalid' ? 'invalid' : 'being updated'}`);
      for (const candidate of pool.candidates) {
        this.#checkTime();
        if (this.#isSelected(want, candidate) && this.#amountsIn(want, candidate)) out.push(candidate);
      }
    }
    return out;
  }
  #countOf(want: Want): number {
    return want.count ?? this.#all.get(want)!.length;
  }
  /** Some request finds too few devices even if it is the only one, and the search would not find an error before: that is its to tell. */
  #isHopeless(): boolean {
    if (this.#all.size > 0 && this.#plans.some((plan) => plan.constraints.length > 0)) return false;
    const slots = this.#plans.flatMap((plan) => plan.slots);
    return slots.some((wants) => wants.every((want) => this.#usableFor(want).candidates.length < this.#countOf(want))) && slots.every((wants) => wants.every((want) => this.#usableFor(want).exact));
  }
  #usableFor(want: Want): Usable {
    let usable = this.#usable.get(want);
    if (!usable) {
      const all = this.#all.get(want);
      this.#usable.set(want, (usable = all ? { candidates: all, exact: true } : this.#select(want)));
    }
    return usable;
  }
  #select(want: Want): Usable {
    const candidates: Candidate[] = [];
    for (const candidate of this.#candidates) {
      if (!want.adminAccess && this.#o.ledger.isTaken(candidate.id)) continue;
      this.#checkTime();
      try {
        if (this.#isSelected(want, candidate)) candidates.push(candidate);
      } catch {
        return { candidates: this.#candidates, exact: false };
      }
    }
    return { candidates, exact: true };
  }

  #claim(c: number): Outcome {
    if (c === this.#plans.length) return 'done';
    return this.#slot(c, 0);
  }
  #slot(c: number, s: number): Outcome {
    const { slots } = this.#plans[c]!;
    // That a later claim gets too many is nothing that this claim could mend by taking less.
    if (s === slots.length) return this.#claim(c + 1) === 'done' ? 'done' : 'failed';
    const wants = slots[s]!;
    if (wants.length === 1) return this.#want(c, s, wants[0]!);
    let outcome: Outcome = 'too many';
    for (const want of wants) {
      const found = this.#want(c, s, want);
      if (found === 'done') return found;
      if (found === 'failed') outcome = found;
    }
    return outcome;
  }
  #want(c: number, s: number, want: Want): Outcome {
    this.#chosen[c]![s] = want;
    return want.count === undefined && this.#all.get(want)!.length === 0 ? 'failed' : this.#devices(c, s, want, 0, 0);
  }
  /** Finds the n-th device of a request, from that place on in the order of devices. */
  #devices(c: number, s: number, want: Want, n: number, from: number): Outcome {
    this.#checkTime();
    const count = this.#countOf(want);
    if (n === count) return this.#slot(c, s + 1);
    if (this.#given[c]!.length + count - n > MAX_RESULTS) return 'too many';
    const all = this.#all.get(want);
    if (all) return this.#try(c, s, want, n, all[n]!, n + 1, true);
    const { candidates, exact } = this.#usableFor(want);
    const last = exact ? candidates.length - (count - n) : candidates.length - 1;
    for (let i = from; i <= last; i++) {
      this.#checkTime();
      const candidate = candidates[i]!;
      if (want.adminAccess ? this.#taking.get(candidate.id)?.has(c) : this.#o.ledger.isTaken(candidate.id) || this.#isBeingTaken(candidate.id)) continue;
      if (!exact && !this.#isSelected(want, candidate)) continue;
      const outcome = this.#try(c, s, want, n, candidate, i + 1, false);
      if (outcome !== 'failed') return outcome;
    }
    return 'failed';
  }
  #try(c: number, s: number, want: Want, n: number, candidate: Candidate, next: number, must: boolean): Outcome {
    const giveBack = this.#take(c, want, candidate, must);
    if (!giveBack) return 'failed';
    const outcome = this.#devices(c, s, want, n + 1, next);
    if (outcome !== 'done') giveBack();
    return outcome;
  }

  #isBeingTaken(id: string): boolean {
    return (this.#taking.get(id)?.size ?? 0) > 0;
  }
  #isSelected(want: Want, { driver, device, slice }: Candidate): boolean {
    if (!want.selectors.every((owner) => this.#o.selectors.match(owner, driver, device))) return false;
    return !slice.spec.perDeviceNodeSelection || reaches(device, this.#node);
  }
  /** What the request would have of the device's capacities; undefined where it cannot. */
  #amountsIn(want: Want, { id, device }: Candidate): Amounts | undefined {
    const amounts = amountsFor(device, want.capacity);
    return amounts && hasRoom(device, amounts, this.#o.ledger.consumed(id), ...(this.#sharing.get(id) ?? [])) ? amounts : undefined;
  }
  /** Gives the device to the request; returns what undoes it, undefined where it cannot be given. `must`: nothing else will do, so that a broken constraint is an error. */
  #take(c: number, want: Want, candidate: Candidate, must: boolean): (() => void) | undefined {
    const { ledger } = this.#o;
    const { id, device } = candidate;
    const { key, constraints } = this.#plans[c]!;
    const shared = device.allowMultipleAllocations === true;
    if (want.adminAccess ? !shared && this.#taking.get(id)?.has(c) : ledger.isTaken(id) || this.#isBeingTaken(id) || (!shared && ledger.isShared(id))) return undefined;
    // Whoever came first has drawn for all that share the device.
    const draws = (device.consumesCounters?.length ?? 0) > 0 && !(shared && (ledger.isShared(id) || this.#sharing.has(id)));
    if ((draws && !this.#counters.has(candidate)) || keepsAway(device.taints, want.tolerations)) return undefined;
    const concerned = constraints.filter((constraint) => constraint.concerns(want.names));
    const broken = concerned.findIndex((constraint) => !constraint.add(candidate));
    if (broken >= 0 && must) throw new Error(`claim ${key}, request ${want.name}: cannot add device ${id} because a claim constraint would not be satisfied`);
    const amounts = broken < 0 ? this.#amountsIn(want, candidate) : undefined;
    if (!amounts) {
      for (const constraint of broken < 0 ? concerned : concerned.slice(0, broken)) constraint.removeLast();
      return undefined;
    }
    const given = this.#given[c]!;
    given.push({ want, candidate, shareID: shared ? this.#o.newShareID() : undefined, amounts: shared ? amounts : undefined });
    const release = shared ? this.#share(id, amounts) : this.#own(id, c);
    if (draws) this.#counters.take(candidate);
    return () => {
      if (draws) this.#counters.giveBack(candidate);
      release();
      given.pop();
      for (const constraint of concerned) constraint.removeLast();
    };
  }
  #own(id: string, c: number): () => void {
    const claims = this.#taking.get(id) ?? new Set();
    this.#taking.set(id, claims.add(c));
    return () => claims.delete(c);
  }
  #share(id: string, amounts: Amounts): () => void {
    this.#sharing.set(id, [...(this.#sharing.get(id) ?? []), amounts]);
    return () => {
      const left = this.#sharing.get(id)!.slice(0, -1);
      if (left.length > 0) this.#sharing.set(id, left);
      else this.#sharing.delete(id);
    };
  }
}
