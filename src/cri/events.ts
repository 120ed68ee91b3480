/**
 * What happens to containers, as it happens: the kubelet's pod lifecycle events.
 *
 * ```
 *   GetContainerEvents ──Unimplemented──▶ containerd's native events ──Unimplemented──▶ ends: the caller relists
 *      │  ▲                                 │  ▲
 *      └──┴── lost: back off, Resync ───────┴──┘
 * ```
 * An end is told twice where the runtime is containerd: `ProcessEnded` when the process is reaped, `ContainerStopped` when the CRI status says so too.
 */
import { within } from '#base/abort.ts';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import type { ContainerRuntime } from './client.ts';
import type { Channel } from './channel.ts';
import { CriError, isCriError } from './error.ts';
import { nativeEvents, type NativeEvent } from './native-events.ts';
import type { ContainerEventResponse } from './types.ts';

export type RuntimeEvent =
  /** Events may have been missed: list everything now. Comes first, and after each reconnection. */
  | { readonly type: 'Resync' }
  /** `containerId` may be a sandbox's id. When `ContainerStopped` arrives, the runtime's status says so too. */
  | { readonly type: 'ContainerCreated' | 'ContainerStarted' | 'ContainerStopped' | 'ContainerDeleted'; readonly containerId: string; readonly atMs: number }
  /** The container's own process has ended; the runtime's status says so a moment later, and `ContainerStopped` comes then. Known from native events only. */
  | { readonly type: 'ProcessEnded'; readonly containerId: string; readonly atMs: number; readonly exitCode: number }
  /** The kernel killed a process of the container; known from native events only. */
  | { readonly type: 'ContainerOOM'; readonly containerId: string; readonly atMs: number };

export interface RuntimeEventsOptions {
  /** A {@link CriClient} or a fake; native events need the client's channel. */
  readonly runtime: ContainerRuntime & { readonly channel?: Channel };
  readonly clock: Clock;
  /** Ends the iteration, without an error. */
  readonly signal: AbortSignal;
  /** containerd's namespace of CRI containers. */
  readonly namespace?: string;
}

const NAMESPACE = 'k8s.io';
const MAX_QUEUED = 4096;
const BACKOFF_MS = { first: 100, max: 5000 } as const;
/** How long the CRI status may lag behind the native exit event before it is reported anyway. */
const SETTLE_MS = 2000;
/** How long after it the removal of the task is to be told. */
const REMOVAL_MS = 100;
/** How long after that the status is asked for; then less and less often. */
const ASK_MS = { first: 4, max: 50 } as const;
const log = logger('cri');

/** Endless until `signal` aborts or the runtime proves to have no events. Each call is a subscription of its own. */
export async function* runtimeEvents(options: RuntimeEventsOptions): AsyncGenerator<RuntimeEvent> {
  const left = new AbortController();
  const queue = new EventQueue();
  const signal = AbortSignal.any([options.signal, left.signal]);
  const pump = pumpEvents({ ...options, signal }, queue).finally(() => queue.end());
  try {
    for (;;) {
      const event = await queue.next();
      if (!event) return;
      yield event;
    }
  } finally {
    left.abort(new Error('events are no longer wanted'));
    await pump;
  }
}

/** A bounded queue of one reader. What does not fit is replaced by one `Resync`. */
class EventQueue {
  #events: RuntimeEvent[] = [];
  #wake: (() => void) | undefined;
  #ended = false;

  push(event: RuntimeEvent): void {
    if (this.#events.length >= MAX_QUEUED || event.type === 'Resync') this.#events = [{ type: 'Resync' }];
    else this.#events.push(event);
    this.#wake?.();
  }
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }
  async next(): Promise<RuntimeEvent | undefined> {
    while (this.#events.length === 0 && !this.#ended) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = undefined;
    }
    return this.#ended ? undefined : this.#events.shift();
  }
}

/** Keeps a subscription open until the signal aborts. Never rejects. */
async function pumpEvents(options: RuntimeEventsOptions, queue: EventQueue): Promise<void> {
  const { signal, clock } = options;
  let source = fromCri;
  let delayMs: number = BACKOFF_MS.first;
  while (!signal.aborted) {
    try {
      await source(options, (event) => {
        delayMs = BACKOFF_MS.first;
        queue.push(event);
      });
    } catch (error) {
      if (signal.aborted) return;
      if (isCriError(error, 'Unimplemented')) {
        if (source === fromNative || !options.runtime.channel) {
          log.warn({ error: error.message }, 'The container runtime has no event stream; changes are found by listing only');
          return;
        }
        source = fromNative;
        continue;
      }
      log.debug({ error: String(error) }, 'The event stream of the container runtime broke off');
    }
    await sleep(clock, delayMs, signal).catch(() => {});
    delayMs = Math.min(delayMs * 2, BACKOFF_MS.max);
  }
}

type Source = (options: RuntimeEventsOptions, emit: (event: RuntimeEvent) => void) => Promise<void>;

const CRI_TYPES = {
  CONTAINER_CREATED_EVENT: 'ContainerCreated', CONTAINER_STARTED_EVENT: 'ContainerStarted', CONTAINER_STOPPED_EVENT: 'ContainerStopped', CONTAINER_DELETED_EVENT: 'ContainerDeleted',
} as const satisfies Record<ContainerEventResponse['containerEventType'], RuntimeEvent['type']>;

const fromCri: Source = async (options, emit) => {
  const { runtime, signal } = options;
  const stream = runtime.getContainerEvents({}, { signal })[Symbol.asyncIterator]();
  const first = stream.next();
  // The stream sends nothing before its first event. A call sent after it on the same connection and answered means that it is open; as the runtime
  // works on both at once, a refusal may come just behind the first answer, and is there before the second.
  const answered = runtime.version({}, { signal }).then(() => runtime.version({}, { signal }));
  answered.catch(() => {}); // it may lose the race, and end with the signal
  await Promise.race([first, answered]);
  let failed: unknown;
  await Promise.race([first.catch((error: unknown) => (failed = error)), new Promise((resolve) => setImmediate(resolve))]);
  if (failed) throw failed as Error;
  emit({ type: 'Resync' });
  const left = new AbortController();
  const early = followEnds({ ...options, signal: AbortSignal.any([signal, left.signal]) }, emit);
  try {
    for (let next = await first; !next.done; next = await stream.next()) {
      const { containerId, containerEventType, createdAt } = next.value;
      emit({ type: CRI_TYPES[containerEventType], containerId, atMs: createdAt / 1e6 });
    }
  } finally {
    left.abort(new Error('the stream has ended'));
    await early;
  }
};

/** Ends of processes beside the CRI's own events, where the runtime has native ones. They only hasten: one that is missed is told by the CRI. */
async function followEnds({ runtime, clock, signal, namespace = NAMESPACE }: RuntimeEventsOptions, emit: (event: RuntimeEvent) => void): Promise<void> {
  if (!runtime.channel) return;
  for (let delayMs: number = BACKOFF_MS.first; !signal.aborted; delayMs = Math.min(delayMs * 2, BACKOFF_MS.max)) {
    try {
      for await (const event of nativeEvents(runtime.channel, namespace, { signal, kinds: ['exited'], pause: (ms) => sleep(clock, ms, signal) })) {
        delayMs = BACKOFF_MS.first;
        if (event.kind === 'exited') emit(processEnded(event));
      }
    } catch (error) {
      if (signal.aborted || isCriError(error, 'Unimplemented')) return;
      log.debug({ error: String(error) }, 'The event stream of containerd broke off');
    }
    await sleep(clock, delayMs, signal).catch(() => {});
  }
}
function processEnded({ containerId, atMs, exitCode = 0 }: NativeEvent): RuntimeEvent {
  return { type: 'ProcessEnded', containerId, atMs, exitCode };
}

const NATIVE_TYPES = { created: 'ContainerCreated', started: 'ContainerStarted', exited: 'ContainerStopped', deleted: 'ContainerDeleted', oom: 'ContainerOOM' } as const;

const fromNative: Source = async ({ runtime, clock, signal, namespace = NAMESPACE }, emit) => {
  const pause = (ms: number) => sleep(clock, ms, signal);
  // Exits wait for the CRI plugin to notice; later events of the same container wait behind them, others pass.
  const settling = new Map<string, Promise<void>>();
  const removals = new Map<string, PromiseWithResolvers<void>>();
  const handle = async (event: NativeEvent & { kind: keyof typeof NATIVE_TYPES }): Promise<void> => {
    if (event.kind === 'exited') {
      await settled(runtime, event.containerId, clock, removals.get(event.containerId)!.promise, signal);
      removals.delete(event.containerId);
    }
    emit({ type: NATIVE_TYPES[event.kind], containerId: event.containerId, atMs: event.atMs });
  };
  for await (const event of nativeEvents(runtime.channel!, namespace, { signal, pause })) {
    if (event.kind === 'subscribed') {
      emit({ type: 'Resync' });
      continue;
    }
    const id = event.containerId;
    if (event.kind === 'taskDeleted') {
      removals.get(id)?.resolve();
      continue;
    }
    if (event.kind === 'exited') {
      removals.set(id, Promise.withResolvers());
      emit(processEnded(event));
    }
    const before = settling.get(id);
    if (!before && event.kind !== 'exited') {
      await handle(event as Parameters<typeof handle>[0]);
      continue;
    }
    const work = (before ?? Promise.resolve()).then(() => handle(event as Parameters<typeof handle>[0])).catch(() => {}).finally(() => {
      if (settling.get(id) === work) settling.delete(id);
    });
    settling.set(id, work);
  }
};

/**
 * Resolves when the CRI status of a container or sandbox shows the exit, 20–40 ms after the event. There is no event for that: the CRI plugin
 * notes the exit some milliseconds after it has removed the task, so nobody is asked before `removed`; a removal that is not told is not waited for.
 */
async function settled(runtime: ContainerRuntime, id: string, clock: Clock, removed: Promise<void>, signal: AbortSignal): Promise<void> {
  const deadline = clock.monotonic() + SETTLE_MS;
  await within(clock, REMOVAL_MS, removed, () => new Error('not told')).catch(() => {});
  for (let delayMs: number = ASK_MS.first; clock.monotonic() < deadline; delayMs = Math.min(2 * delayMs, ASK_MS.max)) {
    await sleep(clock, delayMs, signal);
    if (await hasStopped(runtime, id, signal)) return;
  }
}

async function hasStopped(runtime: ContainerRuntime, id: string, signal: AbortSignal): Promise<boolean> {
  try {
    const { status } = await runtime.containerStatus({ containerId: id }, { signal });
    return status?.state === 'CONTAINER_EXITED';
  } catch (error) {
    if (!isCriError(error, 'NotFound')) throw error instanceof CriError ? error : new Error(String(error));
  }
  try {
    const { status } = await runtime.podSandboxStatus({ podSandboxId: id }, { signal });
    return status?.state === 'SANDBOX_NOTREADY';
  } catch (error) {
    if (isCriError(error, 'NotFound')) return true;
    throw error;
  }
}
