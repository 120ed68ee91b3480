/**
 * Shuffle sharding: every flow is dealt a hand of a few queues out of many, and takes the emptiest. A flow that floods fills its own hand;
 * another flow shares a whole hand with it only by rare chance. Source: KEP-1040, "Dispatching".
 */

/** 32 bits of a flow's identity (FNV-1a): the same flow has the same hand for as long as the process lives, and longer. */
export function flowHash(schema: string, distinguisher: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < schema.length; i++) hash = Math.imul(hash ^ schema.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ 0x2c, 0x01000193);
  for (let i = 0; i < distinguisher.length; i++) hash = Math.imul(hash ^ distinguisher.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** One more well mixed number from a hash (the finaliser of MurmurHash3). */
function mix(hash: number, round: number): number {
  let h = (hash + Math.imul(round + 1, 0x9e3779b9)) >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The first queue of a flow's hand. */
export function firstCard(hash: number, queues: number): number {
  return mix(hash, 0) % queues;
}
/** `size` different queues of `0 … queues - 1`, the same for the same hash. */
export function dealHand(hash: number, queues: number, size: number): number[] {
  const hand: number[] = [];
  for (let round = 0; round < Math.min(size, queues); round++) {
    // The nth of the queues that are still in the deck: what is in the hand already is stepped over.
    let card = mix(hash, round) % (queues - round);
    for (const held of hand.toSorted((a, b) => a - b)) if (held <= card) card += 1;
    hand.push(card);
  }
  return hand;
}
