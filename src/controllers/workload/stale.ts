import type { ReconcileResult } from '#client/reconciler.ts';
import { isReason } from '#machinery/status-error.ts';

const CAUGHT_UP_MS = 200;

/**
 * Runs a reconcile whose writes are guarded by resource versions. A conflict means that the informer lags behind: its next event
 * brings the key back, so this is no failure to log and back off from; the time is only a safety net.
 */
export async function untilCaughtUp(reconcile: () => Promise<ReconcileResult>): Promise<ReconcileResult> {
  try {
    return await reconcile();
  } catch (err) {
    if (isReason(err, 'Conflict')) return { afterMs: CAUGHT_UP_MS };
    throw err;
  }
}
