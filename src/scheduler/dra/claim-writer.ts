/** What the scheduler writes to claims: an allocation, who uses it, and that nobody does. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { AllocationResult, ResourceClaim, ResourceClaimConsumerReference } from '#api/gen/resource-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { rfc3339, sleep, type Clock } from '#base/clock.ts';
import type { Client, ResourceClient } from '#client/client.ts';
import { RESOURCE_CLAIMS } from '#client/kinds.ts';
import { isReason } from '#machinery/status-error.ts';

/** Keeps an allocated claim until its devices are given back. */
export const FINALIZER = 'resource.kubernetes.io/delete-protection';
const MAX_TRIES = 5;
const PAUSE_MS = 10;

export class ClaimWriter {
  readonly #claims: ResourceClient<ResourceClaim>;
  readonly #clock: Clock;

  constructor(client: Client, clock: Clock) {
    this.#claims = client.of(RESOURCE_CLAIMS);
    this.#clock = clock;
  }
  /** Keeps the claim for the Pod; with an allocation, gives it that first. Resolves with the claim as it is then. */
  reserve(claim: ResourceClaim, pod: Pod, allocation: AllocationResult | undefined, signal: AbortSignal): Promise<ResourceClaim> {
    return this.#retried(claim, signal, async (now) => {
      const name = keyOf(now);
      if (now.metadata.deletionTimestamp) throw new Error(`claim ${name} got deleted in the meantime`);
      if (allocation && now.status?.allocation) throw new Error(`claim ${name} got allocated elsewhere in the meantime`);
      const current = allocation ? await this.#protect(now, signal) : now;
      const given = allocation ?? current.status?.allocation;
      if (!given) throw new Error(`claim ${name} got deallocated elsewhere in the meantime`);
      const user: ResourceClaimConsumerReference = { resource: 'pods', name: nameOf(pod), uid: uidOf(pod) };
      const status = {
        ...current.status, allocation: { ...given, allocationTimestamp: given.allocationTimestamp ?? rfc3339(this.#clock.now()) },
        reservedFor: [...(current.status?.reservedFor ?? []), user],
      };
      return within(`add ${allocation ? 'allocation and ' : ''}reservation to claim ${name}`, () => this.#claims.updateStatus({ ...current, status }, { signal }));
    });
  }
  create(claim: ResourceClaim, signal: AbortSignal): Promise<ResourceClaim> {
    const { name: _name, uid: _uid, ...metadata } = claim.metadata;
    return within(`create claim for extended resources ${keyOf(claim)}`, () => this.#claims.create({ ...claim, metadata }, { signal }));
  }
  /** Takes the Pod out of those that the claim is kept for. */
  async release(claim: ResourceClaim, pod: Pod, signal: AbortSignal): Promise<void> {
    // An entry can be taken out like this without knowing the others.
    const patch = { metadata: { uid: uidOf(claim) }, status: { reservedFor: [{ $patch: 'delete', uid: uidOf(pod) }] } };
    await this.#claims.patch(namespaceOf(claim), nameOf(claim), 'application/strategic-merge-patch+json', patch, { subresource: 'status', signal });
  }
  async deallocate(claim: ResourceClaim, signal: AbortSignal): Promise<void> {
    await this.#claims.updateStatus({ ...claim, status: {} }, { signal });
  }
  async delete(claim: ResourceClaim, signal: AbortSignal): Promise<void> {
    const uid = uidOf(claim);
    await this.#retried(claim, signal, (now) => {
      const finalizers = (now.metadata.finalizers ?? []).filter((f) => f !== FINALIZER);
      return this.#claims.update({ ...now, metadata: { ...now.metadata, finalizers } }, { signal });
    });
    await this.#claims.delete(namespaceOf(claim), nameOf(claim), { preconditions: { uid } }, signal);
  }

  #protect(claim: ResourceClaim, signal: AbortSignal): Promise<ResourceClaim> {
    const finalizers = claim.metadata.finalizers ?? [];
    if (finalizers.includes(FINALIZER)) return Promise.resolve(claim);
    return within(`add finalizer to claim ${keyOf(claim)}`, () => this.#claims.update({ ...claim, metadata: { ...claim.metadata, finalizers: [...finalizers, FINALIZER] } }, { signal }));
  }
  /** Does it again with the claim as it is, where somebody else has changed it meanwhile. */
  async #retried(claim: ResourceClaim, signal: AbortSignal, work: (now: ResourceClaim) => Promise<ResourceClaim>): Promise<ResourceClaim> {
    let now = claim;
    for (let tries = 1; ; tries++) {
      try {
        return await work(now);
      } catch (err) {
        const cause = err instanceof Error && err.cause !== undefined ? err.cause : err;
        if (!isReason(cause, 'Conflict') || tries === MAX_TRIES) throw err;
        await sleep(this.#clock, PAUSE_MS, signal);
        now = await within(`get updated claim ${keyOf(claim)} after conflict`, () => this.#claims.get(namespaceOf(claim), nameOf(claim), signal));
      }
    }
  }
}
async function within<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (err) {
    throw new Error(`${doing}: ${err instanceof Error ? err.message : String(err)}`, { cause: err });
  }
}
