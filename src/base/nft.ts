/** Runs `nft`. Source: nft(8), libnftables-json(5). */
import { execFile, spawn } from 'node:child_process';
import { commandIn, toolEnvironment } from './system-command.ts';

/** nft ran and said no: the message is what it printed. */
export class NftError extends Error {}

export interface NftOptions {
  /** Path of a network namespace to run in. Default: the process's own. */
  readonly netns?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}
/** A chain; one without `hook` is only jumped to. */
export interface NftChain {
  readonly family: string;
  readonly table: string;
  readonly name: string;
  readonly hook?: string;
  readonly policy?: string;
}
/** Part of a rule: one key, which names the statement. What older releases cannot tell is null: `{ "xt": null }`. */
export type NftExpression = Readonly<Record<string, unknown>>;
export interface NftRule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly handle: number;
  readonly expr: readonly NftExpression[];
}
/** What a list has of chains and rules; objects of other kinds have neither. */
export interface NftObject {
  readonly chain?: NftChain;
  readonly rule?: NftRule;
}

const MAX_OUTPUT_BYTES = 64 * 1024 * 1024;

/** Applies a script: one script is one transaction. Rejects with {@link NftError}. */
export function applyNft(script: string, options: NftOptions = {}): Promise<void> {
  const { file, args } = commandIn(options.netns, 'nft', ['-f', '-']);
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['pipe', 'ignore', 'pipe'], env: toolEnvironment(), signal: options.signal });
    let errors = '';
    child.stderr.on('data', (part: Buffer) => (errors += errors.length < 4096 ? part.toString() : ''));
    child.stdin.on('error', () => {}); // nft gave up early: its exit code says why
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new NftError(`nft failed with exit code ${code}: ${errors.trim()}`))));
    child.stdin.end(script);
  });
}

/** What `nft list WHAT` says: `['chains']`, `['table', 'ip', 'filter']`. Rejects with {@link NftError}, also where there is no such thing. */
export function listNft(what: readonly string[], { netns, signal }: NftOptions = {}): Promise<NftObject[]> {
  const { file, args } = commandIn(netns, 'nft', ['-j', 'list', ...what]);
  return new Promise((resolve, reject) => {
    execFile(file, args, { env: toolEnvironment(), maxBuffer: MAX_OUTPUT_BYTES, signal }, (error, stdout, stderr) => {
      if (!error) resolve((JSON.parse(stdout) as { nftables: NftObject[] }).nftables);
      else if (signal?.aborted) reject(signal.reason as Error);
      else reject(typeof error.code === 'number' ? new NftError(`nft failed with exit code ${error.code}: ${stderr.trim()}`, { cause: error }) : error);
    });
  });
}
