/**
 * Calls `fn` for 0…count-1 in batches of 1, 2, 4, …: a call that always fails is made once, not `count` times. Ends after the first
 * batch in which something failed. Returns how many succeeded, and the first error.
 */
export async function slowStart(count: number, fn: (index: number) => Promise<unknown>): Promise<{ successes: number; error?: unknown }> {
  let done = 0;
  let successes = 0;
  for (let size = Math.min(1, count); size > 0; size = Math.min(size * 2, count - done)) {
    const start = done;
    const results = await Promise.allSettled(Array.from({ length: size }, (_, i) => fn(start + i)));
    done += size;
    const failed = results.find((r) => r.status === 'rejected');
    successes += results.filter((r) => r.status === 'fulfilled').length;
    if (failed) return { successes, error: failed.reason };
  }
  return { successes };
}
