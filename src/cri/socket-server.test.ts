import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { Channel } from './channel.ts';
import { CriError } from './error.ts';
import { criCodec } from './schema.ts';
import { served, serveSocket } from './socket-server.ts';

const VERSION = { path: '/runtime.v1.RuntimeService/Version', request: criCodec('VersionRequest'), response: criCodec('VersionResponse') };

test('serveSocket answers calls in place of a socket that was left behind; errors keep their code', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-socket-'));
  const path = join(dir, 's.sock');
  await writeFile(path, '');
  const server = await serveSocket(path, [served(VERSION.path, VERSION.request, VERSION.response, ({ version }) => {
    if (version === 'lost') throw new CriError('NotFound', 'no such thing');
    if (version === 'odd') throw new Error('odd');
    return { runtimeName: version };
  })]);
  const channel = new Channel({ endpoint: path, clock: systemClock });
  assert.equal((await channel.unary(VERSION, { version: 'x' })).runtimeName, 'x');
  await assert.rejects(channel.unary(VERSION, { version: 'lost' }), { message: 'rpc error: code = NotFound desc = no such thing' });
  await assert.rejects(channel.unary(VERSION, { version: 'odd' }), { message: 'rpc error: code = Unknown desc = odd' });
  channel.close();
  await server.close();
  await server.close();
  await assert.rejects(stat(path));
  await rm(dir, { recursive: true });
});
