/** Keeps the runtime cache true: the runtime's events as they come, and a slow relist underneath. */
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import { runtimeEvents, type RuntimeEvent, type RuntimeEventsOptions } from '#cri/events.ts';
import type { RuntimeCache } from './runtime-cache.ts';

const log = logger('kubelet');

export interface RuntimeWatchOptions {
  readonly runtime: ContainerRuntime & Pick<RuntimeEventsOptions['runtime'], 'channel'>;
  readonly cache: RuntimeCache;
  readonly clock: Clock;
  readonly relistPeriodMs: number;
}
export interface RuntimeWatch {
  stop(): Promise<void>;
}

export function watchRuntime(options: RuntimeWatchOptions): RuntimeWatch {
  const { runtime, cache, clock } = options;
  const abort = new AbortController();
  const { signal } = abort;
  /** Runs a task and survives its failure: the next relist makes up for it. */
  const attempt = async (what: string, task: () => Promise<void>): Promise<void> => {
    await task().catch((err: unknown) => void (signal.aborted || log.warn({ err, what }, 'runtime state not read')));
  };
  async function followEvents(): Promise<void> {
    for await (const event of runtimeEvents({ runtime, clock, signal })) {
      if (event.type === 'Resync') await attempt('resync', () => cache.relist(signal));
      // What is not known yet was created by us a moment ago: the caller of the create takes it in itself.
      else if (cache.owns(event.containerId)) void attempt('refresh', () => take(event));
    }
  }
  async function take(event: Exclude<RuntimeEvent, { type: 'Resync' }>): Promise<void> {
    const { type, containerId: id } = event;
    if (type === 'ProcessEnded') return cache.processEnded(id, { exitCode: event.exitCode, finishedAt: Math.round(event.atMs * 1e6) });
    await refresh(id);
    if (type === 'ContainerStopped') cache.settleEnd(id);
  }
  const refresh = (id: string): Promise<void> => (cache.isSandbox(id) ? cache.refreshSandbox(id) : cache.refreshContainer(id));
  async function relistForEver(): Promise<void> {
    for (;;) {
      await sleep(clock, options.relistPeriodMs, signal).catch(() => {});
      if (signal.aborted) return;
      await attempt('relist', () => cache.relist(signal));
    }
  }
  const loops = Promise.all([followEvents(), relistForEver()]);
  return {
    async stop() {
      abort.abort(new Error('the kubelet is stopping'));
      await loops;
    },
  };
}
