import { execFile } from 'node:child_process';
import { toolEnvironment } from '#base/system-command.ts';

/** A command that could not be started or ended with an error; the message has what it printed. */
export class CommandError extends Error {
  readonly exitCode: number | undefined;
  readonly stderr: string;
  constructor(command: string, exitCode: number | undefined, stderr: string, cause: unknown) {
    super(`running "${command}": ${stderr.trim() || String((cause as Error).message)}`, { cause });
    this.name = 'CommandError';
    this.exitCode = exitCode;
    this.stderr = stderr;
  }
}

const MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** Runs a program to its end and gives its output. No shell is involved. */
export function run(file: string, args: readonly string[], options: { readonly signal?: AbortSignal | undefined } = {}): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    execFile(file, args, { env: toolEnvironment(), maxBuffer: MAX_OUTPUT_BYTES, ...(options.signal && { signal: options.signal }) }, (error, stdout, stderr) => {
      if (!error) return resolve({ stdout, stderr });
      if (options.signal?.aborted) return reject(options.signal.reason as Error);
      reject(new CommandError([file, ...args].join(' '), typeof error.code === 'number' ? error.code : undefined, stderr, error));
    });
  });
}
