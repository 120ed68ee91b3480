/** What a plugin says of a Pod, or of a Pod on a node. Success is `undefined`: the common case costs nothing. */
export type StatusCode =
  /** Does not fit now; removing Pods may help. */
  | 'Unschedulable'
  /** Does not fit, and preemption cannot help. */
  | 'UnschedulableAndUnresolvable'
  /** The plugin has nothing to do for this Pod in this cycle. */
  | 'Skip'
  /** Something broke; the Pod is tried again after a back-off. */
  | 'Error';

export interface Status {
  readonly code: StatusCode;
  /** Sentences for the user, in upstream's words. */
  readonly reasons: readonly string[];
  /** Name of the plugin that said so. */
  readonly plugin: string;
  readonly cause?: unknown;
}

export function unschedulable(plugin: string, ...reasons: readonly string[]): Status {
  return { code: 'Unschedulable', reasons, plugin };
}
export function unresolvable(plugin: string, ...reasons: readonly string[]): Status {
  return { code: 'UnschedulableAndUnresolvable', reasons, plugin };
}
export function skip(plugin: string): Status {
  return { code: 'Skip', reasons: [], plugin };
}
export function errorStatus(plugin: string, cause: unknown): Status {
  return { code: 'Error', reasons: [cause instanceof Error ? cause.message : String(cause)], plugin, cause };
}
/** True where the Pod was refused, as opposed to something having broken. */
export function isRejected(status: Status | undefined): status is Status {
  return status !== undefined && (status.code === 'Unschedulable' || status.code === 'UnschedulableAndUnresolvable');
}
export function messageOf(status: Status): string {
  return status.reasons.join(', ');
}
