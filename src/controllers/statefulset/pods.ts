/** Creates, mends and deletes a StatefulSet's Pods with their claims, and tells of it in events on the set. */
import type { StatefulSet } from '#api/gen/apps-v1.ts';
import type { PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Client } from '#client/client.ts';
import type { EventRecorder } from '#client/events.ts';
import type { Informer } from '#client/informer.ts';
import { PERSISTENT_VOLUME_CLAIMS, PODS } from '#client/kinds.ts';
import { isReason, StatusError } from '#machinery/status-error.ts';
import { isGone, isNamespaceTerminating } from '../workload/pod-control.ts';
import { claimsFor, ordinalOf, withIdentity } from './identity.ts';
import { hasForeignController, isStale, ownersByPolicy } from './retention.ts';

export class StatefulPods {
  readonly #client: Client;
  readonly #recorder: EventRecorder;
  readonly #claims: Informer<PersistentVolumeClaim>;

  constructor(client: Client, recorder: EventRecorder, claims: Informer<PersistentVolumeClaim>) {
    this.#client = client;
    this.#recorder = recorder;
    this.#claims = claims;
  }
  async create(set: StatefulSet, pod: Pod, signal: AbortSignal): Promise<void> {
    try {
      await this.ensureClaims(set, pod, signal);
      const created = await this.#client.of(PODS).create(pod, { signal });
      this.#tell(set, 'create', pod);
      await this.applyRetention(set, created, signal);
    } catch (err) {
      // Created already, but not seen yet.
      if (isReason(err, 'AlreadyExists')) return;
      if (isNamespaceTerminating(err)) return;
      if (!signal.aborted) this.#tell(set, 'create', pod, err);
      throw err;
    }
  }
  async delete(set: StatefulSet, pod: Pod, signal: AbortSignal): Promise<void> {
    try {
      await this.#client.of(PODS).delete(namespaceOf(pod), nameOf(pod), { preconditions: { uid: uidOf(pod) } }, signal);
      this.#tell(set, 'delete', pod);
    } catch (err) {
      if (isGone(err)) return;
      if (!signal.aborted) this.#tell(set, 'delete', pod, err);
      throw err;
    }
  }
  /** Gives a Pod its labels and claims back. */
  async mend(set: StatefulSet, pod: Pod, signal: AbortSignal): Promise<void> {
    try {
      await this.ensureClaims(set, pod, signal);
      await this.#client.of(PODS).update(withIdentity(set, pod), { signal });
      this.#tell(set, 'update', pod);
    } catch (err) {
      if (!isGone(err) && !signal.aborted) this.#tell(set, 'update', pod, err);
      throw err;
    }
  }
  /** Creates the claims that are missing. Rejects while one is being deleted: the Pod must not start on it. */
  async ensureClaims(set: StatefulSet, pod: Pod, signal: AbortSignal): Promise<void> {
    for (const claim of claimsFor(set, ordinalOf(pod))) {
      const known = this.#claims.get(namespaceOf(claim), nameOf(claim));
      if (known?.metadata.deletionTimestamp !== undefined) throw new Error(`pvc ${nameOf(claim)} is being deleted`);
      if (!known) await this.#createClaim(set, pod, claim, signal);
    }
  }
  async #createClaim(set: StatefulSet, pod: Pod, claim: PersistentVolumeClaim, signal: AbortSignal): Promise<void> {
    try {
      await this.#client.of(PERSISTENT_VOLUME_CLAIMS).create(claim, { signal });
      this.#recorder.event(set, 'Normal', 'SuccessfulCreate', `Create Claim ${nameOf(claim)} Pod ${nameOf(pod)} in StatefulSet ${nameOf(set)} success`);
    } catch (err) {
      if (isReason(err, 'AlreadyExists')) return;
      const why = StatusError.from(err).message;
      if (!signal.aborted && !isNamespaceTerminating(err)) this.#recorder.event(set, 'Warning', 'FailedCreate', `Create Claim ${nameOf(claim)} for Pod ${nameOf(pod)} in StatefulSet ${nameOf(set)} failed error: ${why}`);
      throw isNamespaceTerminating(err) ? err : new Error(`failed to create PVC ${nameOf(claim)}: ${why}`, { cause: err });
    }
  }
  /** A claim that goes away with a former Pod of this name. */
  hasStaleClaim(set: StatefulSet, pod: Pod): boolean {
    return this.#claimsOf(set, pod).some((c) => isStale(c, pod));
  }
  retentionMatches(set: StatefulSet, pod: Pod): boolean {
    return this.#claimsOf(set, pod).every((c) => ownersByPolicy(set, pod, c) === undefined);
  }
  /** Makes the claims' owners what the retention policy asks for. */
  async applyRetention(set: StatefulSet, pod: Pod, signal: AbortSignal): Promise<void> {
    for (const claim of this.#claimsOf(set, pod)) {
      const ownerReferences = ownersByPolicy(set, pod, claim);
      if (hasForeignController(claim, set, pod)) {
        const message = `PersistentVolumeClaim ${namespaceOf(claim)}/${nameOf(claim)} has a conflicting OwnerReference that acts as a managing controller, the retention policy is ignored for this claim`;
        this.#recorder.event(set, 'Warning', 'ConflictingController', message);
      }
      if (ownerReferences) await this.#client.of(PERSISTENT_VOLUME_CLAIMS).update({ ...claim, metadata: { ...claim.metadata, ownerReferences } }, { signal });
    }
  }
  #claimsOf(set: StatefulSet, pod: Pod): PersistentVolumeClaim[] {
    return claimsFor(set, ordinalOf(pod)).map((c) => this.#claims.get(namespaceOf(c), nameOf(c))).filter((c) => c !== undefined);
  }
  #tell(set: StatefulSet, verb: 'create' | 'update' | 'delete', pod: Pod, err?: unknown): void {
    const reason = `${verb[0]!.toUpperCase()}${verb.slice(1)}`;
    const what = `${reason} Pod ${nameOf(pod)} in StatefulSet ${nameOf(set)}`;
    if (err === undefined) this.#recorder.event(set, 'Normal', `Successful${reason}`, `${what} successful`);
    else this.#recorder.event(set, 'Warning', `Failed${reason}`, `${what} failed error: ${err instanceof Error ? err.message : String(err)}`);
  }
}
