/** One reconcile of one Deployment: what it has read, and the writes that bring its ReplicaSets towards the template. */
import type { Deployment, DeploymentStatus, ReplicaSet } from '#api/gen/apps-v1.ts';
import type { Pod } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import type { Client } from '#client/client.ts';
import type { EventRecorder } from '#client/events.ts';
import { DEPLOYMENTS, REPLICA_SETS } from '#client/kinds.ts';
import { isReason, StatusError } from '#machinery/status-error.ts';
import { isControlledBy, newControllerRef } from '../workload/controller-ref.ts';
import { semanticEqual } from '#machinery/equality.ts';
import { templateHash } from '../workload/hash.ts';
import { isGone, isNamespaceTerminating } from '../workload/pod-control.ts';
import { isPodTerminal } from '../workload/pods.ts';
import { desiredReplicasOf, newSetAnnotations, REVISION, revisionOf, sizeAnnotations } from './annotations.ts';
import { conditionOf, newCondition, PAUSED, TIMED_OUT, withCondition } from './conditions.ts';
import {
  actualReplicas, availableReplicas, byCreation, byRevision, equalIgnoringHash, findActiveOrLatest, findNewSet, HASH_LABEL, isActive, isSaturated, replicasOf, specReplicas,
} from './replicasets.ts';
import { maxSurge, maxUnavailable, newSetReplicas, proportionalSizes } from './sizes.ts';
import { lastRevision, rollbackRevision, rolledBackTo, withoutRollback } from './rollback.ts';
import { deploymentStatus, hasProgressDeadline, isComplete, rolloutStatus } from './status.ts';

/** `revisionHistoryLimit: 2147483647` keeps every set. */
const KEEP_ALL = 2_147_483_647;

export interface RolloutOptions {
  readonly client: Client;
  readonly recorder: EventRecorder;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Pods of a ReplicaSet, by its UID. */
  podsOf(uid: string): readonly Pod[];
}

export class Rollout {
  /** As last written: {@link Rollout} replaces it after each write of its own. */
  deployment: Deployment;
  readonly #options: RolloutOptions;
  #newSet: ReplicaSet | undefined;
  #old: readonly ReplicaSet[];

  /** `sets` are those that the Deployment has claimed. */
  constructor(deployment: Deployment, sets: readonly ReplicaSet[], options: RolloutOptions) {
    this.deployment = deployment;
    this.#options = options;
    this.#newSet = findNewSet(deployment, sets);
    this.#old = sets.filter((rs) => rs !== this.#newSet);
  }
  get #all(): readonly ReplicaSet[] {
    return this.#newSet ? [...this.#old, this.#newSet] : this.#old;
  }

  /** Does what is due now. The status is written last. */
  async run(): Promise<void> {
    if (this.deployment.metadata.deletionTimestamp !== undefined) return await this.#syncStatus(deploymentStatus);
    await this.#notePause();
    if (this.deployment.spec.paused) return await this.#scaleOnly();
    const revision = rollbackRevision(this.deployment);
    if (revision !== undefined) return await this.#rollBack(revision);
    if (this.#wasScaled()) return await this.#scaleOnly();
    return this.deployment.spec.strategy?.type === 'Recreate' ? await this.#recreate() : await this.#roll();
  }

  /** Progress does not count against the deadline while the Deployment is paused. */
  async #notePause(): Promise<void> {
    if (!hasProgressDeadline(this.deployment)) return;
    const { conditions = [] } = this.deployment.status ?? {};
    const reason = conditionOf(conditions, 'Progressing')?.reason;
    const paused = this.deployment.spec.paused ?? false;
    if (reason === TIMED_OUT || paused === (reason === PAUSED)) return;
    const condition = paused
      ? newCondition('Progressing', 'Unknown', PAUSED, 'Deployment is paused', this.#options.clock.now())
      : newCondition('Progressing', 'Unknown', 'DeploymentResumed', 'Deployment is resumed', this.#options.clock.now());
    await this.#writeStatus({ ...this.deployment.status, conditions: withCondition(conditions, condition) });
  }
  #wasScaled(): boolean {
    return this.#all.filter(isActive).some((rs) => {
      const desired = desiredReplicasOf(rs);
      return desired !== undefined && desired !== replicasOf(this.deployment);
    });
  }

  /** Takes the template of an earlier revision, and takes back that this was asked for; the rest follows from the new template. */
  async #rollBack(asked: bigint): Promise<void> {
    await this.#ensureNewSet();
    const { recorder, signal } = this.#options;
    const revision = asked === 0n ? lastRevision(this.#all) : asked;
    const set = revision === 0n ? undefined : this.#all.find((rs) => revisionOf(rs) === revision);
    const name = nameOf(this.deployment);
    const differs = set && !equalIgnoringHash(set.spec.template, this.deployment.spec.template);
    if (!set) recorder.event(this.deployment, 'Warning', 'DeploymentRollbackRevisionNotFound', revision === 0n ? 'Unable to find last revision.' : 'Unable to find the revision to rollback to.');
    else if (!differs) recorder.event(this.deployment, 'Warning', 'DeploymentRollbackTemplateUnchanged', `The rollback revision contains the same template as current deployment "${name}"`);
    this.deployment = await this.#deployments().update(withoutRollback(differs ? rolledBackTo(this.deployment, set) : this.deployment), { signal });
    if (differs) recorder.event(this.deployment, 'Normal', 'DeploymentRollback', `Rolled back deployment "${name}" to revision ${revision}`);
  }
  async #scaleOnly(): Promise<void> {
    await this.#syncRevision();
    await this.#scale();
    if (this.deployment.spec.paused) await this.#cleanUp();
    await this.#syncStatus(deploymentStatus);
  }
  async #scale(): Promise<void> {
    const single = findActiveOrLatest(this.#newSet, this.#old);
    if (single) {
      await this.#resize(single, replicasOf(this.deployment));
    } else if (isSaturated(this.deployment, this.#newSet)) {
      for (const rs of this.#old.filter(isActive)) await this.#resize(rs, 0);
    } else if (this.deployment.spec.strategy?.type === 'RollingUpdate') {
      for (const [rs, size] of proportionalSizes(this.deployment, this.#all)) await this.#resize(rs, size);
    }
  }

  async #roll(): Promise<void> {
    await this.#ensureNewSet();
    const moved = (await this.#growNewSet()) || (await this.#shrinkOldSets());
    if (!moved && isComplete(this.deployment, this.deployment.status ?? {})) await this.#cleanUp();
    await this.#syncStatus(rolloutStatus);
  }
  async #growNewSet(): Promise<boolean> {
    const rs = this.#newSet;
    if (!rs || replicasOf(rs) === replicasOf(this.deployment)) return false;
    const size = replicasOf(rs) > replicasOf(this.deployment) ? replicasOf(this.deployment) : newSetReplicas(this.deployment, this.#all, replicasOf(rs));
    return size !== replicasOf(rs) && (await this.#resize(rs, size));
  }
  /** Takes from the old sets what availability allows: first Pods that are not available anyway. */
  async #shrinkOldSets(): Promise<boolean> {
    if (specReplicas(this.#old) === 0) return false;
    const minAvailable = replicasOf(this.deployment) - maxUnavailable(this.deployment);
    const rs = this.#newSet;
    const newUnavailable = rs ? replicasOf(rs) - (rs.status?.availableReplicas ?? 0) : 0;
    const removable = specReplicas(this.#all) - minAvailable - newUnavailable;
    if (removable <= 0) return false;
    const unhealthy = await this.#shrinkEach(removable, (old) => Math.max(0, replicasOf(old) - (old.status?.availableReplicas ?? 0)));
    const healthy = await this.#shrinkEach(availableReplicas(this.#all) - minAvailable, replicasOf);
    return unhealthy + healthy > 0;
  }
  async #shrinkEach(most: number, removable: (rs: ReplicaSet) => number): Promise<number> {
    let removed = 0;
    for (const rs of this.#old.filter(isActive).toSorted(byCreation)) {
      const count = Math.min(most - removed, removable(rs));
      if (count <= 0) continue;
      await this.#resize(rs, replicasOf(rs) - count);
      removed += count;
    }
    return removed;
  }

  async #recreate(): Promise<void> {
    await this.#syncRevision();
    const active = this.#old.filter(isActive);
    for (const rs of active) await this.#resize(rs, 0);
    if (active.length || this.#oldPodsRun()) return await this.#syncStatus(rolloutStatus);
    await this.#ensureNewSet();
    if (this.#newSet) await this.#resize(this.#newSet, replicasOf(this.deployment));
    if (isComplete(this.deployment, this.deployment.status ?? {})) await this.#cleanUp();
    await this.#syncStatus(rolloutStatus);
  }
  #oldPodsRun(): boolean {
    if (actualReplicas(this.#old) > 0) return true;
    return this.#old.some((rs) => this.#options.podsOf(uidOf(rs)).some((pod) => !isPodTerminal(pod)));
  }

  /** The newest set's annotations and the Deployment's revision follow each other. */
  async #syncRevision(): Promise<void> {
    const { deployment } = this;
    const rs = this.#newSet;
    if (!rs) return;
    const before = rs.metadata.annotations ?? {};
    const annotations = newSetAnnotations(deployment, before, this.#nextRevision());
    const minReadySeconds = deployment.spec.minReadySeconds ?? 0;
    if (!semanticEqual(before, annotations) || (rs.spec.minReadySeconds ?? 0) !== minReadySeconds) {
      this.#replace(rs, await this.#sets().update({ ...rs, metadata: { ...rs.metadata, annotations }, spec: { ...rs.spec, minReadySeconds } }, { signal: this.#options.signal }));
    }
    const conditions = deployment.status?.conditions ?? [];
    const found = newCondition('Progressing', 'True', 'FoundNewReplicaSet', `Found new replica set "${nameOf(rs)}"`, this.#options.clock.now());
    const isNews = hasProgressDeadline(deployment) && conditionOf(conditions, 'Progressing') === undefined;
    await this.#writeRevision(annotations[REVISION], isNews ? { ...deployment.status, conditions: withCondition(conditions, found) } : undefined);
  }
  #nextRevision(): bigint {
    return this.#old.map(revisionOf).reduce((max, revision) => (revision > max ? revision : max), 0n) + 1n;
  }
  /** Writes the Deployment's revision, and the status with it, where either is new. */
  async #writeRevision(revision: string | undefined, status: DeploymentStatus | undefined): Promise<void> {
    const { metadata } = this.deployment;
    const same = revision === undefined || metadata.annotations?.[REVISION] === revision;
    if (same && !status) return;
    const annotations = same ? metadata.annotations : { ...metadata.annotations, [REVISION]: revision };
    this.deployment = await this.#deployments().updateStatus(
      { ...this.deployment, metadata: { ...metadata, ...(annotations ? { annotations } : {}) }, ...(status ? { status } : {}) }, { signal: this.#options.signal });
  }

  async #ensureNewSet(): Promise<void> {
    if (this.#newSet) return await this.#syncRevision();
    const { deployment } = this;
    const rs = this.#describeNewSet();
    const size = replicasOf(rs);
    const created = await this.#create(rs);
    if (!created) return;
    this.#newSet = created.set;
    if (created.fresh && size > 0) this.#options.recorder.event(deployment, 'Normal', 'ScalingReplicaSet', `Scaled up replica set ${nameOf(created.set)} from 0 to ${size}`);
    const conditions = deployment.status?.conditions ?? [];
    const condition = newCondition('Progressing', 'True', 'NewReplicaSetCreated', `Created new replica set "${nameOf(created.set)}"`, this.#options.clock.now());
    const tell = created.fresh && hasProgressDeadline(deployment);
    await this.#writeRevision(created.set.metadata.annotations?.[REVISION], tell ? { ...deployment.status, conditions: withCondition(conditions, condition) } : undefined);
  }
  #describeNewSet(): ReplicaSet {
    const { deployment } = this;
    const { template, selector, minReadySeconds } = deployment.spec;
    const hash = templateHash(template, deployment.status?.collisionCount);
    const labels = { ...template.metadata?.labels, [HASH_LABEL]: hash };
    const annotations = newSetAnnotations(deployment, {}, this.#nextRevision());
    return {
      metadata: {
        name: `${nameOf(deployment)}-${hash}`, namespace: namespaceOf(deployment), labels, ownerReferences: [newControllerRef(deployment, DEPLOYMENTS)],
        annotations: { ...annotations, ...this.#sizeAnnotations() },
      },
      spec: {
        replicas: newSetReplicas(deployment, this.#all, 0), ...(minReadySeconds ? { minReadySeconds } : {}),
        selector: { ...selector, matchLabels: { ...selector.matchLabels, [HASH_LABEL]: hash } },
        template: { ...template, metadata: { ...template.metadata, labels } },
      },
    };
  }
  #sizeAnnotations(): Readonly<Record<string, string>> {
    const want = replicasOf(this.deployment);
    return sizeAnnotations(want, want + maxSurge(this.deployment));
  }
  /** Undefined in a namespace that ends. */
  async #create(rs: ReplicaSet): Promise<{ set: ReplicaSet; fresh: boolean } | undefined> {
    try {
      return { set: await this.#sets().create(rs, { signal: this.#options.signal }), fresh: true };
    } catch (err) {
      if (isNamespaceTerminating(err)) return undefined;
      if (isReason(err, 'AlreadyExists')) return { set: await this.#adoptNamesake(rs, err), fresh: false };
      await this.#tellCreateError(rs, StatusError.from(err).message);
      throw err;
    }
  }
  /** The set that has the name may be ours, not yet seen. Any other is a collision of hashes: the next try has another hash. */
  async #adoptNamesake(rs: ReplicaSet, exists: unknown): Promise<ReplicaSet> {
    const live = await this.#sets().get(namespaceOf(rs), nameOf(rs), this.#options.signal);
    if (isControlledBy(live, this.deployment) && equalIgnoringHash(live.spec.template, rs.spec.template)) return live;
    const { status } = this.deployment;
    await this.#writeStatus({ ...status, collisionCount: (status?.collisionCount ?? 0) + 1 });
    throw exists;
  }
  async #tellCreateError(rs: ReplicaSet, why: string): Promise<void> {
    const { deployment } = this;
    const message = `Failed to create new replica set "${nameOf(rs)}": ${why}`;
    if (this.#options.signal.aborted) return;
    this.#options.recorder.event(deployment, 'Warning', 'ReplicaSetCreateError', message);
    if (!hasProgressDeadline(deployment)) return;
    const condition = newCondition('Progressing', 'False', 'ReplicaSetCreateError', message, this.#options.clock.now());
    await this.#writeStatus({ ...deployment.status, conditions: withCondition(deployment.status?.conditions ?? [], condition) });
  }

  /** True when the size changed. The annotations of a set always tell the Deployment's size when it was last looked at. */
  async #resize(rs: ReplicaSet, size: number): Promise<boolean> {
    const before = rs.metadata.annotations ?? {};
    const annotations = { ...before, ...this.#sizeAnnotations() };
    const from = replicasOf(rs);
    if (from === size && semanticEqual(before, annotations)) return false;
    this.#replace(rs, await this.#sets().update({ ...rs, metadata: { ...rs.metadata, annotations }, spec: { ...rs.spec, replicas: size } }, { signal: this.#options.signal }));
    if (from === size) return false;
    this.#options.recorder.event(this.deployment, 'Normal', 'ScalingReplicaSet', `Scaled ${size > from ? 'up' : 'down'} replica set ${nameOf(rs)} from ${from} to ${size}`);
    return true;
  }
  /** Deletes the oldest sets beyond the history limit that have no Pods. */
  async #cleanUp(): Promise<void> {
    const limit = this.deployment.spec.revisionHistoryLimit;
    if (limit === undefined || limit === KEEP_ALL) return;
    const alive = this.#old.filter((rs) => rs.metadata.deletionTimestamp === undefined).toSorted(byRevision);
    for (const rs of alive.slice(0, Math.max(0, alive.length - limit))) {
      const settled = (rs.status?.observedGeneration ?? 0) >= (rs.metadata.generation ?? 0);
      if ((rs.status?.replicas ?? 0) !== 0 || isActive(rs) || !settled) continue;
      await this.#sets().delete(namespaceOf(rs), nameOf(rs), { preconditions: { uid: uidOf(rs) } }, this.#options.signal).catch((err: unknown) => {
        if (!isGone(err)) throw err;
      });
    }
  }

  async #syncStatus(compute: typeof rolloutStatus): Promise<void> {
    const status = compute(this.deployment, this.#newSet, this.#all, this.#options.clock.now());
    if (!semanticEqual(status, this.deployment.status)) await this.#writeStatus(status);
  }
  async #writeStatus(status: DeploymentStatus): Promise<void> {
    this.deployment = await this.#deployments().updateStatus({ ...this.deployment, status }, { signal: this.#options.signal });
  }
  #replace(before: ReplicaSet, after: ReplicaSet): void {
    if (this.#newSet === before) this.#newSet = after;
    else this.#old = this.#old.map((rs) => (rs === before ? after : rs));
  }
  #sets() {
    return this.#options.client.of(REPLICA_SETS);
  }
  #deployments() {
    return this.#options.client.of(DEPLOYMENTS);
  }
}
