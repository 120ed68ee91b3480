import { criMessage } from './schema.ts';
import type { ContainerEventResponse, ContainerEventType } from './types.ts';

const MAX_QUEUED = 10_000;

/** The event stream of a {@link FakeRuntime}. A subscriber that does not read is cut off at 10,000 events. */
export class FakeEvents {
  readonly #subscribers = new Set<(event: ContainerEventResponse) => void>();

  emit(containerId: string, containerEventType: ContainerEventType, createdAt: number): void {
    if (this.#subscribers.size === 0) return;
    const event = criMessage('ContainerEventResponse', { containerId, containerEventType, createdAt });
    for (const send of this.#subscribers) send(event);
  }

  /** The events from now on. Ends with the signal's reason, as a cancelled call does. */
  async *subscribe(signal?: AbortSignal): AsyncGenerator<ContainerEventResponse> {
    let queue: ContainerEventResponse[] = [];
    let wake: (() => void) | undefined;
    let overflow = false;
    const send = (event: ContainerEventResponse) => {
      if (queue.length >= MAX_QUEUED) overflow = true;
      else queue.push(event);
      wake?.();
    };
    const onAbort = () => wake?.();
    this.#subscribers.add(send);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      for (;;) {
        signal?.throwIfAborted();
        const batch = queue;
        queue = [];
        yield* batch;
        if (overflow) throw new Error('the reader of the event stream is too slow');
        if (queue.length === 0 && !signal?.aborted) await new Promise<void>((resolve) => (wake = resolve));
        wake = undefined;
      }
    } finally {
      this.#subscribers.delete(send);
      signal?.removeEventListener('abort', onAbort);
    }
  }
}
