/** What the remote command sessions of all transports share: terminal sizes and the forms of the final status. */
import type { Readable, Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Status } from '#api/gen/meta-v1.ts';
import type { TerminalSize } from './remotecommand.ts';

/** A terminal size is one small JSON object; whatever is longer is none. */
const MAX_SIZE_BYTES = 1024;

/** The bytes of the final status: JSON from version 4 on; before, the message of a failure and nothing for a success. */
export function encodeStatus(status: Status, json: boolean): Buffer {
  if (json) return Buffer.from(JSON.stringify(status));
  return Buffer.from(status.status === 'Success' ? '' : (status.message ?? ''));
}

/** Remembers the last size until somebody listens. */
export class TerminalSizes {
  #listener: ((size: TerminalSize) => void) | undefined;
  #last: TerminalSize | undefined;

  listen(listener: (size: TerminalSize) => void): void {
    this.#listener = listener;
    if (this.#last) listener(this.#last);
  }

  /** Reads `{"Width":80,"Height":24}` objects, one after the other, from the resize stream. */
  readFrom(stream: Readable): void {
    let rest = '';
    stream.on('data', (chunk: Buffer) => {
      rest += chunk.toString('utf8');
      for (let end = rest.indexOf('}'); end >= 0; end = rest.indexOf('}')) {
        this.#put(rest.slice(0, end + 1));
        rest = rest.slice(end + 1);
      }
      if (rest.length > MAX_SIZE_BYTES) rest = '';
    });
    stream.on('error', () => {});
  }

  #put(text: string): void {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      return;
    }
    const { Width: width, Height: height } = value as { Width?: unknown; Height?: unknown };
    if (!isSize(width) || !isSize(height)) return;
    this.#last = { width, height };
    this.#listener?.(this.#last);
  }
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff;
}

/** Ends a writable and waits until everything has been handed on, or cannot be any more. */
export async function endAndFlush(stream: Writable | undefined, last?: Buffer): Promise<void> {
  if (!stream || stream.destroyed) return;
  if (!stream.writableEnded) stream.end(last?.length ? last : undefined);
  await finished(stream, { readable: false }).catch(() => {});
}
