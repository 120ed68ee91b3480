/** What a group of processes uses, from its control files. Source: kernel documentation, admin-guide/cgroup-v1 and cgroup-v2. */
import { readFile } from 'node:fs/promises';
import type { CgroupHierarchy } from '../cgroups/hierarchy.ts';
import { readPressures, type Pressures } from './pressure.ts';

/** Bytes, seconds and counts. What the kernel does not tell is absent. */
export interface CgroupUse {
  readonly cpuSeconds: number;
  readonly cpuUserSeconds: number;
  readonly cpuSystemSeconds: number;
  readonly periods: number;
  readonly throttledPeriods: number;
  readonly throttledSeconds: number;
  readonly memoryBytes: number;
  readonly workingSetBytes: number;
  readonly rssBytes: number;
  readonly cacheBytes: number;
  readonly swapBytes: number;
  /** What the group may have in swap; undefined: no limit, or version 1, which bounds it together with memory. */
  readonly swapLimitBytes?: number | undefined;
  readonly mappedFileBytes: number;
  readonly maxMemoryBytes?: number | undefined;
  /** Undefined: no limit. */
  readonly memoryLimitBytes?: number | undefined;
  readonly memoryLimitHits: number;
  readonly oomKills: number;
  readonly pageFaults: number;
  readonly majorPageFaults: number;
  readonly processes: number;
  readonly io: { readonly reads: number; readonly writes: number; readonly readBytes: number; readonly writtenBytes: number };
}
type Stat = ReadonlyMap<string, number>;
type Reader = (controller: string, file: string) => Promise<string>;
const USER_HZ = 100;
/** Beyond this a limit of version 1 is none. */
const NO_LIMIT = 2 ** 62;

/** `key value` lines. */
function statOf(text: string): Stat {
  return new Map(text.split('\n').flatMap((line) => {
    const [key, value] = line.split(' ');
    return key && value !== undefined ? [[key, Number(value)] as const] : [];
  }));
}
/** Undefined where there is no such group. */
export async function cgroupUse(hierarchy: CgroupHierarchy, path: string): Promise<CgroupUse | undefined> {
  const read: Reader = (controller, file) => hierarchy.read(controller, path, file);
  const there = await read('memory', hierarchy.v2 ? 'memory.current' : 'memory.usage_in_bytes');
  if (there === '') return undefined;
  return await (hierarchy.v2 ? useOfV2(read) : useOfV1(read));
}

async function useOfV1(read: Reader): Promise<CgroupUse> {
  const [usage, cpuacct, cpu, memory, stat, max, limit, failcnt, oom, pids, bytes, operations] = await Promise.all([
    read('cpuacct', 'cpuacct.usage'), read('cpuacct', 'cpuacct.stat'), read('cpu', 'cpu.stat'), read('memory', 'memory.usage_in_bytes'), read('memory', 'memory.stat'), read('memory', 'memory.max_usage_in_bytes'),
    read('memory', 'memory.limit_in_bytes'), read('memory', 'memory.failcnt'), read('memory', 'memory.oom_control'), read('pids', 'pids.current'), read('blkio', 'blkio.throttle.io_service_bytes'), read('blkio', 'blkio.throttle.io_serviced'),
  ]);
  const [times, quota, m] = [statOf(cpuacct), statOf(cpu), statOf(stat)];
  const of = (s: Stat, key: string): number => s.get(key) ?? 0;
  return {
    cpuSeconds: Number(usage) / 1e9, cpuUserSeconds: of(times, 'user') / USER_HZ, cpuSystemSeconds: of(times, 'system') / USER_HZ,
    periods: of(quota, 'nr_periods'), throttledPeriods: of(quota, 'nr_throttled'), throttledSeconds: of(quota, 'throttled_time') / 1e9,
    memoryBytes: Number(memory), workingSetBytes: Math.max(0, Number(memory) - of(m, 'total_inactive_file')), rssBytes: of(m, 'total_rss'), cacheBytes: of(m, 'total_cache'), swapBytes: of(m, 'total_swap'),
    mappedFileBytes: of(m, 'total_mapped_file'), ...(max === '' ? {} : { maxMemoryBytes: Number(max) }), ...(Number(limit) > 0 && Number(limit) < NO_LIMIT ? { memoryLimitBytes: Number(limit) } : {}),
    memoryLimitHits: Number(failcnt), oomKills: of(statOf(oom), 'oom_kill'), pageFaults: of(m, 'total_pgfault'), majorPageFaults: of(m, 'total_pgmajfault'), processes: Number(pids),
    io: { reads: blkio(operations, 'Read'), writes: blkio(operations, 'Write'), readBytes: blkio(bytes, 'Read'), writtenBytes: blkio(bytes, 'Write') },
  };
}
async function useOfV2(read: Reader): Promise<CgroupUse> {
  const [cpu, memory, stat, max, limit, swap, maxSwap, events, pids, io] = await Promise.all([
    read('cpu', 'cpu.stat'), read('memory', 'memory.current'), read('memory', 'memory.stat'), read('memory', 'memory.peak'), read('memory', 'memory.max'), read('memory', 'memory.swap.current'), read('memory', 'memory.swap.max'), read('memory', 'memory.events'),
    read('pids', 'pids.current'), read('io', 'io.stat'),
  ]);
  const [c, m, e] = [statOf(cpu), statOf(stat), statOf(events)];
  const of = (s: Stat, key: string): number => s.get(key) ?? 0;
  const sum = (key: string): number => [...io.matchAll(new RegExp(`\\b${key}=(\\d+)`, 'g'))].reduce((n, [, v]) => n + Number(v), 0);
  return {
    cpuSeconds: of(c, 'usage_usec') / 1e6, cpuUserSeconds: of(c, 'user_usec') / 1e6, cpuSystemSeconds: of(c, 'system_usec') / 1e6,
    periods: of(c, 'nr_periods'), throttledPeriods: of(c, 'nr_throttled'), throttledSeconds: of(c, 'throttled_usec') / 1e6,
    memoryBytes: Number(memory), workingSetBytes: Math.max(0, Number(memory) - of(m, 'inactive_file')), rssBytes: of(m, 'anon'), cacheBytes: of(m, 'file'), swapBytes: Number(swap), mappedFileBytes: of(m, 'file_mapped'), ...(/^\d/.test(maxSwap) ? { swapLimitBytes: Number(maxSwap) } : {}),
    ...(max === '' ? {} : { maxMemoryBytes: Number(max) }), ...(/^\d/.test(limit) ? { memoryLimitBytes: Number(limit) } : {}),
    memoryLimitHits: of(e, 'max'), oomKills: of(e, 'oom_kill'), pageFaults: of(m, 'pgfault'), majorPageFaults: of(m, 'pgmajfault'), processes: Number(pids),
    io: { reads: sum('rios'), writes: sum('wios'), readBytes: sum('rbytes'), writtenBytes: sum('wbytes') },
  };
}
/** Sum over all devices: `8:0 Read 4096`. */
function blkio(text: string, operation: 'Read' | 'Write'): number {
  return [...text.matchAll(new RegExp(`^\\d+:\\d+ ${operation} (\\d+)$`, 'gm'))].reduce((n, [, v]) => n + Number(v), 0);
}
/** What a group waits for; empty where the kernel does not tell. */
export function cgroupPressures(hierarchy: CgroupHierarchy, path: string): Promise<Pressures> {
  return readPressures((name) => hierarchy.readUnified(path, `${name}.pressure`));
}

export interface InterfaceUse {
  readonly name: string;
  readonly received: { readonly bytes: number; readonly packets: number; readonly errors: number; readonly dropped: number };
  readonly transmitted: { readonly bytes: number; readonly packets: number; readonly errors: number; readonly dropped: number };
}
/** The interfaces of a process's network but its loopback; none when it is gone. */
export async function networkUse(pid: number, proc = '/proc'): Promise<InterfaceUse[]> {
  const text = await readFile(`${proc}/${pid}/net/dev`, 'utf8').catch(() => '');
  return [...text.matchAll(/^\s*([^\s:]+):\s*(.+)$/gm)].flatMap(([, name = '', numbers = '']) => {
    if (name === 'lo') return [];
    const [rb = 0, rp = 0, re = 0, rd = 0, , , , , tb = 0, tp = 0, te = 0, td = 0] = numbers.trim().split(/\s+/).map(Number);
    return [{ name, received: { bytes: rb, packets: rp, errors: re, dropped: rd }, transmitted: { bytes: tb, packets: tp, errors: te, dropped: td } }];
  });
}
