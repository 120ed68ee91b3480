/** `podyard kubectl …`: the kubectl that is installed, pointed at this cluster. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { DEFAULT_DATA_DIR } from '#cluster/config.ts';
import { readMachineConfig } from '#cluster/join/config.ts';
import { findCommand } from '#cluster/host/preflight.ts';
import { complain } from '../terminal.ts';

/** `--data-dir` is ours when it comes first; everything else is kubectl's. */
export async function kubectl(args: readonly string[]): Promise<number> {
  const [first = '', second = ''] = args;
  const own = first === '--data-dir' ? 2 : first.startsWith('--data-dir=') ? 1 : 0;
  const dataDir = own === 2 ? second : own === 1 ? first.slice('--data-dir='.length) : DEFAULT_DATA_DIR;
  const program = await findCommand('kubectl');
  if (!program) {
    complain('no kubectl is installed: "./podyard up" installs Debian\'s, or put one of your own into the PATH');
    return 1;
  }
  const config = await readMachineConfig(dataDir);
  if (!config) {
    complain(`there is no cluster in ${dataDir}; make one with: ./podyard up`);
    return 1;
  }
  const child = spawn(program, args.slice(own), { stdio: 'inherit', env: { ...process.env, KUBECONFIG: config.kubeconfig } });
  // Ctrl+C goes to both: kubectl decides what it means, we wait for it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
  return await new Promise((resolve) => {
    child.on('error', (err) => {
      complain(`kubectl could not be started: ${err.message}`);
      resolve(1);
    });
    child.on('close', (code, signal) => resolve(code ?? 128 + (signal ? constants.signals[signal] : 0)));
  });
}
