/** Runs one piece of work for each key at a time: asked for again meanwhile it runs once more, and again after the delay that it asks for. */
import type { Clock, Timer } from '#base/clock.ts';

interface Slot {
  running: boolean;
  dirty: boolean;
  timer: Timer | undefined;
}

/** `work` answers with the milliseconds after which it wants to run again; undefined: when somebody asks. It does not throw. */
export class KeyedRunner {
  readonly #clock: Clock;
  readonly #work: (key: string) => Promise<number | undefined>;
  readonly #slots = new Map<string, Slot>();
  readonly #underWay = new Set<Promise<void>>();
  #stopped = false;

  constructor(clock: Clock, work: (key: string) => Promise<number | undefined>) {
    this.#clock = clock;
    this.#work = work;
  }
  ask(key: string): void {
    if (this.#stopped) return;
    let slot = this.#slots.get(key);
    if (!slot) this.#slots.set(key, (slot = { running: false, dirty: false, timer: undefined }));
    slot.dirty = true;
    slot.timer?.cancel();
    slot.timer = undefined;
    if (slot.running) return;
    const run = this.#run(key, slot).finally(() => this.#underWay.delete(run));
    this.#underWay.add(run);
  }
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const slot of this.#slots.values()) slot.timer?.cancel();
    await Promise.all(this.#underWay);
  }

  async #run(key: string, slot: Slot): Promise<void> {
    slot.running = true;
    let again: number | undefined;
    while (slot.dirty && !this.#stopped) {
      slot.dirty = false;
      again = await this.#work(key);
    }
    slot.running = false;
    if (this.#stopped) return;
    if (again === undefined) this.#slots.delete(key);
    else slot.timer = this.#clock.after(again, () => this.ask(key));
  }
}
