/** `podyard up`: from a bare machine to a node that is Ready, telling each step. */
import { fileURLToPath } from 'node:url';
import { startDaemon, logFile, runningProcess } from '#cluster/daemon.ts';
import { ensureClusterConfig, type ClusterConfig } from '#cluster/config.ts';
import { machineProblems, missingTools, findCommand, type Problem } from '#cluster/host/preflight.ts';
import { installPackages } from '#cluster/host/packages.ts';
import { mergeKubeconfig, userKubeconfigPath } from '#cluster/host/user-kubeconfig.ts';
import { readAdminKubeconfig, waitForNode } from '#cluster/admin.ts';
import { runCluster } from '#cluster/server-process.ts';
import { durationOf, parseArguments, type Flags, type Parsed } from '../arguments.ts';
import { CLUSTER_FLAGS, clusterChoices } from '../cluster-flags.ts';
import { endingSignals } from '../signals.ts';
import { complain, confirm, duration, say, sayStep, step } from '../terminal.ts';

export const UP_FLAGS: Flags = {
  ...CLUSTER_FLAGS,
  yes: { type: 'boolean', help: 'install missing Debian packages without asking' },
  'wait-timeout': { type: 'string', value: 'DURATION', help: 'how long to wait for the node to be Ready (default 5m)' },
  foreground: { type: 'boolean', help: 'stay attached and log to this terminal; Ctrl+C stops the cluster' },
};

const WAIT_MS = 300_000;
const KUBECTL_PACKAGE = 'kubernetes-client';

function listProblems(problems: readonly Problem[]): void {
  for (const p of problems) say(`✘ ${p.what}\n    → ${p.remedy}`);
}
/** Installs what is missing, when the person agrees. False: it is still missing. */
async function prepareMachine(parsed: Parsed, ownRuntime: boolean): Promise<boolean> {
  const broken = await machineProblems();
  if (broken.length) {
    listProblems(broken);
    complain('this machine cannot run a cluster yet: see above');
    return false;
  }
  const missing = await missingTools(ownRuntime);
  const kubectl = (await findCommand('kubectl')) ? [] : [KUBECTL_PACKAGE];
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

/** Starts the cluster's process and shows its steps until it serves. False: it could not start, and why has been said. */
async function runInBackground(config: ClusterConfig, args: readonly string[], signal: AbortSignal): Promise<boolean> {
  const program = fileURLToPath(new URL('../podyard.ts', import.meta.url));
  for await (const message of startDaemon(config, [process.execPath, ...NODE_FLAGS, program, 'serve', ...args], signal)) {
    if (message.type === 'step') sayStep(message.name, message.ms);
    if (message.type === 'failed') {
      complain(`the cluster did not start: ${message.message}`);
      if (message.remedy) say(`    → ${message.remedy}`);
      say(`    → see ${logFile(config)}`);
      return false;
    }
  }
  return true;
}
async function finish(config: ClusterConfig, began: number, signal: AbortSignal): Promise<void> {
  const admin = await readAdminKubeconfig(config);
  await step(`node ${config.nodeName} is Ready`, () => waitForNode(config, signal));
  const path = userKubeconfigPath();
  await mergeKubeconfig(path, admin);
  say(`\nThe cluster is up after ${duration(performance.now() - began)}.`);
  say(`kubeconfig: ${config.kubeconfig}, and context "${admin['current-context']}" in ${path}`);
  say('\nNext: ./podyard kubectl get nodes');
}

export async function up(args: readonly string[]): Promise<number> {
  const began = performance.now();
  const parsed = parseArguments(args, UP_FLAGS);
  const choices = clusterChoices(parsed);
  const waitMs = durationOf(parsed, 'wait-timeout') ?? WAIT_MS;
  if (!(await prepareMachine(parsed, choices.containerRuntimeEndpoint === undefined))) return 1;
  sayStep('machine checked', performance.now() - began);
  const config = await ensureClusterConfig(choices);
  const running = await runningProcess(config);
  if (running) {
    say(`Podyard already runs (process ${running.pid}); stop it with: ./podyard down`);
    return 0;
  }
  if (parsed.flags['foreground']) return await inForeground(parsed);
  return await inBackground(config, parsed, began, waitMs);
}

async function inBackground(config: ClusterConfig, parsed: Parsed, began: number, waitMs: number): Promise<number> {
  const limit = AbortSignal.timeout(waitMs);
  const passedOn = Object.keys(CLUSTER_FLAGS).flatMap((name) => (parsed.flags[name] === undefined ? [] : [`--${name}=${String(parsed.flags[name])}`]));
  try {
    if (!(await runInBackground(config, passedOn, limit))) return 1;
    await finish(config, began, limit);
    return 0;
  } catch (err) {
    if (!limit.aborted) throw err;
    complain(`the cluster is not up after ${duration(waitMs)}${err === limit.reason ? '' : `: ${(err as Error).message}`}`);
    say(`    → it goes on starting: see ${logFile(config)} and ./podyard status; ./podyard down stops it`);
    return 1;
  }
}

async function inForeground(parsed: Parsed): Promise<number> {
  const { stop, powerDown } = endingSignals();
  const hold = setInterval(() => {}, 2 ** 31 - 1);
  try {
    await runCluster(clusterChoices(parsed), { tell: (m) => (m.type === 'step' ? sayStep(m.name, m.ms) : m.type === 'ready' ? say(`ready after ${duration(m.ms)}; Ctrl+C stops it`) : complain(m.message)), close: () => {} }, stop, powerDown);
    return 0;
  } catch (err) {
    complain((err as Error).message);
    return 1;
  } finally {
    clearInterval(hold);
  }
}
