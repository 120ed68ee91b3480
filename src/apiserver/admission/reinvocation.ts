/**
 * The mutating plugins as one, run a second time when a webhook or policy changed the object after others had seen it.
 * Source: the Kubernetes page "Dynamic Admission Control", reinvocation policy.
 */
import type { AdmissionAttributes, AdmissionOperation, AdmissionPlugin, MutableAdmissionAttributes } from '../interfaces.ts';
import type { Buckets } from '../http/request-metrics.ts';
import { UNMEASURED, type Measured, type Phase } from './metrics.ts';

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

/** One plugin for one operation, with the times of what it let pass. */
interface Step {
  readonly plugin: AdmissionPlugin;
  readonly passed: Readonly<Record<Phase, Buckets | undefined>>;
}

export class ReinvokingPlugins implements AdmissionPlugin {
  readonly name = 'AdmissionPlugins';
  readonly #by: ReadonlyMap<AdmissionOperation, readonly Step[]>;
  /** Times of whole phases that let a request pass. */
  readonly #passed: ReadonlyMap<AdmissionOperation, Readonly<Record<Phase, Buckets>>>;
  readonly #measured: Measured;
  constructor(plugins: readonly AdmissionPlugin[], measured = UNMEASURED) {
    const { metrics } = (this.#measured = measured);
    const operations: AdmissionOperation[] = ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'];
    const stepOf = (plugin: AdmissionPlugin, o: AdmissionOperation): Step => ({ plugin, passed: { admit: plugin.admit && metrics.controller(plugin.name, 'admit', o, false), validate: plugin.validate && metrics.controller(plugin.name, 'validate', o, false) } });
    this.#passed = new Map(operations.map((o) => [o, { admit: metrics.step('admit', o, false), validate: metrics.step('validate', o, false) }]));
    this.#by = new Map(operations.map((o) => [o, plugins.filter((p) => p.handles(o)).map((p) => stepOf(p, o))]));
  }
  handles(operation: AdmissionOperation): boolean {
    return this.#by.get(operation)!.length > 0;
  }
  admit(a: MutableAdmissionAttributes, signal: AbortSignal): void | Promise<void> {
    return this.#phase('admit', a, () => {
      const first = this.#each('admit', a, signal);
      // Only webhooks and policies ask for a second round, and they are asynchronous.
      return first?.then(async () => {
        const done = rounds.get(a);
        if (!done?.wanted) return;
        rounds.set(a, { round: 1, wanted: false, states: done.states });
        await this.#each('admit', a, signal);
      });
    });
  }
  validate(a: AdmissionAttributes, signal: AbortSignal): void | Promise<void> {
    return this.#phase('validate', a as MutableAdmissionAttributes, () => this.#each('validate', a as MutableAdmissionAttributes, signal));
  }

  #phase(type: Phase, { operation }: AdmissionAttributes, run: () => void | Promise<void>): void | Promise<void> {
    const { clock, metrics } = this.#measured;
    const started = clock.monotonic();
    return settled(run, (rejected) => (rejected ? metrics.step(type, operation, true) : this.#passed.get(operation)![type]).observe((clock.monotonic() - started) / 1000));
  }
  /** One after another; a promise only when a plugin gave one. What one plugin ends at is the time at which the next one starts. */
  #each(type: Phase, a: MutableAdmissionAttributes, signal: AbortSignal, from = 0): void | Promise<void> {
    const { clock } = this.#measured;
    const steps = this.#by.get(a.operation)!;
    let at = clock.monotonic();
    for (let i = from; i < steps.length; i++) {
      const { plugin, passed } = steps[i]!;
      const times = passed[type];
      if (!times) continue;
      let outcome: void | Promise<void>;
      try {
        outcome = plugin[type]!(a, signal);
      } catch (err) {
        this.#refused(plugin, type, a, at);
        throw err;
      }
      if (outcome instanceof Promise) return this.#later(outcome, { type, a, signal, i, at });
      const now = clock.monotonic();
      times.observe((now - at) / 1000);
      at = now;
    }
    return undefined;
  }
  async #later(outcome: Promise<void>, { type, a, signal, i, at }: { readonly type: Phase; readonly a: MutableAdmissionAttributes; readonly signal: AbortSignal; readonly i: number; readonly at: number }): Promise<void> {
    const { plugin, passed } = this.#by.get(a.operation)![i]!;
    try {
      await outcome;
    } catch (err) {
      this.#refused(plugin, type, a, at);
      throw err;
    }
    passed[type]!.observe((this.#measured.clock.monotonic() - at) / 1000);
    return this.#each(type, a, signal, i + 1);
  }
  #refused(plugin: AdmissionPlugin, type: Phase, a: AdmissionAttributes, at: number): void {
    const { clock, metrics } = this.#measured;
    metrics.controller(plugin.name, type, a.operation, true).observe((clock.monotonic() - at) / 1000);
  }
}
/** Runs, and tells how it ended, at once or later. */
function settled(run: () => void | Promise<void>, done: (rejected: boolean) => void): void | Promise<void> {
  let outcome: void | Promise<void>;
  try {
    outcome = run();
  } catch (err) {
    done(true);
    throw err;
  }
  if (!(outcome instanceof Promise)) return done(false);
  return outcome.then(() => done(false), (err: unknown) => {
    done(true);
    throw err;
  });
}
