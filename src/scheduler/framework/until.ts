/** Waiting for others to write what a binding needs. */
import type { KubeObject } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import type { Lister } from './handle.ts';

export interface UntilOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Subscribes to what the answer depends on; gives what unsubscribes. */
  readonly watch: readonly ((check: () => void) => () => void)[];
  /** Throws where it will never be. */
  isDone(): boolean;
}
/** A change of any object of a resource, for {@link UntilOptions.watch}. */
export function onChangeOf<T extends KubeObject>(lister: Lister<T>): (check: () => void) => () => void {
  return (check) => lister.addHandler({ onAdd: check, onUpdate: check, onDelete: check });
}

/** Resolves when `isDone` says so, asked at once and after each change. Rejects with what it throws, with the signal's reason, or with `context deadline exceeded`. */
export function until({ clock, timeoutMs, watch, isDone }: UntilOptions, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const removers: (() => void)[] = [];
    const end = (settle: () => void) => {
      timer.cancel();
      signal.removeEventListener('abort', onAbort);
      for (const remove of removers.splice(0)) remove();
      settle();
    };
    // Adding a handler tells it of everything there is: of no interest here.
    let listening = false;
    const check = () => {
      if (!listening) return;
      try {
        if (isDone()) end(resolve);
      } catch (err) {
        end(() => reject(err instanceof Error ? err : new Error(String(err))));
      }
    };
    const onAbort = () => end(() => reject(signal.reason instanceof Error ? signal.reason : new Error(String(signal.reason))));
    const timer = clock.after(timeoutMs, () => end(() => reject(new Error('context deadline exceeded'))));
    if (signal.aborted) return onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    for (const subscribe of watch) removers.push(subscribe(check));
    listening = true;
    check();
  });
}
