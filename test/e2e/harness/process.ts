/** Programs that a test runs: to their end, or beside it while it waits for what they print. */
import { spawn, type ChildProcess } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';

export interface Result {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}
export interface RunOptions {
  readonly input?: string | Buffer;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Exit codes that are no failure; `any` accepts all. Default 0. */
  readonly expect?: number | 'any' | 'failure';
  /** Milliseconds after which the program is killed and the call rejects. Default 60,000. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 180_000;
/** A shell's prompt on a terminal; busybox's shell then asks where the cursor is. */
export const PROMPT = /[#$] (?:.\[6n)?$/;

/** Runs a program to its end. Rejects when it ends otherwise than expected, with all it printed. */
export async function runProgram(file: string, args: readonly string[], options: RunOptions = {}): Promise<Result> {
  const program = startProgram(file, args, options);
  if (options.input !== undefined) program.child.stdin!.write(options.input);
  program.child.stdin!.end();
  const result = await program.ended;
  const expected = options.expect ?? 0;
  const fine = expected === 'any' || (expected === 'failure' ? result.code !== 0 : result.code === expected);
  if (!fine) throw new Error(`${[file.split('/').at(-1), ...args].join(' ')}: exit code ${result.code}, expected ${expected}\n${result.stdout}${result.stderr}`);
  return result;
}

/** A program that runs beside the test. Disposing kills it. */
export class Program implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly ended: Promise<Result>;
  readonly #timeout: NodeJS.Timeout;
  readonly #what: string;
  #stdout = '';
  #stderr = '';
  #onOutput: (() => void)[] = [];
  #done = false;

  constructor(child: ChildProcess, what: string, timeoutMs: number) {
    this.child = child;
    this.#what = what;
    child.stdout!.setEncoding('utf8').on('data', (text: string) => this.#take(() => (this.#stdout += text)));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => this.#take(() => (this.#stderr += text)));
    child.stdin!.on('error', () => {}); // it may end before it has read all
    let timedOut = false;
    this.#timeout = setTimeout(() => {
      timedOut = true;
      this.#kill('SIGKILL');
    }, timeoutMs);
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        clearTimeout(this.#timeout);
        this.#take(() => (this.#done = true));
        if (timedOut) reject(new Error(`${what}: not finished after ${timeoutMs / 1000} s\n${this.#stdout}${this.#stderr}`));
        else resolve({ code: code ?? (signal ? 128 : 1), stdout: this.#stdout, stderr: this.#stderr });
      });
    });
    this.ended.catch(() => {});
  }
  get stdout(): string {
    return this.#stdout;
  }
  get stderr(): string {
    return this.#stderr;
  }
  /** Resolves with the match once the output (both streams) has it; rejects when the program ends without. */
  async seen(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#stdout) ?? pattern.exec(this.#stderr);
      if (match) return match;
      if (this.#done) {
        await this.ended; // says when it was the time limit
        throw new Error(`${this.#what}: ended without printing ${pattern}\n${this.#stdout}${this.#stderr}`);
      }
      await new Promise<void>((resolve) => this.#onOutput.push(resolve));
    }
  }
  /** Types into it. */
  write(text: string): void {
    this.child.stdin!.write(text);
  }
  closeInput(): void {
    this.child.stdin!.end();
  }
  /** As Ctrl+C, or another signal, sent to it and what it started; resolves at its end. */
  async interrupt(signal: NodeJS.Signals = 'SIGINT'): Promise<Result> {
    this.#kill(signal);
    return await this.ended;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#done) this.#kill('SIGKILL');
    await this.ended.catch(() => {});
  }

  #take(change: () => void): void {
    change();
    for (const resume of this.#onOutput.splice(0)) resume();
  }
  #kill(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.child.pid!, signal);
    } catch {
      // it has ended
    }
  }
}

/** Starts a program in a process group of its own. */
export function startProgram(file: string, args: readonly string[], options: Pick<RunOptions, 'env' | 'cwd' | 'timeoutMs'> = {}): Program {
  const child = spawn(file, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true, ...(options.env && { env: options.env }), ...(options.cwd !== undefined && { cwd: options.cwd }) });
  return new Program(child, [file.split('/').at(-1), ...args].join(' '), options.timeoutMs ?? TIMEOUT_MS);
}

/** Process ids, as the host sees them, by command line (words joined by spaces), of those that match. */
export async function hostProcesses(pattern: RegExp): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const line = (await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')).split('\0').join(' ').trim();
    if (pattern.test(line)) found.set(line, Number(name));
  }
  return found;
}
