/** What the whole machine uses, from /proc. */
import { readFile } from 'node:fs/promises';
import type { Clock } from '#base/clock.ts';
import { CpuRate } from './cpu-rate.ts';
import { readPressures, type Pressures } from './pressure.ts';

export interface NodeUse {
  readonly cpuNanoSeconds: number;
  /** Billionths of a core, since an earlier reading; undefined where there was none. */
  readonly nanoCores: number | undefined;
  readonly memory: { readonly usedBytes: number; readonly availableBytes: number; readonly workingSetBytes: number; readonly rssBytes: number; readonly pageFaults: number; readonly majorPageFaults: number };
  readonly swap: { readonly usedBytes: number; readonly availableBytes: number };
  readonly pressures: Pressures;
}
const TICK_NANOS = 10_000_000;

/** Reads, and remembers when it did, so that a rate can be told. */
export class NodeUseMeter {
  readonly #rate: CpuRate;
  readonly #proc: string;

  constructor(clock: Clock, proc = '/proc') {
    this.#rate = new CpuRate(clock);
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
      cpuNanoSeconds, nanoCores: this.#rate.read(cpuNanoSeconds),
      memory: { usedBytes: total - kib('MemFree'), availableBytes: available, workingSetBytes: total - available, rssBytes: kib('AnonPages'), pageFaults: count('pgfault'), majorPageFaults: count('pgmajfault') },
      swap: { usedBytes: kib('SwapTotal') - kib('SwapFree'), availableBytes: kib('SwapFree') },
      pressures,
    };
  }
}
