/** Sets of NUMA nodes, by their numbers: bit n stands for node n. Machines number their nodes with gaps, and beyond 31. */
export type NumaMask = bigint;

export function maskOf(nodes: Iterable<number>): NumaMask {
  let mask = 0n;
  for (const node of nodes) mask |= 1n << BigInt(node);
  return mask;
}
export function nodesOf(mask: NumaMask): number[] {
  const out: number[] = [];
  for (let node = 0, left = mask; left > 0n; node++, left >>= 1n) if (left & 1n) out.push(node);
  return out;
}
export function countOf(mask: NumaMask): number {
  let count = 0;
  for (let left = mask; left > 0n; left &= left - 1n) count++;
  return count;
}
export function hasNode(mask: NumaMask, node: number): boolean {
  return node >= 0 && ((mask >> BigInt(node)) & 1n) === 1n;
}
/** The one of fewer nodes comes first; of as many, the one of lower nodes. */
export function byNarrowness(a: NumaMask, b: NumaMask): number {
  return countOf(a) - countOf(b) || (a < b ? -1 : a > b ? 1 : 0);
}
/** The most nodes whose sets are looked at one by one: there are 65535 then, and twice as many with each further node. */
export const MAX_ENUMERATED_NODES = 16;

/** Every set of these nodes but the empty one, smaller ones first. Throws an Error for more nodes than {@link MAX_ENUMERATED_NODES}. */
export function masksOver(nodes: readonly number[]): NumaMask[] {
  if (nodes.length > MAX_ENUMERATED_NODES) throw new Error(`resources on more than ${MAX_ENUMERATED_NODES} NUMA nodes cannot be aligned`);
  const bits = nodes.map((n) => maskOf([n]));
  let all: NumaMask[] = [0n];
  for (const bit of bits) all = all.concat(all.map((m) => m | bit));
  return all.slice(1).toSorted(byNarrowness);
}
