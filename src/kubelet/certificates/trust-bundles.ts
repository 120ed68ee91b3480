/**
 * Trust anchors for projected volumes, from ClusterTrustBundles that are chosen by name or by signer and labels (KEP-3257). The bundles
 * are watched from the first Pod on that wants some. Upstream's counterpart: the kubelet's clustertrustbundle manager.
 */
import { createHmac, randomBytes } from 'node:crypto';
import type { ClusterTrustBundle } from '#api/gen/certificates-v1beta1.ts';
import type { ClusterTrustBundleProjection } from '#api/gen/core-v1.ts';
import { abortable, within } from '#base/abort.ts';
import type { Clock } from '#base/clock.ts';
import type { Client } from '#client/client.ts';
import { Informer } from '#client/informer.ts';
import { CLUSTER_TRUST_BUNDLES } from '#client/kinds.ts';
import { pemBlocks, pemText } from '#machinery/pem.ts';
import { labelMatcherOf } from '#machinery/selectors.ts';

const SYNC_TIMEOUT_MS = 1000;

export class TrustBundles {
  readonly #client: Client;
  readonly #clock: Clock;
  /** Pods that have asked. */
  readonly #pods = new Set<string>();
  /** Nobody is to rely on the order of anchors: it is another one in each process, and the same all through it. */
  readonly #orderKey = randomBytes(16);
  #informer: Informer<ClusterTrustBundle> | undefined;
  #listener: (uid: string) => void = () => {};

  constructor(client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }
  /** Called with the uid of each Pod that has asked, when a bundle changes. */
  onChange(listener: (uid: string) => void): void {
    this.#listener = listener;
  }
  /** PEM of the anchors that a projection chooses, each once. Rejects when there are none and it is not optional. */
  async anchors(uid: string, projection: ClusterTrustBundleProjection, signal: AbortSignal): Promise<string> {
    this.#pods.add(uid);
    const informer = (this.#informer ??= this.#watch());
    await abortable(within(this.#clock, SYNC_TIMEOUT_MS, informer.synced, () => new Error('ClusterTrustBundle informer has not yet synced')), signal);
    const { name, signerName } = projection;
    if (name === undefined && signerName === undefined) throw new Error('ClusterTrustBundle projection requires either name or signerName to be set');
    const chosen = name === undefined ? this.#bySigner(informer, signerName!, projection) : this.#byName(informer, name, projection);
    return this.#normalised(chosen);
  }
  forget(uid: string): void {
    this.#pods.delete(uid);
  }
  async stop(): Promise<void> {
    await this.#informer?.stop();
  }

  #watch(): Informer<ClusterTrustBundle> {
    const informer = new Informer(this.#client, CLUSTER_TRUST_BUNDLES, this.#clock);
    const tell = (): void => this.#pods.forEach((uid) => this.#listener(uid));
    informer.addHandler({ onAdd: () => informer.hasSynced && tell(), onUpdate: tell, onDelete: tell });
    informer.start();
    return informer;
  }
  #byName(informer: Informer<ClusterTrustBundle>, name: string, { optional }: ClusterTrustBundleProjection): readonly ClusterTrustBundle[] {
    const found = informer.get('', name);
    if (!found && !optional) throw new Error(`while getting ClusterTrustBundle: clustertrustbundle.certificates.k8s.io ${JSON.stringify(name)} not found`);
    return found ? [found] : [];
  }
  #bySigner(informer: Informer<ClusterTrustBundle>, signerName: string, { labelSelector, optional }: ClusterTrustBundleProjection): readonly ClusterTrustBundle[] {
    // No selector selects nothing, an empty one everything.
    const matcher = labelMatcherOf(labelSelector);
    const found = informer.list().filter((b) => b.spec.signerName === signerName && matcher.matches(b.metadata.labels ?? {}));
    if (found.length === 0 && !optional) throw new Error('combination of signerName and labelSelector matched zero ClusterTrustBundles');
    return found;
  }
  #normalised(bundles: readonly ClusterTrustBundle[]): string {
    const anchors = new Map<string, Buffer>();
    for (const { bytes } of bundles.flatMap((b) => pemBlocks(b.spec.trustBundle))) anchors.set(createHmac('sha256', this.#orderKey).update(bytes).digest('hex'), bytes);
    return [...anchors.keys()].toSorted().map((key) => pemText('CERTIFICATE', anchors.get(key)!)).join('');
  }
}
