/** Binds delayed claims for a Pod: assumes in memory at once, then writes and waits for the controller of volumes to do its part. */
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { draftOf } from '#base/draft.ts';
import { PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES } from '#client/kinds.ts';
import type { FrameworkHandle } from '../framework/handle.ts';
import { onChangeOf, until } from '../framework/until.ts';
import { isFullyBound, SELECTED_NODE } from './volume-claims.ts';
import { volumeFitsNode } from './volume-matching.ts';

const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller';
const BIND_TIMEOUT_MS = 600_000;

export interface NodeVolumes {
  readonly bindings: readonly { readonly volume: PersistentVolume; readonly claim: PersistentVolumeClaim }[];
  /** Claims that a volume is to be made for. */
  readonly provisions: readonly PersistentVolumeClaim[];
}
interface Assumption {
  readonly volumes: readonly PersistentVolume[];
  /** Keys of claims, with the node that is selected for them. */
  readonly selected: ReadonlyMap<string, string>;
}

function withClaim(volume: PersistentVolume, claim: PersistentVolumeClaim): PersistentVolume {
  const bound = draftOf(volume);
  if (!bound.spec!.claimRef) bound.metadata.annotations = { ...bound.metadata.annotations, [BOUND_BY_CONTROLLER]: 'yes' };
  const { uid, resourceVersion } = claim.metadata;
  bound.spec = { ...bound.spec, claimRef: { apiVersion: 'v1', kind: 'PersistentVolumeClaim', namespace: namespaceOf(claim), name: nameOf(claim), uid, resourceVersion } };
  return bound;
}

export class VolumeBinder {
  readonly #handle: Pick<FrameworkHandle, 'client' | 'clock' | 'listers'>;
  /** By uid of the Pod. */
  readonly #assumed = new Map<string, Assumption>();

  constructor(handle: Pick<FrameworkHandle, 'client' | 'clock' | 'listers'>) {
    this.#handle = handle;
  }
  /** All volumes, those that are assumed to have a claim as if they had it. */
  volumes(): readonly PersistentVolume[] {
    const all = this.#handle.listers.persistentVolumes.list();
    if (this.#assumed.size === 0) return all;
    const assumed = new Map(this.#assumed.values().flatMap((a) => a.volumes.map((v) => [nameOf(v), v] as const)));
    return all.map((v) => (v.spec?.claimRef ? v : (assumed.get(nameOf(v)) ?? v)));
  }
  /** The node that a volume is being made for, or will be. */
  selectedNode(claim: PersistentVolumeClaim): string | undefined {
    const key = keyOf(claim);
    for (const { selected } of this.#assumed.values()) if (selected.has(key)) return selected.get(key);
    return claim.metadata.annotations?.[SELECTED_NODE];
  }
  assume(podUid: string, { bindings, provisions }: NodeVolumes, nodeName: string): void {
    this.#assumed.set(podUid, { volumes: bindings.map((b) => withClaim(b.volume, b.claim)), selected: new Map(provisions.map((c) => [keyOf(c), nodeName])) });
  }
  forget(podUid: string): void {
    this.#assumed.delete(podUid);
  }

  /** Resolves when all claims are bound. Rejects where that fails, or takes longer than ten minutes; the Pod must then be scheduled anew. */
  async bind(pod: Pod, { bindings, provisions }: NodeVolumes, nodeName: string, signal: AbortSignal): Promise<void> {
    const { client } = this.#handle;
    for (const { volume, claim } of bindings) await client.of(PERSISTENT_VOLUMES).update(withClaim(volume, claim), { signal });
    for (const claim of provisions) {
      if (claim.metadata.annotations?.[SELECTED_NODE] === nodeName) continue;
      // The resourceVersion guards against a claim that has got a volume meanwhile.
      const patch = { metadata: { resourceVersion: claim.metadata.resourceVersion, annotations: { [SELECTED_NODE]: nodeName } } };
      await client.of(PERSISTENT_VOLUME_CLAIMS).patch(namespaceOf(claim), nameOf(claim), 'application/merge-patch+json', patch, { signal });
    }
    const written = new Set(provisions.map(keyOf));
    const { clock, listers } = this.#handle;
    const watch = [onChangeOf(listers.persistentVolumeClaims), onChangeOf(listers.persistentVolumes), (check: () => void) => listers.pods.addHandler({ onDelete: check })];
    try {
      await until({ clock, timeoutMs: BIND_TIMEOUT_MS, watch, isDone: () => this.#isDone(pod, bindings, provisions, nodeName, written) }, signal);
    } catch (err) {
      throw new Error(`binding volumes: ${(err as Error).message}`, { cause: err });
    }
  }

  /** Throws where it will never be. `unseen` are claims whose own write has not come back yet. */
  #isDone(pod: Pod, bindings: NodeVolumes['bindings'], provisions: NodeVolumes['provisions'], nodeName: string, unseen: Set<string>): boolean {
    const { listers } = this.#handle;
    const now = listers.pods.get(namespaceOf(pod), nameOf(pod));
    if (!now || uidOf(now) !== uidOf(pod)) throw new Error(`pod does not exist any more: pod ${JSON.stringify(nameOf(pod))} not found`);
    const node = listers.nodes.get('', nodeName);
    if (!node) throw new Error(`failed to get node ${JSON.stringify(nodeName)}: node ${JSON.stringify(nodeName)} not found`);
    let done = true;
    for (const { claim } of bindings) if (!isFullyBound(this.#claim(claim, 'failed to check binding'))) done = false;
    for (const claim of provisions) {
      const current = this.#claim(claim, 'failed to check provisioning pvc');
      const selected = current.metadata.annotations?.[SELECTED_NODE];
      if (selected === nodeName) unseen.delete(keyOf(claim));
      else if (!unseen.has(keyOf(claim))) throw new Error(`provisioning failed for PVC ${JSON.stringify(nameOf(claim))}`);
      this.#checkVolume(current, node);
      if (!isFullyBound(current)) done = false;
    }
    return done;
  }
  #claim(claim: PersistentVolumeClaim, doing: string): PersistentVolumeClaim {
    const current = this.#handle.listers.persistentVolumeClaims.get(namespaceOf(claim), nameOf(claim));
    if (!current || uidOf(current) !== uidOf(claim)) throw new Error(`${doing}: could not find v1.PersistentVolumeClaim ${JSON.stringify(keyOf(claim))}`);
    return current;
  }
  #checkVolume(claim: PersistentVolumeClaim, node: Node): void {
    const volume = claim.spec.volumeName ? this.#handle.listers.persistentVolumes.get('', claim.spec.volumeName) : undefined;
    if (volume && !volumeFitsNode(volume, node)) {
      throw new Error(`pv ${JSON.stringify(nameOf(volume))} node affinity doesn't match node ${JSON.stringify(nameOf(node))}: no matching NodeSelectorTerms`);
    }
  }
}
