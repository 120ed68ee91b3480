/** What a node can run out of, and what it has left. Source: concepts/scheduling-eviction/node-pressure-eviction. */
import { readFile, statfs } from 'node:fs/promises';
import { parseQuantity } from '#machinery/quantity.ts';

export const SIGNALS = ['memory.available', 'nodefs.available', 'nodefs.inodesFree', 'imagefs.available', 'imagefs.inodesFree', 'pid.available'] as const;
/** `allocatableMemory.available`: what all Pods together have left of what they may use; its threshold follows from the one of `memory.available`. */
export type EvictionSignal = (typeof SIGNALS)[number] | 'allocatableMemory.available';
export type NodePressure = 'MemoryPressure' | 'DiskPressure' | 'PIDPressure';
/** Pressure that the node reports in its conditions. */
export interface Pressure {
  readonly memory: boolean;
  readonly disk: boolean;
  readonly pid: boolean;
}
/** Bytes, inodes or process IDs. */
export interface Observation {
  readonly available: number;
  readonly capacity: number;
}
export type Observations = ReadonlyMap<EvictionSignal, Observation>;

export const CONDITION_OF: Readonly<Record<EvictionSignal, NodePressure>> = {
  'memory.available': 'MemoryPressure', 'allocatableMemory.available': 'MemoryPressure', 'nodefs.available': 'DiskPressure', 'nodefs.inodesFree': 'DiskPressure', 'imagefs.available': 'DiskPressure', 'imagefs.inodesFree': 'DiskPressure', 'pid.available': 'PIDPressure',
};
export type EvictionResource = 'memory' | 'ephemeral-storage' | 'inodes' | 'pids';
/** The resource that messages name. */
export const RESOURCE_OF: Readonly<Record<EvictionSignal, EvictionResource>> = {
  'memory.available': 'memory', 'allocatableMemory.available': 'memory', 'nodefs.available': 'ephemeral-storage', 'nodefs.inodesFree': 'inodes', 'imagefs.available': 'ephemeral-storage', 'imagefs.inodesFree': 'inodes', 'pid.available': 'pids',
};

/** Reads what is left. `imageDir` is on the file system that holds images and writable layers; `allPods` is the memory of all Pods together. */
export async function observe(nodeDir: string, imageDir: string | undefined, allPods?: Observation): Promise<Observations> {
  const read = (path: string): Promise<string> => readFile(path, 'utf8').catch(() => '');
  const [meminfo, loadavg, pidMax, nodefs, imagefs] = await Promise.all([read('/proc/meminfo'), read('/proc/loadavg'), read('/proc/sys/kernel/pid_max'), statfs(nodeDir), imageDir ? statfs(imageDir).catch(() => undefined) : undefined]);
  const out = new Map<EvictionSignal, Observation>(allPods ? [['allocatableMemory.available', allPods]] : []);
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(meminfo)?.[1] ?? NaN) * 1024;
  out.set('memory.available', { available: kib('MemAvailable'), capacity: kib('MemTotal') });
  out.set('pid.available', { available: Number(pidMax) - Number(/\d+\/(\d+)/.exec(loadavg)?.[1] ?? NaN), capacity: Number(pidMax) });
  for (const [name, fs] of [['nodefs', nodefs], ['imagefs', imagefs]] as const) {
    if (!fs) continue;
    out.set(`${name}.available`, { available: fs.bavail * fs.bsize, capacity: fs.blocks * fs.bsize });
    // File systems that make inodes as they need them have none to count.
    if (fs.files > 0) out.set(`${name}.inodesFree`, { available: fs.ffree, capacity: fs.files });
  }
  return out;
}

export interface Threshold {
  readonly signal: EvictionSignal;
  /** A quantity, or a share of the capacity: `100Mi`, `10%`. */
  readonly value: string;
  /** How long it must be met before Pods are evicted; 0: at once, with the least grace. */
  readonly gracePeriodMs: number;
  /** How much more than the threshold must be left before it is no longer met: a quantity or a share. */
  readonly minReclaim?: string | undefined;
}
/** Bytes (or inodes, or IDs) below which a threshold is met. */
export function thresholdAmount(threshold: Threshold, capacity: number): number {
  return amountOf(threshold.value, capacity);
}
function amountOf(value: string, capacity: number): number {
  return value.endsWith('%') ? Math.floor((capacity * Number(value.slice(0, -1))) / 100) : Number(parseQuantity(value).value());
}
/** `unresolved`: those that were met before, which stay so until their least reclaim is reached too. */
export function thresholdsMet(thresholds: readonly Threshold[], observations: Observations, unresolved: ReadonlySet<Threshold> = new Set()): Threshold[] {
  return thresholds.filter((t) => {
    const seen = observations.get(t.signal);
    return seen !== undefined && seen.available < thresholdAmount(t, seen.capacity) + (unresolved.has(t) && t.minReclaim ? amountOf(t.minReclaim, seen.capacity) : 0);
  });
}
/** Parses `{ 'memory.available': '100Mi' }`. Throws for a signal or a value that is none. */
export function parseThresholds(values: Readonly<Record<string, string>>, gracePeriodsMs: Readonly<Record<string, number>> = {}, minReclaims: Readonly<Record<string, string>> = {}): Threshold[] {
  return Object.entries(values).map(([signal, value]) => {
    if (!(SIGNALS as readonly string[]).includes(signal)) throw new Error(`eviction threshold: "${signal}" is none of ${SIGNALS.join(', ')}`);
    const share = /^(\d+(?:\.\d+)?)%$/.exec(value);
    if (share && (Number(share[1]) < 0 || Number(share[1]) > 100)) throw new Error(`eviction threshold ${signal}: ${value} is not between 0% and 100%`);
    if (!share) parseQuantity(value);
    return { signal: signal as EvictionSignal, value, gracePeriodMs: gracePeriodsMs[signal] ?? 0, ...(minReclaims[signal] === undefined ? {} : { minReclaim: minReclaims[signal] }) };
  });
}
/** Those that Pods as a whole are held to where their memory is bounded: the hard ones of the node's memory. */
export function allocatableThresholds(hard: readonly Threshold[]): Threshold[] {
  return hard.filter((t) => t.signal === 'memory.available').map((t) => ({ ...t, signal: 'allocatableMemory.available' }));
}
