/** A process of Podyard, whatever runs in it: its pid file, its journal of host changes, its components from start to stop. */
import { join } from 'node:path';
import type { Clock } from '#base/clock.ts';
import { ComponentGroup, type ComponentRow } from '#base/component-group.ts';
import { logger } from '#base/logger.ts';
import type { Kubelet } from '#kubelet/kubelet.ts';
import type { NodeConfig } from './config.ts';
import { claimPidFile, releasePidFile } from './daemon.ts';
import { collectWhenIdle, thisProcess } from './idle-garbage.ts';
import type { ProgressReporter } from './progress.ts';
import { remedyOf } from './remedy.ts';
import { HostChangeJournal, type HostChanges } from './runtime/host-changes.ts';

const log = logger('podyard');

/** What the rows of every table share. */
export interface ProcessAssembly {
  /** Names of the rows that are ready. */
  readonly ready: ReadonlySet<string>;
  readonly clock: Clock;
  readonly changes: HostChanges;
  kubelet?: Kubelet;
}
export interface ProcessOptions {
  readonly config: NodeConfig;
  readonly clock: Clock;
  /** Hears of each step and of readiness. */
  readonly reporter: ProgressReporter | undefined;
  /** Stops the process; its Pods go on. */
  readonly signal: AbortSignal;
  /** Stops the Pods as at a shutdown of the machine, and then the process. */
  readonly powerDown: AbortSignal;
}
export interface ProcessTable<A extends ProcessAssembly> {
  assemble(parts: ProcessAssembly): A;
  table(assembly: A): ComponentRow[];
  /** Everything is ready. */
  onStarted?(assembly: A): Promise<void>;
  /** Everything has stopped. */
  close?(): Promise<void>;
}

/** Runs the components until the signal aborts or one fails. Resolves after everything was stopped; rejects with what failed. */
export async function runComponents<A extends ProcessAssembly>({ config, clock, reporter, signal, powerDown }: ProcessOptions, { assemble, table, onStarted, close }: ProcessTable<A>): Promise<void> {
  const began = clock.monotonic();
  await claimPidFile(config);
  const changes = await HostChangeJournal.open(join(config.dataDir, 'host-changes.jsonl'), clock);
  await changes.record('empty-directory', config.runDir);
  const ready = new Set<string>();
  const assembly = assemble({ ready, clock, changes });
  const onReady = (name: string, ms: number): void => {
    ready.add(name);
    reporter?.tell({ type: 'step', name, ms });
  };
  const over = new AbortController();
  const collecting = collectWhenIdle({ clock, ...thisProcess() }, over.signal);
  const group = new ComponentGroup(table(assembly), () => clock.monotonic(), { onReady });
  try {
    await group.start(signal);
    await onStarted?.(assembly);
    reporter?.tell({ type: 'ready', ms: clock.monotonic() - began });
    reporter?.close();
    log.info({ ms: Math.round(clock.monotonic() - began) }, 'Everything is ready');
    const failure = await Promise.race([group.failed, aborted(signal), aborted(powerDown).then(() => assembly.kubelet?.shutDownNode(signal))]);
    if (failure) throw failure;
  } catch (err) {
    if (!signal.aborted) reporter?.tell({ type: 'failed', message: (err as Error).message, remedy: remedyOf(err) });
    throw err;
  } finally {
    over.abort();
    await collecting;
    await group.stop();
    await close?.();
    await changes.close();
    await releasePidFile(config);
  }
}
function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve(), { once: true })));
}
