/**
 * ResourceClaims as the scheduler counts them: what the informer knows, what has been written but not come back yet, and what is only decided.
 *
 * ```
 *   decided (setPending) ──write succeeded──▶ written (assume) ──the informer has it──▶ known
 *        └──── given up (removePending) ──▶ as the informer knows it
 * ```
 * A claim that is only decided is not for other Pods yet: they wait for the event of its write.
 */
import type { AllocationResult, ResourceClaim } from '#api/gen/resource-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Lister } from '../framework/handle.ts';
import { DeviceLedger } from './device-ledger.ts';

/** On the claim that the scheduler makes for extended resources (KEP-5004). */
export const EXTENDED_RESOURCE_CLAIM = 'resource.kubernetes.io/extended-resource-claim';

export class ClaimTracker {
  readonly ledger = new DeviceLedger();
  readonly #known: Lister<ResourceClaim>;
  /** Newer than what the informer knows, by key. */
  readonly #assumed = new Map<string, ResourceClaim>();
  /** By uid. */
  readonly #pending = new Map<string, AllocationResult>();
  /** Keys of claims for extended resources, by the uid of their Pod. */
  readonly #extended = new Map<string, string>();

  constructor(known: Lister<ResourceClaim>) {
    this.#known = known;
    known.addHandler({
      onAdd: (claim) => this.#seen(claim),
      onUpdate: (old, claim) => {
        if (uidOf(old) !== uidOf(claim)) this.#gone(old);
        this.#seen(claim);
      },
      onDelete: (claim) => this.#gone(claim),
    });
  }
  get(namespace: string, name: string): ResourceClaim | undefined {
    return this.#assumed.get(`${namespace}/${name}`) ?? this.#known.get(namespace, name);
  }
  /** The claim for extended resources that was made for the Pod. */
  extendedFor(podUid: string): ResourceClaim | undefined {
    const key = this.#extended.get(podUid);
    if (key === undefined) return undefined;
    const slash = key.indexOf('/');
    return this.get(key.slice(0, slash), key.slice(slash + 1));
  }
  isPending(uid: string): boolean {
    return this.#pending.has(uid);
  }
  setPending(uid: string, allocation: AllocationResult): void {
    this.#pending.set(uid, allocation);
    this.ledger.set(uid, allocation);
  }
  /** `claim` as it is known now, if at all. */
  removePending(uid: string, claim: ResourceClaim | undefined): void {
    if (!this.#pending.delete(uid)) return;
    const now = claim && this.get(namespaceOf(claim), nameOf(claim));
    this.ledger.set(uid, now && uidOf(now) === uid ? now.status?.allocation : undefined);
  }
  /** Counts a claim as it was written, until the informer has that state or a newer one. */
  assume(claim: ResourceClaim): void {
    const known = this.#known.get(namespaceOf(claim), nameOf(claim));
    if (known && !isOlder(known, claim)) return;
    this.#assumed.set(keyOf(claim), claim);
    this.#note(claim);
  }
  /** Takes an assumption back: the claim was deleted, or never came to be. */
  forget(claim: ResourceClaim): void {
    const assumed = this.#assumed.get(keyOf(claim));
    if (!assumed || uidOf(assumed) !== uidOf(claim)) return;
    this.#assumed.delete(keyOf(claim));
    const known = this.#known.get(namespaceOf(claim), nameOf(claim));
    if (known) this.#note(known);
    else this.#gone(claim);
  }

  #seen(claim: ResourceClaim): void {
    const assumed = this.#assumed.get(keyOf(claim));
    if (assumed && uidOf(assumed) === uidOf(claim) && isOlder(claim, assumed)) return;
    this.#assumed.delete(keyOf(claim));
    this.#note(claim);
  }
  #note(claim: ResourceClaim): void {
    if (!this.#pending.has(uidOf(claim))) this.ledger.set(uidOf(claim), claim.status?.allocation);
    const owner = podOf(claim);
    if (owner !== undefined) this.#extended.set(owner, keyOf(claim));
  }
  #gone(claim: ResourceClaim): void {
    const uid = uidOf(claim);
    const assumed = this.#assumed.get(keyOf(claim));
    if (assumed && uidOf(assumed) === uid) this.#assumed.delete(keyOf(claim));
    if (!this.#pending.has(uid)) this.ledger.set(uid, undefined);
    const owner = podOf(claim);
    if (owner !== undefined && this.#extended.get(owner) === keyOf(claim)) this.#extended.delete(owner);
  }
}
function podOf({ metadata }: ResourceClaim): string | undefined {
  if (metadata.annotations?.[EXTENDED_RESOURCE_CLAIM] !== 'true') return undefined;
  return metadata.ownerReferences?.find((ref) => ref.controller)?.uid;
}
function isOlder(a: ResourceClaim, b: ResourceClaim): boolean {
  return BigInt(a.metadata.resourceVersion ?? '0') < BigInt(b.metadata.resourceVersion ?? '0');
}
