import type { Clock } from './clock.ts';

/** The promise's value; rejects with the signal's reason when it aborts first. The work itself goes on. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  if (signal.aborted) return Promise.reject(signal.reason as Error);
  return new Promise<T>((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

/** The promise's value; rejects with `reason` when it takes longer than `ms`. The work itself goes on. */
export function within<T>(clock: Clock, ms: number, promise: Promise<T>, reason: () => Error): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = clock.after(ms, () => reject(reason()));
    promise.then(resolve, reject).finally(() => timer.cancel());
  });
}
