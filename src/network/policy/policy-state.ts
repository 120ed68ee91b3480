/**
 * The Pods, namespaces and policies of a cluster as one node sees them, and the scripts that keep its table as they say. A change of one Pod is looked at
 * against the policies alone; only a change of a policy, or of what is in force here, is looked at against all Pods. Does no input or output.
 *
 * ```
 *   setPolicy, setPod, setNamespace ──▶ what has changed ──▶ policies in force (they select a Pod of this node) ──▶ rules ──▶ script
 * ```
 */
import { NOTHING, RuleSet, type Rendered } from '#base/nft-rule-set.ts';
import type { Labels } from '#machinery/selectors.ts';
import { selects, type CompiledPolicy } from './compiled-policy.ts';
import { Memberships, type Member } from './memberships.ts';
import type { PolicyPod } from './policy-pod.ts';
import { membersOf, renderIsolated, renderPolicy } from './policy-rules.ts';
import { emptyPolicyTable, noPolicyTable } from './policy-table.ts';

const podOwner = (key: string): string => `pod ${key}`;
const policyOwner = (key: string): string => `policy ${key}`;

export class PolicyState {
  readonly #table: string;
  readonly #dnsIP: string;
  readonly #policies = new Map<string, CompiledPolicy>();
  readonly #namespaces = new Map<string, Labels>();
  readonly #pods = new Map<string, PolicyPod>();
  readonly #podsOfNamespace = new Map<string, Set<string>>();
  /** Pods by address. */
  readonly #claims = new Map<string, Set<string>>();
  /** Policies that select Pods of this node, in a fixed order, and these Pods. */
  #inForce = new Map<string, CompiledPolicy>();
  readonly #selected = new Map<string, Set<string>>();
  readonly #changedPods = new Set<string>();
  readonly #changedPolicies = new Set<string>();
  readonly #rules: RuleSet;
  readonly #memberships: Memberships;
  /** Names of the policies' sets. */
  readonly #sets = new Set<string>();
  /** What the kernel has: nothing, a table that the rules tell of, or something unknown. */
  #kernel: 'none' | 'table' | 'unknown' = 'unknown';

  /** `table` with its family. `dnsIP`: the address of the cluster's DNS Service. */
  constructor(table: string, dnsIP: string) {
    this.#table = table;
    this.#dnsIP = dnsIP;
    this.#rules = new RuleSet(table);
    this.#memberships = new Memberships(table);
  }
  get policies(): number {
    return this.#policies.size;
  }
  /** Whether a policy is about a Pod like this one. */
  isSelected(pod: { readonly namespace: string; readonly labels: Labels }): boolean {
    return this.#policies.values().some((policy) => selects(policy, pod));
  }
  setPolicy(key: string, policy: CompiledPolicy | undefined): void {
    if (policy) this.#policies.set(key, policy);
    else this.#policies.delete(key);
    this.#changedPolicies.add(key);
  }
  setNamespace(name: string, labels: Labels | undefined): void {
    if (labels) this.#namespaces.set(name, labels);
    else this.#namespaces.delete(name);
    for (const key of this.#podsOfNamespace.get(name) ?? []) this.#changedPods.add(key);
  }
  /** False where nothing has changed. */
  setPod(key: string, pod: PolicyPod | undefined): boolean {
    const old = this.#pods.get(key);
    if (JSON.stringify(old) === JSON.stringify(pod)) return false;
    if (old) {
      remove(this.#podsOfNamespace, old.namespace, key);
      remove(this.#claims, old.ip, key);
    }
    if (pod) {
      this.#pods.set(key, pod);
      add(this.#podsOfNamespace, pod.namespace, key);
      add(this.#claims, pod.ip, key);
    } else this.#pods.delete(key);
    this.#changedPods.add(key);
    // Who else claims the address may have it now, or lose it.
    for (const ip of [old?.ip, pod?.ip]) if (ip) for (const other of this.#claims.get(ip) ?? []) this.#changedPods.add(other);
    return true;
  }

  /** What leads the kernel's table to the state; '' where it is as it should be. The next one takes for granted that {@link applied} follows. */
  change(): string {
    const { policies, isolated } = this.#lookAtChanges();
    const pods = new Set(this.#changedPods);
    this.#changedPods.clear();
    this.#changedPolicies.clear();
    if (this.#inForce.size === 0) return this.#empty();
    const rebuild = this.#kernel !== 'table';
    if (rebuild) this.#forgetRules();
    const states = new Map<string, Rendered>();
    for (const key of rebuild ? this.#inForce.keys() : policies) states.set(policyOwner(key), this.#renderPolicy(key));
    for (const key of rebuild ? this.#pods.keys() : new Set([...pods, ...isolated])) states.set(podOwner(key), this.#renderPod(key));
    for (const key of policies) if (!this.#inForce.has(key)) this.#memberships.forget(key);
    for (const [key, policy] of this.#inForce) for (const pod of rebuild || policies.has(key) ? new Set([...this.#pods.keys(), ...pods]) : pods) this.#memberships.set(key, pod, this.#membersOf(policy, pod));
    // Nobody waits for an entry of the maps: an address is one Pod's, as far as rules go.
    const { script: rules } = this.#rules.change(states);
    const script = rules + this.#memberships.change((set) => this.#sets.has(set));
    if (script !== '') this.#kernel = 'unknown';
    return rebuild ? `${emptyPolicyTable(this.#table, this.#dnsIP)}${script}` : script;
  }
  /** The last script is in force. Without this the next one makes all anew. */
  applied(): void {
    this.#kernel = this.#inForce.size ? 'table' : 'none';
  }
  /** Whether the last {@link change} was to a table, not away from it. */
  get isInForce(): boolean {
    return this.#inForce.size > 0;
  }

  #empty(): string {
    this.#forgetRules();
    if (this.#kernel === 'none') return '';
    this.#kernel = 'unknown';
    return noPolicyTable(this.#table);
  }
  #forgetRules(): void {
    this.#rules.clear();
    this.#memberships.clear();
    this.#sets.clear();
  }
  /** Takes changes into account; gives policies whose own rules are to be looked at, and Pods of this node that changed policies selected or select. */
  #lookAtChanges(): { policies: Set<string>; isolated: Set<string> } {
    const policies = new Set<string>();
    const isolated = new Set<string>();
    const note = (key: string): void => this.#selected.get(key)?.forEach((pod) => isolated.add(pod));
    for (const key of this.#changedPolicies) {
      policies.add(key);
      note(key);
      this.#selected.delete(key);
    }
    for (const [key, policy] of this.#policies) {
      for (const podKey of policies.has(key) ? this.#pods.keys() : this.#changedPods) {
        const pod = this.#holder(podKey);
        if (pod?.local && selects(policy, pod)) add(this.#selected, key, podKey);
        else remove(this.#selected, key, podKey);
      }
    }
    for (const key of this.#changedPolicies) note(key);
    const before = this.#inForce;
    this.#inForce = new Map([...this.#selected.keys()].toSorted().map((key) => [key, this.#policies.get(key)!]));
    for (const key of new Set([...this.#inForce.keys(), ...before.keys()])) if (this.#inForce.has(key) !== before.has(key)) policies.add(key);
    return { policies, isolated };
  }
  #renderPolicy(key: string): Rendered {
    const policy = this.#inForce.get(key);
    const rendered = policy ? renderPolicy(policy) : NOTHING;
    for (const set of this.#rules.of(policyOwner(key))?.sets.keys() ?? []) this.#sets.delete(set);
    for (const set of rendered.sets.keys()) this.#sets.add(set);
    return rendered;
  }
  #renderPod(key: string): Rendered {
    const pod = this.#holder(key);
    return pod?.local ? renderIsolated(pod, [...this.#inForce.values()].filter((policy) => this.#selected.get(policy.key)?.has(key))) : NOTHING;
  }
  #membersOf(policy: CompiledPolicy, key: string): Member[] {
    const pod = this.#holder(key);
    return pod ? membersOf(policy, pod, (namespace) => this.#namespaces.get(namespace)) : [];
  }
  /** The Pod, where its address is its own. */
  #holder(key: string): PolicyPod | undefined {
    const pod = this.#pods.get(key);
    if (!pod) return undefined;
    for (const other of this.#claims.get(pod.ip) ?? []) if (this.#pods.get(other)!.claim > pod.claim) return undefined;
    return pod;
  }
}

function add(map: Map<string, Set<string>>, key: string, value: string): void {
  map.set(key, (map.get(key) ?? new Set()).add(value));
}
function remove(map: Map<string, Set<string>>, key: string, value: string): void {
  const set = map.get(key);
  set?.delete(value);
  if (set?.size === 0) map.delete(key);
}
