/** What the person sees: steps with their times, in plain words. */
import { createInterface } from 'node:readline/promises';
import { styleText } from 'node:util';

const WIDTH = 44;
/** `12 ms`, `3.4 s`. */
export function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
export function say(text = ''): void {
  process.stdout.write(`${text}\n`);
}
export function sayStep(what: string, ms: number): void {
  say(`${styleText('green', '✔')} ${what.padEnd(WIDTH)} ${styleText('dim', duration(ms).padStart(8))}`);
}
export function complain(text: string): void {
  process.stderr.write(`${styleText('red', 'podyard:')} ${text}\n`);
}
/** Nobody reads any more, or the file that it goes to is on a disk that is full or broken. */
const UNWRITABLE = new Set(['EPIPE', 'ENOSPC', 'EDQUOT', 'EIO']);
/**
 * A reader that has seen enough (`podyard up | head -1`) does not stop the command halfway, nor does a full disk the cluster: what would still be
 * printed is dropped.
 */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (err: NodeJS.ErrnoException) => {
      if (!UNWRITABLE.has(err.code ?? '')) throw err;
    });
  }
}
/** Runs one step, showing its name and time when it is done. */
export async function step<T>(what: string, task: () => Promise<T>): Promise<T> {
  const began = performance.now();
  const result = await task();
  sayStep(what, performance.now() - began);
  return result;
}
/** A yes-or-no question on the terminal; false without one. */
export async function confirm(question: string): Promise<boolean> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return false;
  const prompt = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return /^(y|yes|)$/i.test((await prompt.question(`${question} [Y/n] `)).trim());
  } finally {
    prompt.close();
  }
}
