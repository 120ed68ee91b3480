/** The asynchronous half of DynamicResources: writes what a cycle has decided, waits for devices to get ready, and takes things back. */
import type { Pod } from '#api/gen/core-v1.ts';
import type { ResourceClaim } from '#api/gen/resource-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { logger } from '#base/logger.ts';
import { PODS } from '#client/kinds.ts';
import { BINDING_TIMEOUT_MS, BindingTimedOut, hasBindingConditions, isReady, isTimedOut } from '../dra/binding-conditions.ts';
import { ClaimWriter } from '../dra/claim-writer.ts';
import { IN_MEMORY_NAME } from '../dra/extended-resources.ts';
import { isReservedFor } from '../dra/pod-claims.ts';
import type { FrameworkHandle } from '../framework/handle.ts';
import { onChangeOf, until } from '../framework/until.ts';
import type { ClaimState, DynamicResourcesState } from './dynamic-resources-state.ts';

const log = logger('kube-scheduler');

export class ClaimBinder {
  readonly #handle: FrameworkHandle;
  readonly #writer: ClaimWriter;
  /** Writes that take an earlier attempt back, by the uid of the Pod: the next must not meet them. */
  readonly #undoing = new Map<string, Promise<void>>();

  constructor(handle: FrameworkHandle) {
    this.#handle = handle;
    this.#writer = new ClaimWriter(handle.client, handle.clock);
  }
  /** Resolves when all claims are the Pod's and their devices are ready. */
  async bind(pod: Pod, state: DynamicResourcesState, nodeName: string, signal: AbortSignal): Promise<void> {
    await this.#undoing.get(uidOf(pod));
    for (const each of state.claims) {
      if (isReservedFor(each.claim, pod) || (each.extended && !each.decided)) continue;
      await this.#bindClaim(pod, state, each, nodeName, signal);
    }
    if (state.claims.some(({ claim }) => hasBindingConditions(claim))) await this.#untilReady(pod, state, nodeName, signal);
  }
  async #bindClaim(pod: Pod, state: DynamicResourcesState, each: ClaimState, nodeName: string, signal: AbortSignal): Promise<void> {
    const { claims } = this.#handle.dra;
    const { decided } = each;
    try {
      if (each.extended && nameOf(each.claim) === IN_MEMORY_NAME) each.claim = await this.#create(state.byNode.get(nodeName)!.extendedClaim!, signal);
      each.claim = await this.#writer.reserve(each.claim, pod, decided?.allocation, signal);
      claims.assume(each.claim);
    } finally {
      this.#drop(each);
    }
    if (each.extended) await this.#tellPod(pod, each.claim, state, nodeName, signal);
  }
  async #create(claim: ResourceClaim, signal: AbortSignal): Promise<ResourceClaim> {
    const { metrics } = this.#handle;
    const made = await this.#writer.create(claim, signal).catch((err: unknown) => {
      metrics.claimCreated('failure');
      throw err;
    });
    metrics.claimCreated('success');
    return made;
  }
  async #tellPod(pod: Pod, claim: ResourceClaim, state: DynamicResourcesState, nodeName: string, signal: AbortSignal): Promise<void> {
    const extendedResourceClaimStatus = { requestMappings: state.byNode.get(nodeName)!.mappings, resourceClaimName: nameOf(claim) };
    try {
      await this.#handle.client.of(PODS).patch(namespaceOf(pod), nameOf(pod), 'application/strategic-merge-patch+json', { metadata: { uid: uidOf(pod) }, status: { extendedResourceClaimStatus } }, { subresource: 'status', signal });
    } catch (err) {
      throw new Error(`update pod ${keyOf(pod)} ExtendedResourceClaimStatus: ${(err as Error).message}`, { cause: err });
    }
  }
  async #untilReady(pod: Pod, { claims }: DynamicResourcesState, nodeName: string, signal: AbortSignal): Promise<void> {
    const { clock, dra, listers, metrics, recorder } = this.#handle;
    const began = clock.monotonic();
    const over = (err?: unknown): void => metrics.waited(claims.map(({ claim }) => claim), (clock.monotonic() - began) / 1000, err);
    recorder.event(pod, { type: 'Normal', reason: 'BindingConditionsPending', action: 'Scheduling', note: `waiting for binding conditions for device on node ${nodeName}` });
    const areReady = () => claims.every((each) => {
      const now = dra.claims.get(namespaceOf(each.claim), nameOf(each.claim));
      if (!now) throw new Error(`could not find v1.ResourceClaim ${JSON.stringify(keyOf(each.claim))}`);
      each.claim = now;
      if (isReady(now)) return true;
      if (isTimedOut(now, clock.now())) throw new BindingTimedOut(`claim=${nameOf(now)}`);
      return false;
    });
    try {
      await until({ clock, timeoutMs: BINDING_TIMEOUT_MS, watch: [onChangeOf(listers.resourceClaims)], isDone: areReady }, signal);
      over();
    } catch (err) {
      const why = (err as Error).message === 'context deadline exceeded' ? new BindingTimedOut('context deadline exceeded', err) : err;
      over(why);
      throw why;
    }
  }

  /** What was decided and written for the Pod is taken back: at once for other Pods, in the API server soon. */
  unreserve(pod: Pod, { claims }: DynamicResourcesState): void {
    for (const each of claims) this.#drop(each);
    const written = claims.filter(({ claim, extended }) => (extended ? nameOf(claim) !== IN_MEMORY_NAME : claim.status?.allocation && isReservedFor(claim, pod)));
    if (written.length === 0) return;
    this.#undo(pod, async (signal) => {
      for (const { claim, extended } of written) {
        try {
          if (extended) await this.#delete(claim, signal);
          else await this.#writer.release(claim, pod, signal);
        } catch (err) {
          if (!signal.aborted) log.warn({ claim: keyOf(claim), pod: keyOf(pod), err }, 'claim not released');
        }
      }
    });
  }
  /** Gives the devices of a claim back that only this Pod may use: others may serve it better. */
  deallocate(pod: Pod, claim: ResourceClaim): void {
    this.#undo(pod, (signal) => this.#writer.deallocate(claim, signal));
  }
  delete(pod: Pod, claim: ResourceClaim): void {
    this.#undo(pod, (signal) => this.#delete(claim, signal));
  }
  async #delete(claim: ResourceClaim, signal: AbortSignal): Promise<void> {
    await this.#writer.delete(claim, signal);
    this.#handle.dra.claims.forget(claim);
  }
  #drop(each: ClaimState): void {
    if (each.decided) this.#handle.dra.claims.removePending(each.decided.uid, each.claim);
    each.decided = undefined;
  }
  #undo(pod: Pod, work: (signal: AbortSignal) => Promise<void>): void {
    const uid = uidOf(pod);
    this.#handle.background(async (signal) => {
      const before = this.#undoing.get(uid);
      const done = (async () => {
        await before;
        await work(signal);
      })();
      const settled = done.catch(() => {}).then(() => {
        if (this.#undoing.get(uid) === settled) this.#undoing.delete(uid);
      });
      this.#undoing.set(uid, settled);
      await done;
    });
  }
}
