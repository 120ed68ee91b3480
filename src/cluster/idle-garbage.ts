/**
 * Gives memory back while there is little to do. V8 collects garbage when the heap has grown to two and a half times what is alive, and keeps the pages that
 * it has: what a busy minute took stays taken for as long as nobody asks for much.
 */
import { availableParallelism, loadavg } from 'node:os';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';

/** The machine's load is told over a minute. */
const LOOK_MS = 60_000;
/** Collections are at least so far apart: everything waits for one, a tenth of a second or two. */
const APART_MS = 300_000;
/** Above this share of the time at work the garbage is about to be collected anyway; above this share of the machine's CPUs a collection takes too long. */
const IDLE = { process: 0.1, machine: 0.5 } as const;
/** A heap that has grown by less is not worth the wait. */
const WORTH_BYTES = 24 * 1024 ** 2;
const log = logger('podyard');

export interface IdleGarbageOptions {
  readonly clock: Clock;
  /** Collects all garbage and gives the pages back. Undefined: the process was started without a way to ask for that, and nothing is done. */
  readonly collect: (() => void) | undefined;
  /** Bytes that the heap has of the system. */
  heapBytes(): number;
  /** How busy it was: the event loop's share of the time since the last call, 0 to 1, and the machine's load of the last minute by CPU, which may be more than 1. */
  load(): { readonly process: number; readonly machine: number };
}

/** The process that this runs in. */
export function thisProcess(): Omit<IdleGarbageOptions, 'clock'> {
  // There with `--expose-gc` alone.
  const { gc } = globalThis;
  let last = performance.eventLoopUtilization();
  return {
    collect: gc && (() => void gc({ type: 'major', execution: 'sync', flavor: 'last-resort' })),
    heapBytes: () => process.memoryUsage().heapTotal,
    load() {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, last);
      last = now;
      return { process: utilization, machine: loadavg()[0]! / availableParallelism() };
    },
  };
}

/** Looks until `signal` aborts; never rejects. */
export async function collectWhenIdle({ clock, collect, heapBytes, load }: IdleGarbageOptions, signal: AbortSignal): Promise<void> {
  if (!collect) return;
  let keptBytes = 0;
  let collectedAt = -Infinity;
  for (;;) {
    await sleep(clock, LOOK_MS, signal).catch(() => {});
    if (signal.aborted) return;
    const { process, machine } = load();
    const now = clock.monotonic();
    const before = heapBytes();
    if (process > IDLE.process || machine > IDLE.machine || now - collectedAt < APART_MS || before - keptBytes < WORTH_BYTES) continue;
    collect();
    collectedAt = now;
    keptBytes = heapBytes();
    log.debug({ ms: Math.round(clock.monotonic() - now), before, after: keptBytes }, 'garbage collected');
  }
}
