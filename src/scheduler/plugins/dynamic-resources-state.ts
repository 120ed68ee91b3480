/** What DynamicResources keeps between the extension points of one cycle, and through the binding. */
import type { ContainerExtendedResourceRequest } from '#api/gen/core-v1.ts';
import type { AllocationResult, ResourceClaim } from '#api/gen/resource-v1.ts';
import { CompiledNodeSelector } from '#machinery/node-selector.ts';
import { StateKey } from '../framework/cycle-state.ts';

export interface ClaimState {
  /** As it was when the cycle began; once written, as it was written. */
  claim: ResourceClaim;
  /** Made by the scheduler for extended resources (KEP-5004). */
  readonly extended: boolean;
  /** Of an allocated claim: where its devices can be used; absent: everywhere. */
  readonly availableOn: CompiledNodeSelector | undefined;
  /** Decided by `reserve`, until it is written. */
  decided?: { readonly uid: string; readonly allocation: AllocationResult } | undefined;
}
/** What a node can give to the claims that have nothing yet. */
export interface NodeAllocation {
  readonly results: ReadonlyMap<ClaimState, AllocationResult>;
  /** The claim for extended resources as this node needs it. */
  readonly extendedClaim: ResourceClaim | undefined;
  readonly mappings: readonly ContainerExtendedResourceRequest[];
}
export class DynamicResourcesState {
  /** Empty where the plugin has nothing to do, or has refused the Pod before it knew of any. */
  readonly claims: readonly ClaimState[];
  readonly byNode = new Map<string, NodeAllocation>();
  /** Allocated ones that cannot be used on some node. */
  readonly unavailable = new Set<ClaimState>();
  /** Milliseconds that the search for devices may still take in this cycle. */
  remainingMs: number;

  constructor(claims: readonly ClaimState[], remainingMs: number) {
    this.claims = claims;
    this.remainingMs = remainingMs;
  }
  get unallocated(): readonly ClaimState[] {
    return this.claims.filter(({ claim }) => !claim.status?.allocation);
  }
}
export const STATE = new StateKey<DynamicResourcesState>('DynamicResources');

export function claimStateOf(claim: ResourceClaim, extended = false): ClaimState {
  const selector = claim.status?.allocation?.nodeSelector;
  return { claim, extended, availableOn: selector && new CompiledNodeSelector(selector) };
}
