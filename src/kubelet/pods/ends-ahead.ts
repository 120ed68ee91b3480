/**
 * What a Pod's sync does of ends that the runtime's events tell before its status does.
 *
 * ```
 *   process ends ──▶ ProcessEnded ──▶ the next run is created and started ──────────▶ both told together
 *              └────▶ the runtime removes the task, its status says how it ended ──┘
 * ```
 * A success is told before what follows is started: of a failure the runtime's status may say more, such as that memory ran out.
 */
import type { Container, Pod } from '#api/gen/core-v1.ts';
import { abortable } from '#base/abort.ts';
import { runsToReset, type PodActions } from '../runtime/pod-actions.ts';
import { withEnds, type RuntimeCache, type RuntimePod } from '../runtime/runtime-cache.ts';

/**
 * What follows from such ends, where that is to start something now. What is to be stopped, removed or put off is decided when the runtime has told:
 * nothing is gained by haste, and its status may say more.
 */
export function startsAhead(pod: Pod, runtime: RuntimePod | undefined, decide: (soon: RuntimePod | undefined) => PodActions, backOffMs: (container: Container, soon: RuntimePod | undefined) => number): PodActions | undefined {
  const soon = withEnds(runtime);
  if (soon === runtime || runsToReset(pod, soon).length > 0) return undefined;
  const actions = decide(soon);
  const starts = [...actions.initToStart, ...actions.containersToStart];
  const onlyStarts = starts.length > 0 && !actions.killPod && actions.containersToKill.length === 0;
  return onlyStarts && starts.every((c) => backOffMs(c, soon) === 0) ? actions : undefined;
}

/** Containers whose process has ended, though their state does not say so yet. */
export function endedIn(runtime: RuntimePod | undefined): string[] {
  return runtime?.containers.flatMap((c) => (c.end ? [c.id] : [])) ?? [];
}

/** All that the events tell of are successes. */
export function haveSucceeded(runtime: RuntimePod | undefined): boolean {
  return runtime?.containers.every((c) => !c.end || c.end.exitCode === 0) ?? false;
}

/** A start that follows the ends of these: they are told as soon as the runtime tells of them, however long the start takes, and never after what follows. */
export async function tellingEnds<T>(cache: Pick<RuntimeCache, 'onContainerStopped'>, ended: readonly string[], tell: () => Promise<unknown>, start: () => Promise<T>, signal: AbortSignal): Promise<T> {
  if (ended.length === 0) return await start();
  const leave: (() => void)[] = [];
  let isOver = false;
  const settled = Promise.all(ended.map((id) => new Promise<void>((resolve) => leave.push(cache.onContainerStopped(id, resolve)))));
  const told = abortable(settled, signal).then(() => (isOver || signal.aborted ? undefined : tell()));
  told.catch(() => {});
  try {
    return await start();
  } finally {
    isOver = true;
    await told.catch(() => {});
    for (const l of leave) l();
  }
}
