/** The cluster's process as the commands see it: started in the background, found by its pid file, stopped. */
import { spawn } from 'node:child_process';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Clock } from '#base/clock.ts';
import type { NodeConfig } from './config.ts';
import { writeSecretFile } from './pki.ts';
import { readProgress, type ProgressMessage } from './progress.ts';
import { holding } from './runtime/hold.ts';
import { endProcess, isRunning, processInfo, signalProcess, waitForEnd, type ProcessId } from './runtime/processes.ts';

/** A busy cluster needs a while to write its last statuses. */
const STOP_GRACE_MS = 30_000;
/** Pods have the time that `kubelet.yaml` gives them; beyond this somebody has to look. */
const DRAIN_LIMIT_MS = 3_600_000;

export function pidFile(config: Pick<NodeConfig, 'runDir'>): string {
  return join(config.runDir, 'podyard.pid');
}
export function logFile(config: Pick<NodeConfig, 'dataDir'>): string {
  return join(config.dataDir, 'podyard.log');
}
/** The cluster's process, if it runs. */
export async function runningProcess(config: Pick<NodeConfig, 'runDir'>): Promise<ProcessId | undefined> {
  const text = await readFile(pidFile(config), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const id = JSON.parse(text) as ProcessId;
  return (await isRunning(id)) ? id : undefined;
}
export class AlreadyRuns extends Error {}
/** Writes down that this process is the cluster's. Rejects with {@link AlreadyRuns} while another is. */
export async function claimPidFile(config: Pick<NodeConfig, 'runDir'>): Promise<void> {
  const other = await runningProcess(config);
  if (other && other.pid !== process.pid) throw new AlreadyRuns(`Podyard already runs (process ${other.pid}); stop it with: ./podyard down`);
  const own = await processInfo(process.pid);
  await mkdir(config.runDir, { recursive: true, mode: 0o711 });
  await writeSecretFile(pidFile(config), JSON.stringify({ pid: process.pid, startTime: own?.startTime ?? 0 }));
}
export async function releasePidFile(config: Pick<NodeConfig, 'runDir'>): Promise<void> {
  await rm(pidFile(config), { force: true });
}

/**
 * Starts the process detached, its output in the log file; gives its progress until it is ready or has ended. When the signal aborts before,
 * this rejects with its reason, and the process goes on.
 */
export async function* startDaemon(config: NodeConfig, command: readonly string[], signal: AbortSignal): AsyncIterable<ProgressMessage> {
  const log = await open(logFile(config), 'a', 0o600);
  const [file = process.execPath, ...args] = command;
  const child = spawn(file, args, { detached: true, cwd: '/', stdio: ['ignore', log.fd, log.fd, 'pipe'] });
  await log.close();
  const ended = new Promise<ProgressMessage>((resolve) => {
    child.once('error', (err) => resolve({ type: 'failed', message: err.message }));
    child.once('exit', (code, signal) => resolve({ type: 'failed', message: `the cluster's process ended with ${signal ?? `exit code ${code}`}` }));
  });
  child.unref();
  const pipe = child.stdio[3] as Readable;
  let last: ProgressMessage | undefined;
  for await (const message of readProgress(pipe, signal)) {
    last = message;
    yield message;
    if (message.type !== 'step') break;
  }
  pipe.destroy();
  signal.throwIfAborted();
  // The pipe ended without a last word: the exit says why.
  if (!last || last.type === 'step') yield await holding(ended);
}
/** Has the process stop its Pods as at a shutdown of the machine, and end; true when it ran. Rejects when it goes on. */
export async function drainDaemon(config: NodeConfig, clock: Clock): Promise<boolean> {
  const running = await runningProcess(config);
  if (!running) return false;
  await signalProcess(running, 'SIGPWR');
  if (!(await holding(waitForEnd(running, clock, DRAIN_LIMIT_MS)))) throw new Error(`draining: process ${running.pid} has not ended after ${DRAIN_LIMIT_MS / 60_000} minutes`);
  return true;
}
/** Stops the process; true when it ran. Its Pods run on. */
export async function stopDaemon(config: NodeConfig, clock: Clock): Promise<boolean> {
  const running = await runningProcess(config);
  if (running) await holding(endProcess(running, clock, STOP_GRACE_MS));
  await releasePidFile(config);
  return running !== undefined;
}
