/** A timer that was set on a {@link Clock}. */
export interface Timer {
  cancel(): void;
}

/** The source of time for everything in the process. Tests inject {@link FakeClock} (`fake-clock.ts`). */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number;
  /** Milliseconds from an arbitrary origin that never goes backwards: for measuring how long something took. */
  monotonic(): number;
  /** Runs `fn` once after `ms` milliseconds. Does not keep the process alive. */
  after(ms: number, fn: () => void): Timer;
}

const MAX_TIMEOUT_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, fn) {
    const handle = setTimeout(fn, Math.min(Math.max(ms, 0), MAX_TIMEOUT_MS));
    handle.unref();
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      timer.cancel();
      reject(signal!.reason);
    };
    const timer = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

let lastSecond = NaN;
let lastText = '';
/** RFC 3339 with seconds, as `metav1.Time` is written: `2026-01-02T03:04:05Z`. */
export function rfc3339(ms: number): string {
  const second = Math.floor(ms / 1000);
  // A busy server asks for the same second thousands of times.
  if (second !== lastSecond) {
    lastText = `${new Date(ms).toISOString().slice(0, 19)}Z`;
    lastSecond = second;
  }
  return lastText;
}
/** RFC 3339 with microseconds, as `metav1.MicroTime` is written. */
export function rfc3339Micro(ms: number): string {
  const micros = Math.floor((ms - Math.floor(ms)) * 1000);
  return `${new Date(Math.floor(ms)).toISOString().slice(0, 23)}${String(micros).padStart(3, '0')}Z`;
}
