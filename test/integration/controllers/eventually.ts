/** Waiting for conditions in a cluster of the test's own process. */
import { isReason } from '#machinery/status-error.ts';

/** Long, so that a machine which is many times slower than usual is no fault of the code's. */
const DEADLINE_MS = 90_000;

/** The first value of `probe` that is not undefined or false. Asks on every turn of a short timer: the conditions have no event of their own. */
export async function eventually<T>(what: string, probe: () => Promise<T | undefined | false> | T | undefined | false): Promise<T> {
  const end = performance.now() + DEADLINE_MS;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > end) throw new Error(`waited ${DEADLINE_MS / 1000} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
/** True when the call says that the object is not there. */
export async function isGone(call: Promise<unknown>): Promise<boolean> {
  try {
    await call;
    return false;
  } catch (err) {
    if (isReason(err, 'NotFound')) return true;
    throw err;
  }
}
