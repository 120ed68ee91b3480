/** What `up` and `join` share: preparing the machine, starting the process in the background or here, showing its steps. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { systemClock } from '#base/clock.ts';
import { waitForNode } from '#cluster/admin.ts';
import type { NodeConfig } from '#cluster/config.ts';
import { startDaemon, logFile } from '#cluster/daemon.ts';
import { startAtBoot, unitName } from '#cluster/host/boot-unit.ts';
import { machineProblems, missingTools, findCommand, type Problem } from '#cluster/host/preflight.ts';
import { installPackages } from '#cluster/host/packages.ts';
import type { ProgressReporter } from '#cluster/progress.ts';
import { HostChangeJournal } from '#cluster/runtime/host-changes.ts';
import { durationOf, type FlagSpec, type Parsed } from './arguments.ts';
import { endingSignals } from './signals.ts';
import { complain, confirm, duration, say, sayStep, step } from './terminal.ts';

export const START_FLAGS = {
  yes: { type: 'boolean', help: 'install missing Debian packages without asking' },
  'wait-timeout': { type: 'string', value: 'DURATION', help: 'how long to wait for the node to be Ready (default 5m)' },
  'at-boot': { type: 'boolean', help: 'have systemd start it with the machine from now on' },
  foreground: { type: 'boolean', help: 'stay attached and log to this terminal; Ctrl+C stops it' },
} as const satisfies Readonly<Record<string, FlagSpec>>;

const WAIT_MS = 300_000;
const KUBECTL_PACKAGE = 'kubernetes-client';

/** How long to wait for the node. Throws a usage error for what is no duration. */
export function waitMsOf(parsed: Parsed): number {
  return durationOf(parsed, 'wait-timeout') ?? WAIT_MS;
}
function listProblems(problems: readonly Problem[]): void {
  for (const p of problems) say(`✘ ${p.what}\n    → ${p.remedy}`);
}
/** Installs what is missing, when the person agrees. False: it is still missing. */
export async function prepareMachine(parsed: Parsed, { ownRuntime, wantsKubectl }: { readonly ownRuntime: boolean; readonly wantsKubectl: boolean }): Promise<boolean> {
  const broken = await machineProblems();
  if (broken.length) {
    listProblems(broken);
    complain('this machine cannot run a cluster yet: see above');
    return false;
  }
  const missing = await missingTools(ownRuntime);
  const kubectl = !wantsKubectl || (await findCommand('kubectl')) ? [] : [KUBECTL_PACKAGE];
  const packages = [...new Set([...missing.flatMap((m) => m.debianPackage ?? []), ...kubectl])];
  if (packages.length === 0) return true;
  listProblems(missing);
  if (!parsed.flags['yes'] && !(await confirm(`Install ${packages.join(', ')} with apt-get?`))) {
    if (missing.length === 0) return true;
    complain(`install them (apt-get install ${packages.join(' ')}), or run this command again with --yes`);
    return false;
  }
  await step(`packages installed: ${packages.join(', ')}`, () => installPackages(packages, () => {}));
  return true;
}

/**
 * How Node runs the cluster's process. By itself its young generation grows to three times 32 MB under load and stays so: 228 MB resident after a
 * thousand requests where this makes 155. Creates and GETs cost the same CPU either way. And under load its heap may grow to four times what is alive before
 * it collects garbage: 107 MB alive in 330. Two and a half times costs three more collections in 100,000 creates. What lies there when the work is done is
 * collected by the process itself, which must be able to ask for that.
 */
const NODE_FLAGS = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=8', '--heap-growing-percent=150', '--expose-gc'];

function processCommand(args: readonly string[]): string[] {
  return [process.execPath, ...NODE_FLAGS, fileURLToPath(new URL('./podyard.ts', import.meta.url)), 'serve', ...args];
}
/** Has the machine start the process with itself, where the user asks for that. */
export async function bootIfWanted(config: NodeConfig, parsed: Parsed): Promise<void> {
  if (!parsed.flags['at-boot']) return;
  const changes = await HostChangeJournal.open(join(config.dataDir, 'host-changes.jsonl'), systemClock);
  try {
    await step(`starts with the machine (${unitName(config)})`, () => startAtBoot(config, processCommand([`--data-dir=${config.dataDir}`]), changes));
  } finally {
    await changes.close();
  }
}
/** Starts the process and shows its steps until it serves. False: it could not start, and why has been said. */
async function runInBackground(config: NodeConfig, what: string, args: readonly string[], signal: AbortSignal): Promise<boolean> {
  for await (const message of startDaemon(config, processCommand(args), signal)) {
    if (message.type === 'step') sayStep(message.name, message.ms);
    if (message.type === 'failed') {
      complain(`${what} did not start: ${message.message}`);
      if (message.remedy) say(`    → ${message.remedy}`);
      say(`    → see ${logFile(config)}`);
      return false;
    }
  }
  return true;
}
/** What comes when the node is Ready. */
export interface Startup {
  /** The process's own arguments. */
  readonly serveArgs: readonly string[];
  /** What is awaited: `the cluster`, `the node`. */
  readonly what: string;
  /** How long. */
  readonly waitMs: number;
  finish(): Promise<void>;
}
/** Starts the process in the background and waits for its node. Resolves with the command's exit code. */
export async function inBackground(config: NodeConfig, { serveArgs, what, waitMs, finish }: Startup): Promise<number> {
  const limit = AbortSignal.timeout(waitMs);
  try {
    if (!(await runInBackground(config, what, serveArgs, limit))) return 1;
    await step(`node ${config.nodeName} is Ready`, () => waitForNode(config, limit));
    await finish();
    return 0;
  } catch (err) {
    if (!limit.aborted) throw err;
    complain(`${what} is not up after ${duration(waitMs)}${err === limit.reason ? '' : `: ${(err as Error).message}`}`);
    say(`    → it goes on starting: see ${logFile(config)} and ./podyard status; ./podyard down stops it`);
    return 1;
  }
}
/** Runs the process in this one until a signal ends it. Resolves with the command's exit code. */
export async function inForeground(run: (reporter: ProgressReporter, stop: AbortSignal, powerDown: AbortSignal) => Promise<void>): Promise<number> {
  const { stop, powerDown } = endingSignals();
  const hold = setInterval(() => {}, 2 ** 31 - 1);
  try {
    await run({ tell: (m) => (m.type === 'step' ? sayStep(m.name, m.ms) : m.type === 'ready' ? say(`ready after ${duration(m.ms)}; Ctrl+C stops it`) : complain(m.message)), close: () => {} }, stop, powerDown);
    return 0;
  } catch (err) {
    complain((err as Error).message);
    return 1;
  } finally {
    clearInterval(hold);
  }
}
