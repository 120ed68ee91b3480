/** A Pod with what scheduling reads again and again, computed once. */
import type { Pod, PodAffinityTerm, WeightedPodAffinityTerm } from '#api/gen/core-v1.ts';
import { keyOf, namespaceOf, nameOf, uidOf } from '#api/object.ts';
import { EVERYTHING, labelMatcherOf, NOTHING, type LabelMatcher, type Labels } from '#machinery/selectors.ts';
import { podRequests, type Resources } from './resources.ts';

export interface HostPort {
  readonly ip: string;
  readonly protocol: string;
  readonly port: number;
}

/** A term of inter-Pod affinity, compiled. Pods of one workload share it. */
export interface AffinityTerm {
  readonly topologyKey: string;
  readonly selector: LabelMatcher;
  readonly namespaces: ReadonlySet<string>;
  /** Absent in the API: selects no namespace. */
  readonly namespaceSelector: LabelMatcher;
  /** 0 for required terms. */
  readonly weight: number;
}
/** Labels of a namespace; undefined where it is not known. */
export type NamespaceLabels = (namespace: string) => Labels | undefined;

export interface AffinityTerms {
  readonly requiredAffinity: readonly AffinityTerm[];
  readonly requiredAntiAffinity: readonly AffinityTerm[];
  readonly preferredAffinity: readonly AffinityTerm[];
  readonly preferredAntiAffinity: readonly AffinityTerm[];
}
const NO_TERMS: AffinityTerms = { requiredAffinity: [], requiredAntiAffinity: [], preferredAffinity: [], preferredAntiAffinity: [] };
const NO_PORTS: readonly HostPort[] = [];
const NO_KEYS: readonly string[] = [];

const infos = new WeakMap<Pod, PodInfo>();

export class PodInfo {
  readonly pod: Pod;
  readonly uid: string;
  /** `namespace/name`. */
  readonly key: string;
  readonly namespace: string;
  readonly priority: number;
  readonly requests: Resources;
  /** Of `requests`, apart for speed; in thousandths of a core and bytes. */
  readonly milliCPU: number;
  readonly memory: number;
  /** As scoring counts them: every container asks for something. */
  readonly nonZeroMilliCPU: number;
  readonly nonZeroMemory: number;
  readonly hostPorts: readonly HostPort[];
  /** Keys of the claims the Pod uses, `namespace/name`. */
  readonly claims: readonly string[];
  readonly terms: AffinityTerms;
  /** Has terms that count in the scoring of other Pods: all but required anti-affinity. */
  readonly hasScoringTerms: boolean;
  readonly terminating: boolean;
  /** Equal for Pods of the same namespace and labels that are both terminating or both not: they count alike in spreading. */
  readonly group: PodGroupKey;

  constructor(pod: Pod) {
    this.pod = pod;
    this.uid = uidOf(pod);
    this.key = keyOf(pod);
    this.namespace = namespaceOf(pod);
    this.priority = pod.spec.priority ?? 0;
    this.requests = podRequests(pod);
    this.milliCPU = this.requests.get('cpu') ?? 0;
    this.memory = this.requests.get('memory') ?? 0;
    const nonZero = podRequests(pod, true);
    this.nonZeroMilliCPU = nonZero.get('cpu') ?? 0;
    this.nonZeroMemory = nonZero.get('memory') ?? 0;
    this.hostPorts = hostPortsOf(pod);
    this.claims = claimsOf(pod);
    this.terms = termsOf(pod);
    this.hasScoringTerms = this.terms.requiredAffinity.length + this.terms.preferredAffinity.length + this.terms.preferredAntiAffinity.length > 0;
    this.terminating = pod.metadata.deletionTimestamp !== undefined;
    this.group = groupOf(this.namespace, pod.metadata.labels, this.terminating);
  }
  /** For a Pod that is looked at again and again; computed once for as long as the object lives. */
  static of(pod: Pod): PodInfo {
    let info = infos.get(pod);
    if (!info) infos.set(pod, (info = new PodInfo(pod)));
    return info;
  }
  /** The same Pod as it will be once bound. */
  onNode(nodeName: string): PodInfo {
    const { pod } = this;
    return this.withPod({ ...pod, spec: { ...pod.spec, nodeName } });
  }
  /** For a state of the Pod that differs in nothing that is computed here. */
  withPod(pod: Pod): PodInfo {
    return Object.assign(Object.create(PodInfo.prototype) as PodInfo, this, { pod });
  }
}

/** Shared by Pods that are alike to label selectors; compare by identity. */
export interface PodGroupKey {
  readonly namespace: string;
  readonly labels: Labels;
  readonly terminating: boolean;
}
/** One object for equal values. Forgetting is safe: two objects for the same value only cost time. */
class Interned<T extends WeakKey> {
  readonly #known = new Map<string, WeakRef<T>>();
  get(id: string, make: () => T): T {
    const known = this.#known.get(id)?.deref();
    if (known) return known;
    const value = make();
    if (this.#known.size >= MAX_INTERNED) this.#known.clear();
    this.#known.set(id, new WeakRef(value));
    return value;
  }
}
const MAX_INTERNED = 16_384;
const groups = new Interned<PodGroupKey>();
const terms = new Interned<AffinityTerm>();
const NO_LABELS: Labels = {};

function groupOf(namespace: string, labels: Labels | undefined, terminating: boolean): PodGroupKey {
  return groups.get(JSON.stringify([namespace, terminating, labels]), () => ({ namespace, labels: labels ?? NO_LABELS, terminating }));
}

export function hostPortsOf(pod: Pod): readonly HostPort[] {
  let out: HostPort[] | undefined;
  const sidecars = pod.spec.initContainers?.filter((c) => c.restartPolicy === 'Always') ?? [];
  for (const c of [...sidecars, ...pod.spec.containers]) {
    for (const p of c.ports ?? []) if (p.hostPort) (out ??= []).push({ ip: p.hostIP || '0.0.0.0', protocol: p.protocol ?? 'TCP', port: p.hostPort });
  }
  return out ?? NO_PORTS;
}
/** Name of the claim of a volume: named, or generated for an ephemeral one (KEP-1698). */
export function claimNameOf(pod: Pod, volume: NonNullable<Pod['spec']['volumes']>[number]): string | undefined {
  if (volume.persistentVolumeClaim) return volume.persistentVolumeClaim.claimName;
  return volume.ephemeral ? `${nameOf(pod)}-${volume.name}` : undefined;
}
function claimsOf(pod: Pod): readonly string[] {
  let out: string[] | undefined;
  for (const v of pod.spec.volumes ?? []) {
    const name = claimNameOf(pod, v);
    if (name !== undefined) (out ??= []).push(`${namespaceOf(pod)}/${name}`);
  }
  return out ?? NO_KEYS;
}

function termsOf(pod: Pod): AffinityTerms {
  const { podAffinity, podAntiAffinity } = pod.spec.affinity ?? {};
  if (!podAffinity && !podAntiAffinity) return NO_TERMS;
  const own = namespaceOf(pod);
  const required = (terms: readonly PodAffinityTerm[] | undefined) => (terms ?? []).map((t) => compile(t, own, 0));
  const preferred = (terms: readonly WeightedPodAffinityTerm[] | undefined) => (terms ?? []).map((t) => compile(t.podAffinityTerm, own, t.weight));
  return {
    requiredAffinity: required(podAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    requiredAntiAffinity: required(podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution),
    preferredAffinity: preferred(podAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
    preferredAntiAffinity: preferred(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution),
  };
}
// The API server has merged matchLabelKeys and mismatchLabelKeys into the selector (KEP-3633).
function compile(term: PodAffinityTerm, own: string, weight: number): AffinityTerm {
  return terms.get(JSON.stringify([own, weight, term]), () => {
    const named = term.namespaces ?? [];
    const namespaces = new Set(named.length === 0 && term.namespaceSelector === undefined ? [own] : named);
    return { topologyKey: term.topologyKey, selector: matcher(term.labelSelector), namespaces, namespaceSelector: matcher(term.namespaceSelector), weight };
  });
}
/** The compiled selector; one that cannot be read, which the API server refuses, selects nothing. */
export function matcher(selector: PodAffinityTerm['labelSelector']): LabelMatcher {
  try {
    return labelMatcherOf(selector);
  } catch {
    return NOTHING;
  }
}
/** True where the Pods of the group are among those that the term speaks of. */
export function termMatchesGroup(term: AffinityTerm, { namespace, labels }: Pick<PodGroupKey, 'namespace' | 'labels'>, labelsOfNamespace: NamespaceLabels): boolean {
  if (!term.namespaces.has(namespace)) {
    if (term.namespaceSelector === NOTHING) return false;
    if (term.namespaceSelector !== EVERYTHING && !term.namespaceSelector.matches(labelsOfNamespace(namespace))) return false;
  }
  return term.selector.matches(labels);
}
/** Which terms speak of one group of Pods; each is asked once. */
export class TermMatches {
  readonly #group: PodGroupKey;
  readonly #labels: NamespaceLabels;
  readonly #known = new Map<AffinityTerm, boolean>();

  constructor(group: PodGroupKey, labels: NamespaceLabels) {
    this.#group = group;
    this.#labels = labels;
  }
  has(term: AffinityTerm): boolean {
    let match = this.#known.get(term);
    if (match === undefined) this.#known.set(term, (match = termMatchesGroup(term, this.#group, this.#labels)));
    return match;
  }
}
