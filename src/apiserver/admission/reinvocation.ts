/**
 * The mutating plugins as one, run a second time when a webhook or policy changed the object after others had seen it.
 * Source: the Kubernetes page "Dynamic Admission Control", reinvocation policy.
 */
import type { AdmissionAttributes, AdmissionOperation, AdmissionPlugin, MutableAdmissionAttributes } from '../interfaces.ts';

/** What one kind of mutator knows about one request. */
export interface ReinvocationState {
  /** Who was called and wants to be called again after later changes. */
  readonly reinvocable: Set<string>;
  /** Who must be called in the second round. */
  readonly again: Set<string>;
  /** The object as the last call left it, to see whether plugins changed it since. */
  output?: string | undefined;
}
interface Rounds {
  readonly round: 0 | 1;
  wanted: boolean;
  readonly states: Map<string, ReinvocationState>;
}
const rounds = new WeakMap<AdmissionAttributes, Rounds>();

/** The round of a request, and the state of the mutators called `kind`. */
export function reinvocationOf(a: AdmissionAttributes, kind: string): { readonly isReinvoke: boolean; readonly state: ReinvocationState; request(): void } {
  const now: Rounds = rounds.getOrInsertComputed(a, () => ({ round: 0, wanted: false, states: new Map() }));
  const state = now.states.getOrInsertComputed(kind, () => ({ reinvocable: new Set(), again: new Set() }));
  return { isReinvoke: now.round === 1, state, request: () => void (now.wanted = true) };
}
/** Everyone who wants it will be called again. */
export function scheduleAgain(state: ReinvocationState): void {
  for (const id of state.reinvocable) state.again.add(id);
  state.reinvocable.clear();
}

export class ReinvokingPlugins implements AdmissionPlugin {
  readonly name = 'AdmissionPlugins';
  readonly #by: ReadonlyMap<AdmissionOperation, readonly AdmissionPlugin[]>;
  constructor(plugins: readonly AdmissionPlugin[]) {
    const operations: AdmissionOperation[] = ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'];
    this.#by = new Map(operations.map((o) => [o, plugins.filter((p) => p.handles(o))]));
  }
  handles(operation: AdmissionOperation): boolean {
    return this.#by.get(operation)!.length > 0;
  }
  admit(a: MutableAdmissionAttributes, signal: AbortSignal): void | Promise<void> {
    const plugins = this.#by.get(a.operation)!;
    const first = each(plugins, (p) => p.admit?.(a, signal));
    // Only webhooks and policies ask for a second round, and they are asynchronous.
    return first?.then(async () => {
      const done = rounds.get(a);
      if (!done?.wanted) return;
      rounds.set(a, { round: 1, wanted: false, states: done.states });
      await each(plugins, (p) => p.admit?.(a, signal));
    });
  }
  validate(a: AdmissionAttributes, signal: AbortSignal): void | Promise<void> {
    return each(this.#by.get(a.operation)!, (p) => p.validate?.(a, signal));
  }
}
/** One after another; a promise only when a plugin gave one. */
function each(plugins: readonly AdmissionPlugin[], run: (p: AdmissionPlugin) => void | Promise<void>, from = 0): void | Promise<void> {
  for (let i = from; i < plugins.length; i++) {
    const outcome = run(plugins[i]!);
    if (outcome instanceof Promise) return outcome.then(() => each(plugins, run, i + 1));
  }
  return undefined;
}
