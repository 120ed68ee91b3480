/** What a cluster's process tells the command that started it: one JSON line a step, over a pipe. */
import { createWriteStream, type WriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';

export type ProgressMessage =
  | { readonly type: 'step'; readonly name: string; readonly ms: number }
  | { readonly type: 'ready'; readonly ms: number }
  | { readonly type: 'failed'; readonly message: string; readonly remedy?: string | undefined };

/** File descriptor that the starting command passes on. */
export const PROGRESS_FD = 3;

export interface ProgressReporter {
  tell(message: ProgressMessage): void;
  /** Lets go of the pipe: whoever reads it sees its end. */
  close(): void;
}
/** Reports to the pipe; a reader that has gone is no error. */
export function pipeReporter(fd: number): ProgressReporter {
  const out: WriteStream = createWriteStream('', { fd });
  out.on('error', () => {});
  return { tell: (message) => void out.write(`${JSON.stringify(message)}\n`), close: () => void out.end() };
}
/** The messages of a pipe, until it ends or the signal aborts. */
export async function* readProgress(pipe: Readable, signal: AbortSignal): AsyncIterable<ProgressMessage> {
  for await (const line of createInterface({ input: pipe, signal })) yield JSON.parse(line) as ProgressMessage;
}
