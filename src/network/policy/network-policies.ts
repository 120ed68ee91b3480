/**
 * Enforces NetworkPolicies on the Pods of this node, by rules of an nftables table that is there only while a policy selects one of them. Rules stay when the
 * process ends, as Pods do. Connections that are established when a policy comes stay. Upstream leaves this to network plugins.
 *
 * ```
 *   NetworkPolicies ──▶ the first one ──▶ Pods and Namespaces of the cluster ──▶ PolicyState ──▶ script ──▶ one transaction of nft
 *   kubelet: a Pod has its address ──▶ isolate ──▶ the rules about it are in force ──▶ its containers start
 * ```
 */
import type { Namespace, Pod } from '#api/gen/core-v1.ts';
import type { NetworkPolicy } from '#api/gen/networking-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import { abortable } from '#base/abort.ts';
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { applyNft } from '#base/nft.ts';
import type { Client } from '#client/client.ts';
import { Informer } from '#client/informer.ts';
import { NAMESPACES, NETWORK_POLICIES, PODS } from '#client/kinds.ts';
import { Reconciler } from '#client/reconciler.ts';
import { filterBridgedPackets } from '../bridge-filter.ts';
import { compilePolicy } from './compiled-policy.ts';
import { littlePod, policyPodOf } from './policy-pod.ts';
import { PolicyState } from './policy-state.ts';

const log = logger('network-policy');
const KEY = 'table';

export interface NetworkPoliciesOptions {
  readonly client: Client;
  readonly clock: Clock;
  readonly nodeName: string;
  /** The address of the cluster's DNS Service, which Pods reach whatever policies say. */
  readonly dnsIP: string;
  /** Name of the nftables table, of this node alone. */
  readonly table: string;
  /** Told of each change made to the host, before it is made, so that it can be undone. */
  recordChange(kind: 'nft-table', id: string): void | Promise<void>;
  /** Told when a change is undone. */
  forgetChange(kind: 'nft-table', id: string): void | Promise<void>;
  /** Path of a network namespace that the rules go to. Default: the process's own. */
  readonly netns?: string | undefined;
}

/** What is kept of each Namespace. */
function littleNamespace({ apiVersion, kind, metadata: { name, uid, resourceVersion, labels }, spec }: Namespace): Namespace {
  return { apiVersion, kind, metadata: { name, uid, resourceVersion, labels }, spec };
}

export class NetworkPolicies implements Component {
  readonly name = 'network-policy';
  readonly #options: NetworkPoliciesOptions;
  readonly #policies: Informer<NetworkPolicy>;
  readonly #namespaces: Informer<Namespace>;
  readonly #pods: Informer<Pod>;
  readonly #state: PolicyState;
  readonly #reconciler: Reconciler;
  /** Addresses that the API does not know yet, with their Pods as the kubelet has them: at most one for each address of the node. */
  readonly #early = new Map<string, { readonly pod: Pod; readonly podIP: string }>();
  #waiting: (() => void)[] = [];
  #bridgeIsTold = false;

  constructor(options: NetworkPoliciesOptions) {
    this.#options = options;
    const { client, clock, table, dnsIP } = options;
    this.#policies = new Informer(client, NETWORK_POLICIES, clock);
    this.#namespaces = new Informer(client, NAMESPACES, clock, {}, littleNamespace);
    this.#pods = new Informer(client, PODS, clock, {}, littlePod);
    this.#state = new PolicyState(`ip ${table}`, dnsIP);
    // One worker: all that changed while a transaction ran goes into the next.
    this.#reconciler = new Reconciler({
      name: this.name, clock, logger: log, workers: 1, baseDelayMs: 100, maxDelayMs: 30_000,
      reconcile: async (_key, signal) => {
        await this.#sync(signal);
        return undefined;
      },
    });
  }

  /** Resolves at once: who must not run unprotected waits for {@link isolate}. */
  start(): Promise<void> {
    const touch = (): void => this.#reconciler.queue.add(KEY);
    const policy = (p: NetworkPolicy): void => {
      this.#state.setPolicy(keyOf(p), compilePolicy(p));
      this.#pods.start();
      this.#namespaces.start();
      touch();
    };
    this.#policies.addHandler({ onAdd: policy, onUpdate: (_, p) => policy(p), onDelete: (p) => (this.#state.setPolicy(keyOf(p), undefined), touch()) });
    const namespace = (n: Namespace): void => (this.#state.setNamespace(nameOf(n), n.metadata.labels ?? {}), touch());
    this.#namespaces.addHandler({ onAdd: namespace, onUpdate: (_, n) => namespace(n), onDelete: (n) => (this.#state.setNamespace(nameOf(n), undefined), touch()) });
    const pod = (p: Pod): void => void (this.#setPod(keyOf(p)) && touch());
    this.#pods.addHandler({
      onAdd: pod, onUpdate: (_, p) => pod(p),
      onDelete: (p) => {
        const early = this.#early.get(keyOf(p));
        if (early && uidOf(early.pod) === uidOf(p)) this.#early.delete(keyOf(p));
        pod(p);
      },
    });
    for (const informer of [this.#policies, this.#namespaces, this.#pods]) void informer.synced.then(touch);
    this.#policies.start();
    this.#reconciler.start();
    return Promise.resolve();
  }
  async stop(): Promise<void> {
    await Promise.all([this.#policies, this.#namespaces, this.#pods].map((i) => i.stop()));
    await this.#reconciler.stop();
  }

  /**
   * Resolves when the rules that isolate the Pod are in force, at once for one that no policy selects; waits until the policies are known. `podIP` is the address that
   * the Pod has just been given on this node, before the API knows of it. Rejects when the signal aborts.
   */
  async isolate(pod: Pod, podIP: string, signal: AbortSignal): Promise<void> {
    await abortable(this.#policies.synced, signal);
    // Whoever had the address has it no more.
    for (const [key, early] of this.#early) if (early.podIP === podIP && this.#early.delete(key)) this.#setPod(key);
    if (pod.spec.hostNetwork || !this.#state.isSelected({ namespace: namespaceOf(pod), labels: pod.metadata.labels ?? {} })) return;
    this.#early.set(keyOf(pod), { pod, podIP });
    this.#setPod(keyOf(pod));
    const inForce = Promise.withResolvers<void>();
    this.#waiting.push(inForce.resolve);
    this.#reconciler.queue.add(KEY);
    await abortable(inForce.promise, signal);
  }

  /** Takes a Pod as it is now; false where nothing of it is new to the policies. */
  #setPod(key: string): boolean {
    const { nodeName } = this.#options;
    const pod = this.#pods.getByKey(key);
    if (pod?.status?.podIP !== undefined && pod.status.podIP === this.#early.get(key)?.podIP) this.#early.delete(key);
    const early = this.#early.get(key);
    const known = pod ?? early?.pod;
    return this.#state.setPod(key, known && policyPodOf(known, nodeName, early?.podIP));
  }
  /** Whether all is known that the rules are made of. */
  get #isKnown(): boolean {
    return this.#policies.hasSynced && (this.#state.policies === 0 || (this.#pods.hasSynced && this.#namespaces.hasSynced));
  }
  async #sync(signal: AbortSignal): Promise<void> {
    if (!this.#isKnown) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    try {
      await this.#apply(this.#state.change(), signal);
    } catch (err) {
      this.#waiting.unshift(...waiting);
      throw err;
    }
    for (const resolve of waiting) resolve();
  }
  async #apply(script: string, signal: AbortSignal): Promise<void> {
    if (script === '') return;
    const { table, netns, clock, recordChange, forgetChange } = this.#options;
    const { isInForce } = this.#state;
    if (isInForce) {
      await recordChange('nft-table', `ip ${table}`);
      await this.#filterBridge();
    }
    const began = clock.monotonic();
    await applyNft(script, { netns, signal });
    this.#state.applied();
    log.debug({ policies: this.#state.policies, bytes: script.length, ms: Math.round(clock.monotonic() - began) }, 'Rules of policies applied');
    if (!isInForce) await forgetChange('nft-table', `ip ${table}`);
  }
  async #filterBridge(): Promise<void> {
    if (this.#options.netns !== undefined) return;
    await filterBridgedPackets().catch((err: unknown) => {
      if (!this.#bridgeIsTold) log.warn({ err }, 'Policies do not keep Pods of this node from each other: the kernel does not filter what passes a bridge');
      this.#bridgeIsTold = true;
    });
  }
}
