/**
 * Values that an object holds alone in the cluster, such as a Service its addresses and node ports. They are claimed before the
 * object is validated and written, and given back when the write does not take place. Upstream's counterpart: the registry's
 * `BeginCreate`, `BeginUpdate` and `AfterDelete`.
 */
import type { KubeObject } from '#api/object.ts';
import type { Draft } from '#base/draft.ts';

/** What one write has claimed. */
export interface Claim {
  /** Called once, when it is known whether the object was written. Never rejects. */
  settle(written: boolean): Promise<void>;
}
export interface Claims {
  /** Writes the claimed values into `draft`; throws a StatusError where one is not to be had. `old` is undefined for a create. */
  claim(draft: Draft<KubeObject>, old: KubeObject | undefined, dryRun: boolean): Promise<Claim>;
  /** The object is gone: everything it held is free. Never rejects. */
  release(object: KubeObject): Promise<void>;
}

/** Runs `write` with the values of `draft` claimed. A kind without claims only writes. */
export async function withClaim<R>(claims: Claims | undefined, draft: Draft<KubeObject>, old: KubeObject | undefined, dryRun: boolean, write: () => Promise<R>): Promise<R> {
  if (!claims) return write();
  const claim = await claims.claim(draft, old, dryRun);
  let written = false;
  try {
    const result = await write();
    written = !dryRun;
    return result;
  } finally {
    await claim.settle(written);
  }
}
