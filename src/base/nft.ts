/** Runs `nft` with a script on its standard input: one script is one transaction. Source: nft(8). */
import { spawn } from 'node:child_process';

export class NftError extends Error {}

/** Applies a script. Rejects with {@link NftError}, whose message is what nft printed. `netns`: path of a network namespace to run in. */
export function applyNft(script: string, options: { netns?: string | undefined; signal?: AbortSignal | undefined } = {}): Promise<void> {
  const [command, args] = options.netns ? ['nsenter', [`--net=${options.netns}`, 'nft', '-f', '-']] as const : ['nft', ['-f', '-']] as const;
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ['pipe', 'ignore', 'pipe'], signal: options.signal });
    let errors = '';
    child.stderr.on('data', (part: Buffer) => (errors += errors.length < 4096 ? part.toString() : ''));
    child.stdin.on('error', () => {}); // nft gave up early: its exit code says why
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new NftError(`nft failed with exit code ${code}: ${errors.trim()}`))));
    child.stdin.end(script);
  });
}
