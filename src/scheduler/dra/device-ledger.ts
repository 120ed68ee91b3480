/** Which devices, and how much of those that are shared, claims have been given. */
import type { AllocationResult, DeviceRequestAllocationResult } from '#api/gen/resource-v1.ts';
import { parseQuantity, type Quantity } from '#machinery/quantity.ts';

/** `driver/pool/device`. Neither the driver nor the device has a slash in its name. */
export function deviceId(driver: string, pool: string, device: string): string {
  return `${driver}/${pool}/${device}`;
}
/** Amounts by the name of a capacity. */
export type Amounts = ReadonlyMap<string, Quantity>;

interface SharedUse {
  shares: number;
  readonly amounts: Map<string, Quantity>;
}

/** Answers from sums that are kept right with each change; a device that two claims have, by mistake, is free when both have gone. */
export class DeviceLedger {
  readonly #byClaim = new Map<string, readonly DeviceRequestAllocationResult[]>();
  readonly #exclusive = new Map<string, number>();
  readonly #shared = new Map<string, SharedUse>();

  /** What the claim with that uid has now; undefined: nothing. */
  set(claimUid: string, allocation: AllocationResult | undefined): void {
    const results = allocation?.devices?.results ?? [];
    const before = this.#byClaim.get(claimUid);
    if (before === results || (!before && results.length === 0)) return;
    for (const result of before ?? []) this.#count(result, -1);
    for (const result of results) this.#count(result, 1);
    if (results.length > 0) this.#byClaim.set(claimUid, results);
    else this.#byClaim.delete(claimUid);
  }
  /** A claim has the device for itself. */
  isTaken(id: string): boolean {
    return this.#exclusive.has(id);
  }
  isShared(id: string): boolean {
    return this.#shared.has(id);
  }
  isUsed(id: string): boolean {
    return this.isTaken(id) || this.isShared(id);
  }
  /** What those that share the device have of it together. */
  consumed(id: string): Amounts | undefined {
    return this.#shared.get(id)?.amounts;
  }

  // Who has admin access takes nothing away from others (KEP-5018).
  #count({ driver, pool, device, adminAccess, shareID, consumedCapacity = {} }: DeviceRequestAllocationResult, sign: 1 | -1): void {
    if (adminAccess) return;
    const id = deviceId(driver, pool, device);
    if (shareID === undefined) {
      const count = (this.#exclusive.get(id) ?? 0) + sign;
      if (count > 0) this.#exclusive.set(id, count);
      else this.#exclusive.delete(id);
      return;
    }
    const use = this.#shared.get(id) ?? { shares: 0, amounts: new Map() };
    use.shares += sign;
    if (use.shares <= 0) return void this.#shared.delete(id);
    for (const [name, text] of Object.entries(consumedCapacity)) {
      const amount = parseQuantity(text);
      const sum = use.amounts.get(name);
      use.amounts.set(name, sum ? (sign > 0 ? sum.add(amount) : sum.sub(amount)) : amount);
    }
    this.#shared.set(id, use);
  }
}
