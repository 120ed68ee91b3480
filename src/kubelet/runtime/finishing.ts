import { sleep, type Clock } from '#base/clock.ts';

/** What is left to a call whose outcome is no longer wanted. */
const LAST_MS = 10_000;

/**
 * Waits for a call that changes something in the runtime. It is not broken off when the signal aborts: a start that is cancelled half-way
 * leaves processes behind that the runtime no longer tells of. The caller looks at the signal afterwards. A runtime that does not
 * answer is given up some time after the abort.
 */
export async function finishing<T>(clock: Clock, call: Promise<T>, signal: AbortSignal): Promise<T> {
  const settled = new AbortController();
  const givenUp = aborted(AbortSignal.any([signal, settled.signal]))
    .then(() => (settled.signal.aborted ? undefined : sleep(clock, LAST_MS, settled.signal)))
    .catch(() => {});
  try {
    return await Promise.race([call, givenUp.then(() => (settled.signal.aborted ? new Promise<never>(() => {}) : Promise.reject(signal.reason as Error)))]);
  } finally {
    settled.abort();
    call.catch(() => {});
  }
}
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
