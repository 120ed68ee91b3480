/** `v1.NodeSelector`, compiled: terms are alternatives, the requirements of a term must all hold. */
import type { Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec } from '#api/gen/core-v1.ts';
import { nameOf } from '#api/object.ts';
import { LabelMatcher, labelRequirement, type LabelOperator, type Labels } from './selectors.ts';

const OPERATORS: Readonly<Record<NodeSelectorRequirement['operator'], LabelOperator>> = { In: 'in', NotIn: 'notin', Exists: 'exists', DoesNotExist: '!', Gt: 'gt', Lt: 'lt' };

interface Term {
  readonly labels: LabelMatcher;
  readonly fields: readonly NodeSelectorRequirement[];
}

/** A term that is empty, or that the API server would refuse, matches no node: undefined. */
function compileTerm({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm): Term | undefined {
  if (matchExpressions.length === 0 && matchFields.length === 0) return undefined;
  try {
    return { labels: new LabelMatcher(matchExpressions.map((r) => labelRequirement(r.key, OPERATORS[r.operator], r.values ?? []))), fields: matchFields };
  } catch {
    return undefined;
  }
}
function fieldHolds({ key, operator, values = [] }: NodeSelectorRequirement, name: string): boolean {
  if (key !== 'metadata.name' || values.length !== 1) return false;
  return operator === 'In' ? values[0] === name : operator === 'NotIn' && values[0] !== name;
}
function termMatches(term: Term, node: Node): boolean {
  return term.fields.every((f) => fieldHolds(f, nameOf(node))) && term.labels.matches(node.metadata.labels);
}

export class CompiledNodeSelector {
  readonly #terms: readonly Term[];

  constructor(selector: NodeSelector) {
    this.#terms = selector.nodeSelectorTerms.map(compileTerm).filter((t) => t !== undefined);
  }
  matches(node: Node): boolean {
    return this.#terms.some((t) => termMatches(t, node));
  }
}

export interface CompiledPreference {
  readonly weight: number;
  matches(node: Node): boolean;
}
export function compilePreferences(pod: Pod): readonly CompiledPreference[] {
  const preferred = pod.spec.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [];
  return preferred.filter((p) => p.weight !== 0).flatMap(({ weight, preference }) => {
    const term = compileTerm(preference);
    return term ? [{ weight, matches: (node: Node) => termMatches(term, node) }] : [];
  });
}

/** What the spec of a Pod demands of a node by `nodeSelector` and required node affinity; undefined where it demands nothing. */
export function requiredNodeAffinity({ nodeSelector, affinity: given }: Pick<PodSpec, 'nodeSelector' | 'affinity'>): ((node: Node) => boolean) | undefined {
  const labels = Object.entries(nodeSelector ?? {});
  const required = given?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const affinity = required && new CompiledNodeSelector(required);
  if (labels.length === 0 && !affinity) return undefined;
  return (node) => hasLabels(node.metadata.labels, labels) && (affinity?.matches(node) ?? true);
}
function hasLabels(have: Labels | undefined, want: readonly (readonly [string, string])[]): boolean {
  return want.every(([key, value]) => have !== undefined && Object.hasOwn(have, key) && have[key] === value);
}

/** The names of the only nodes that required affinity can be about, where every term names some. */
export function requiredNodeNames(pod: Pod): ReadonlySet<string> | undefined {
  const terms = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  let names: Set<string> | undefined;
  for (const { matchFields = [] } of terms) {
    let ofTerm: Set<string> | undefined;
    for (const { key, operator, values = [] } of matchFields) {
      if (key !== 'metadata.name' || operator !== 'In') continue;
      ofTerm = ofTerm ? ofTerm.intersection(new Set(values)) : new Set(values);
    }
    if (!ofTerm) return undefined;
    names = (names ?? new Set()).union(ofTerm);
  }
  return names;
}
