/** Installs Debian packages without touching services or asking questions. */
import { spawn } from 'node:child_process';
import { findCommand } from './preflight.ts';

/** Runs apt-get with arguments; its output goes to `log` line by line. Rejects with its last lines. */
function aptGet(args: readonly string[], log: (line: string) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('apt-get', args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      // runlevel: a package's own containerd service must not be started beside ours.
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', RUNLEVEL: '1' },
    });
    const tail: string[] = [];
    const take = (part: Buffer) => {
      for (const line of part.toString().split('\n').filter(Boolean)) {
        tail.push(line);
        if (tail.length > 10) tail.shift();
        log(line);
      }
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`apt-get ${args.join(' ')} failed with exit code ${code}:\n${tail.join('\n')}`))));
  });
}

/** Installs packages, fetching the list of packages when they are not known yet. Rejects where there is no apt-get. */
export async function installPackages(packages: readonly string[], log: (line: string) => void): Promise<void> {
  if (!(await findCommand('apt-get'))) throw new Error(`this machine has no apt-get: install what is missing by its own means (${packages.join(', ')})`);
  const args = ['install', '--yes', '--no-install-recommends', ...packages];
  try {
    await aptGet(args, log);
  } catch {
    // The lists may be old or missing, as on a fresh image.
    await aptGet(['update'], log);
    await aptGet(args, log);
  }
}
