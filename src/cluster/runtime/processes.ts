/** Processes by what `/proc` says about them. A process is its pid and its start time: pids are used again. */
import { readdir } from 'node:fs/promises';
import { sleep, type Clock } from '#base/clock.ts';
import { readFileIfThere } from './files.ts';

export interface ProcessId {
  readonly pid: number;
  /** In clock ticks since the boot. */
  readonly startTime: number;
}
export interface ProcessInfo extends ProcessId {
  readonly parent: number;
  readonly args: readonly string[];
}

/** Undefined when there is no such process, or only its remains that wait for its parent. */
export async function processInfo(pid: number): Promise<ProcessInfo | undefined> {
  const [stat, cmdline] = await Promise.all([readFileIfThere(`/proc/${pid}/stat`), readFileIfThere(`/proc/${pid}/cmdline`)]);
  if (stat === undefined || cmdline === undefined) return undefined;
  // The second field, the name in parentheses, may itself have spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
  return { pid, parent: Number(fields[1]), startTime: Number(fields[19]), args: cmdline.split('\0').slice(0, -1) };
}

export async function isRunning(id: ProcessId): Promise<boolean> {
  return (await processInfo(id.pid))?.startTime === id.startTime;
}

export async function listProcesses(): Promise<ProcessInfo[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const infos = await Promise.all(pids.map(processInfo));
  return infos.filter((info) => info !== undefined);
}

/** Those that descend from `pid`, which is not among them. */
export function descendantsOf(processes: readonly ProcessInfo[], pid: number): ProcessInfo[] {
  const children = processes.filter((p) => p.parent === pid);
  return children.flatMap((child) => [child, ...descendantsOf(processes, child.pid)]);
}

/** Sends a signal if it is still the same process. */
export async function signalProcess(id: ProcessId, signal: NodeJS.Signals): Promise<void> {
  if (!(await isRunning(id))) return;
  try {
    process.kill(id.pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/**
 * Resolves with true when the process has ended, with false when it has not within `timeoutMs`. It need not be a child of
 * ours, and the kernel tells only parents: so this looks again and again, for a short time.
 */
export async function waitForEnd(id: ProcessId, clock: Clock, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
  const deadline = clock.monotonic() + timeoutMs;
  for (let delayMs = 2; await isRunning(id); delayMs = Math.min(delayMs * 2, 50)) {
    if (clock.monotonic() >= deadline) return false;
    await sleep(clock, delayMs, signal);
  }
  return true;
}

/**
 * After the connection to a process was lost: resolves with true when `connect` has made it again, with false when the process has ended, which
 * is seen a moment later than the loss. Rejects with what `connect` rejects with.
 */
export async function isBack(id: ProcessId, connect: (signal: AbortSignal) => Promise<void>, clock: Clock, timeoutMs: number, signal: AbortSignal): Promise<boolean> {
  const settled = new AbortController();
  const either = AbortSignal.any([signal, settled.signal]);
  const connected = connect(either).then(() => true);
  const ended = waitForEnd(id, clock, timeoutMs, either).then((has) => (has ? false : connected));
  try {
    return await Promise.race([connected, ended]);
  } finally {
    settled.abort();
  }
}

/** SIGTERM, and SIGKILL when that was not enough. Resolves when it has ended. */
export async function endProcess(id: ProcessId, clock: Clock, graceMs: number): Promise<void> {
  await signalProcess(id, 'SIGTERM');
  if (await waitForEnd(id, clock, graceMs)) return;
  await signalProcess(id, 'SIGKILL');
  if (!(await waitForEnd(id, clock, graceMs))) throw new Error(`ending process ${id.pid}: it is still there after SIGKILL`);
}
