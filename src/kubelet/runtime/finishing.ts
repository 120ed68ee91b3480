import type { Clock, Timer } from '#base/clock.ts';

/** What is left to a call whose outcome is no longer wanted. */
const LAST_MS = 10_000;

/**
 * Waits for a call that changes something in the runtime. It is not broken off when the signal aborts: a start that is cancelled half-way
 * leaves processes behind that the runtime no longer tells of. The caller looks at the signal afterwards. A runtime that does not
 * answer is given up some time after the abort.
 */
export function finishing<T>(clock: Clock, call: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    let timer: Timer | undefined;
    const onAbort = (): void => {
      timer = clock.after(LAST_MS, () => reject(signal.reason as Error));
    };
    const settle = (): void => {
      timer?.cancel();
      signal.removeEventListener('abort', onAbort);
    };
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    call.then(resolve, reject).finally(settle);
  });
}
