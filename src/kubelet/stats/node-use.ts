/** What the whole machine uses, from /proc. */
import { readFile } from 'node:fs/promises';
import type { Clock } from '#base/clock.ts';
import { readPressures, type Pressures } from './pressure.ts';

export interface NodeUse {
  readonly cpuNanoSeconds: number;
  /** Billionths of a core, since an earlier reading; undefined where there was none. */
  readonly nanoCores: number | undefined;
  readonly memory: { readonly usedBytes: number; readonly availableBytes: number; readonly workingSetBytes: number; readonly rssBytes: number; readonly pageFaults: number; readonly majorPageFaults: number };
  readonly swap: { readonly usedBytes: number; readonly availableBytes: number };
  readonly pressures: Pressures;
}
interface Reading {
  /** Milliseconds of the monotonic clock. */
  readonly at: number;
  readonly cpuNanoSeconds: number;
}
const TICK_NANOS = 10_000_000;
/** Rates over less than this are those of single ticks. */
const MIN_SPAN_MS = 1000;

/** Reads, and remembers when it did, so that a rate can be told. */
export class NodeUseMeter {
  readonly #clock: Clock;
  readonly #proc: string;
  /** The newest that is far enough from the next. */
  #older: Reading | undefined;
  #newer: Reading | undefined;

  constructor(clock: Clock, proc = '/proc') {
    this.#clock = clock;
    this.#proc = proc;
  }
  async read(): Promise<NodeUse> {
    const file = (name: string): Promise<string> => readFile(`${this.#proc}/${name}`, 'utf8');
    const optional = (name: string): Promise<string> => file(name).catch(() => '');
    const [stat, meminfo, vmstat, pressures] = await Promise.all([file('stat'), file('meminfo'), optional('vmstat'), readPressures((name) => optional(`pressure/${name}`))]);
    const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = (/^cpu\s+(.*)$/m.exec(stat)?.[1] ?? '').split(/\s+/).map(Number);
    const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(meminfo)?.[1] ?? 0) * 1024;
    const count = (name: string): number => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(vmstat)?.[1] ?? 0);
    const cpuNanoSeconds = (user + nice + system + irq + softirq) * TICK_NANOS;
    const [total, available] = [kib('MemTotal'), kib('MemAvailable')];
    return {
      cpuNanoSeconds, nanoCores: this.#rate(cpuNanoSeconds),
      memory: { usedBytes: total - kib('MemFree'), availableBytes: available, workingSetBytes: total - available, rssBytes: kib('AnonPages'), pageFaults: count('pgfault'), majorPageFaults: count('pgmajfault') },
      swap: { usedBytes: kib('SwapTotal') - kib('SwapFree'), availableBytes: kib('SwapFree') },
      pressures,
    };
  }
  #rate(cpuNanoSeconds: number): number | undefined {
    const at = this.#clock.monotonic();
    if (!this.#newer || at - this.#newer.at >= MIN_SPAN_MS) {
      this.#older = this.#newer;
      this.#newer = { at, cpuNanoSeconds };
    }
    const from = this.#older;
    return from && Math.max(0, Math.round((cpuNanoSeconds - from.cpuNanoSeconds) / ((at - from.at) / 1000)));
  }
}
