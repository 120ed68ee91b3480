/**
 * Hints on where a request may be met, and the one place that suits all of them. Source: the Topology Manager's pages and KEP-693.
 *
 * Merging is a product over the hints of every resource. It is folded one resource after the other over what tells two partial choices
 * apart, their common nodes and whether they are preferred, so that its cost grows with the number of resources, not with its power.
 */
import { byNarrowness, countOf, type NumaMask } from './numa-mask.ts';

export interface Hint {
  /** Nodes that together can meet the request; undefined: any. */
  readonly nodes: NumaMask | undefined;
  /** On as few nodes as this request can be met at all. */
  readonly preferred: boolean;
}
/** By resource: the places where it can be had. Undefined: it does not matter where; an empty list: it can be had nowhere. */
export type ResourceHints = ReadonlyMap<string, readonly Hint[] | undefined>;
export const NO_HINTS: ResourceHints = new Map();

const ANYWHERE: readonly Hint[] = [{ nodes: undefined, preferred: true }];
const NOWHERE: readonly Hint[] = [{ nodes: undefined, preferred: false }];

/** One list for each resource of each provider; a provider without any has no preference. */
export function hintLists(providers: readonly ResourceHints[]): (readonly Hint[])[] {
  return providers.flatMap((hints) => (hints.size === 0 ? [ANYWHERE] : [...hints.values()].map((list) => (list === undefined ? ANYWHERE : list.length === 0 ? NOWHERE : list))));
}

export interface MergeOptions {
  /** Every node of the machine. */
  readonly all: NumaMask;
  /** Orders sets of nodes, the better one first; by the number of nodes where absent. */
  readonly compare?: ((a: NumaMask, b: NumaMask) => number) | undefined;
}
/** The best place that all requests have in common; every node, not preferred, where they have none. */
export function mergeHints(lists: readonly (readonly Hint[])[], { all, compare = byNarrowness }: MergeOptions): Hint & { readonly nodes: NumaMask } {
  const wished = Math.max(0, ...lists.map(fewestNodes));
  let best: { nodes: NumaMask; preferred: boolean } | undefined;
  for (const { nodes, preferred } of combine(lists)) {
    const candidate = { nodes: (nodes ?? all) & all, preferred };
    if (candidate.nodes !== 0n && (!best || isBetter(candidate, best, wished, compare))) best = candidate;
  }
  return best ?? { nodes: all, preferred: false };
}
/** What choices of one hint of each list come to. A choice is preferred when all its hints are, and name the same nodes. */
function combine(lists: readonly (readonly Hint[])[]): Hint[] {
  let sums: Hint[] = [{ nodes: undefined, preferred: true }];
  for (const list of lists) {
    const next = new Map<string, Hint>();
    for (const sum of sums) {
      for (const hint of list) {
        const nodes = sum.nodes === undefined ? hint.nodes : hint.nodes === undefined ? sum.nodes : sum.nodes & hint.nodes;
        const same = sum.nodes === undefined || hint.nodes === undefined || sum.nodes === hint.nodes;
        const preferred = sum.preferred && hint.preferred && same;
        next.set(`${nodes}${preferred}`, { nodes, preferred });
      }
    }
    sums = [...next.values()];
  }
  return sums;
}
function fewestNodes(list: readonly Hint[]): number {
  const counts = list.flatMap((h) => (h.nodes === undefined ? [] : [countOf(h.nodes)]));
  return counts.length ? Math.min(...counts) : 0;
}
/**
 * Preferred ones first. Among those that are not, as many nodes as the most demanding resource needs at least (`wished`): rather
 * a few less than more, as near to it as can be.
 */
function isBetter(a: { nodes: NumaMask; preferred: boolean }, b: { nodes: NumaMask; preferred: boolean }, wished: number, compare: (a: NumaMask, b: NumaMask) => number): boolean {
  if (a.preferred !== b.preferred) return a.preferred;
  if (!a.preferred) {
    const [left, right] = [distance(countOf(a.nodes), wished), distance(countOf(b.nodes), wished)];
    if (left !== right) return left < right;
  }
  return compare(a.nodes, b.nodes) < 0;
}
/** 0 at the wished number; below it by how much is missing; anything above comes after all of those. */
function distance(count: number, wished: number): number {
  return count <= wished ? wished - count : count + wished;
}
