/** How one call to a container runtime is limited. */
export interface CallOptions {
  /** Aborting cancels the call at the runtime too; it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Overrides the method's own deadline; 0 means none. The call then rejects with `DeadlineExceeded`. */
  readonly timeoutMs?: number | undefined;
}
