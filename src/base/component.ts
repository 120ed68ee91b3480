/**
 * A part of the process with a life of its own.
 *
 * ```
 *   created ──start()──▶ starting ──(start resolves)──▶ ready ──stop()──▶ stopping ──▶ stopped
 *                            │                            │
 *                            └───────── throws ───────────┴── failed resolves with the error
 * ```
 * `start` resolves when the component is ready for those who need it. `failed` settles only when a component that
 * was ready can no longer do its work; the group then stops everything in reverse order, with that reason.
 */
export interface Component {
  /** Upstream's name where there is one: `kube-scheduler`. */
  readonly name: string;
  /** Resolves when ready. `signal` aborts a start that is no longer wanted. */
  start(signal: AbortSignal): Promise<void>;
  /** Idempotent; resolves when nothing of the component runs any more. Never throws. */
  stop(): Promise<void>;
  /** Resolves with the reason when a ready component fails for good; never settles otherwise. */
  readonly failed?: Promise<Error>;
}
