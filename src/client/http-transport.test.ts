import assert from 'node:assert/strict';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { Client } from './client.ts';
import { HttpTransport, type HttpTransportOptions } from './http-transport.ts';
import { PODS } from './kinds.ts';

/** A server that grants every watch and keeps it open; what else is asked it answers with an empty list. */
async function served(options: Partial<HttpTransportOptions> = {}) {
  const watches: ServerResponse[] = [];
  const server = createServer((req, res) => {
    if (!req.url!.includes('watch=true')) return void res.end(JSON.stringify({ kind: 'PodList', metadata: { resourceVersion: '1' }, items: [] }));
    res.writeHead(200, { 'content-type': 'application/json' });
    res.flushHeaders();
    watches.push(res);
    return undefined;
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const transport = new HttpTransport({ server: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, ...options });
  const abort = new AbortController();
  const pods = new Client(transport).of(PODS);
  return {
    watches, transport, pods,
    /** Reads a watch to its end; resolves with its events, or rejects. */
    async watch(bookmarks = true): Promise<string[]> {
      const seen: string[] = [];
      for await (const batch of pods.watch({ allowWatchBookmarks: bookmarks, resourceVersion: '1' }, abort.signal)) seen.push(...batch.map((e) => e.type));
      return seen;
    },
    async granted(count: number): Promise<void> {
      while (watches.length < count) await new Promise((resolve) => setImmediate(resolve));
    },
    async [Symbol.asyncDispose]() {
      abort.abort();
      transport.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

test('any number of watches leaves room for calls', async () => {
  await using s = await served();
  const watching = Array.from({ length: 100 }, () => s.watch());
  await s.granted(100);
  assert.deepEqual((await s.pods.list()).items, []);
  for (const res of s.watches) res.end();
  await Promise.all(watching);
});

test('a watch on which nothing comes any more ends with an error; one that has no bookmarks may be silent', async () => {
  await using s = await served({ silentWatchMs: 50 });
  const quiet = s.watch(false);
  await s.granted(1);
  await assert.rejects(s.watch(), /the server has been silent for too long/);
  s.watches[0]!.end(`${JSON.stringify({ type: 'ADDED', object: { metadata: { name: 'a' } } })}\n`);
  assert.deepEqual(await quiet, ['ADDED']);
});

test('new credentials end the watches that were made with the old ones, and nothing else', async () => {
  await using s = await served();
  const watching = s.watch();
  await s.granted(1);
  s.transport.setCredentials({ cert: 'c', key: 'k' });
  await assert.rejects(watching);
  assert.deepEqual((await s.pods.list()).items, []);
});
