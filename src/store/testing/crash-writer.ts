/**
 * A process that writes to the store in a directory until it is killed, and says on stdout what was acknowledged (`writer n revision`, one
 * write a line) and what a watch told (`seen writer n revision`). `embedded.test.ts` starts it.
 */
import { createHash } from 'node:crypto';
import { writeSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { openEmbeddedStore } from '../embedded.ts';

export const WRITERS = 64;
export const writerKey = (writer: number): string => `/registry/crash/w${writer}`;
export const writerOf = (key: string): number => Number(key.slice(writerKey(0).length - 1));

/** A value that tells whether it is whole. */
export function sealedValue(writer: number, n: number): Buffer {
  const body = `${writer} ${n} ${'x'.repeat((writer * 131 + n * 17) % 5_000)}`;
  return Buffer.from(`${createHash('sha256').update(body).digest('hex')} ${body}`);
}
/** The counter in a value that {@link sealedValue} made; throws when the value is not whole. */
export function openSealed(value: Buffer): number {
  const text = value.toString();
  const body = text.slice(65);
  if (createHash('sha256').update(body).digest('hex') !== text.slice(0, 64)) throw new Error(`half a value: ${text.slice(0, 80)}`);
  return Number(body.split(' ')[1]);
}

async function main(directory: string): Promise<void> {
  const store = await openEmbeddedStore({ directory, history: 500 });
  const write = async (writer: number): Promise<never> => {
    const now = await store.get(writerKey(writer));
    let n = now ? openSealed(now.value) : 0;
    let revision = now?.modRevision;
    for (;;) {
      const value = sealedValue(writer, ++n);
      const done = revision === undefined ? await store.create(writerKey(writer), value) : await store.update(writerKey(writer), value, revision);
      revision = done.modRevision;
      writeSync(1, `${writer} ${n} ${revision}\n`);
    }
  };
  const watch = async (): Promise<void> => {
    for await (const events of store.watch('/registry/crash/', store.revision, new AbortController().signal)) {
      const lines = events.map((e) => (e.type === 'put' ? `seen ${writerOf(e.entry.key)} ${openSealed(e.entry.value)} ${e.entry.modRevision}\n` : ''));
      writeSync(1, lines.join(''));
    }
  };
  void watch();
  await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(writer)));
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main(process.argv[2]!);
