import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test, type TestContext } from 'node:test';
import { serveNodeLogs } from './node-logs.ts';

async function logs(t: TestContext): Promise<(path: string) => Promise<{ code: number; type: string | undefined; location: string | undefined; body: string }>> {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-node-logs-'));
  const root = join(dir, 'log');
  await mkdir(join(root, 'pods'), { recursive: true });
  await writeFile(join(dir, 'shadow'), 'secret');
  await writeFile(join(root, 'a&b.log'), 'hello\n');
  await writeFile(join(root, 'empty.log'), '');
  await writeFile(join(root, 'pods', 'x.log'), 'x');
  await symlink('a&b.log', join(root, 'inside'));
  await symlink('../shadow', join(root, 'outside'));
  t.after(() => rm(dir, { recursive: true }));
  return async (path) => {
    const { status, headers, body } = await serveNodeLogs(root, path);
    return { code: status, type: headers['Content-Type'], location: headers['Location'], body: Buffer.isBuffer(body) ? body.toString() : await text(body) };
  };
}

test('serveNodeLogs lists folders, sends files and redirects to the proper end of a path', async (t) => {
  const get = await logs(t);
  const top = await get('/');
  assert.deepEqual([top.code, top.type], [200, 'text/html; charset=utf-8']);
  assert.match(top.body, /<pre>\n<a href="a%26b.log">a&amp;b.log<\/a>\n[^]*<a href="pods\/">pods\/<\/a>\n<\/pre>\n$/);
  assert.deepEqual(await get('/a%26b.log'), { code: 200, type: 'text/plain; charset=utf-8', location: undefined, body: 'hello\n' });
  assert.equal((await get('/inside')).body, 'hello\n');
  assert.equal((await get('/empty.log')).code, 200);
  assert.equal((await get('/pods/x.log')).body, 'x');
  assert.deepEqual([(await get('/pods')).code, (await get('/pods')).location], [301, 'pods/']);
  assert.equal((await get('/inside/')).location, '../inside');
});
test('serveNodeLogs stays within the log directory', async (t) => {
  const get = await logs(t);
  for (const path of ['/outside', '/nothing', '/%2e%2e/shadow', '/..%2fshadow', '/pods/..%2f..%2fshadow', '/%00', '/%zz', '/empty.log/x']) {
    const { code, body } = await get(path);
    assert.ok(code === 404 || code === 403, `${path}: ${code}`);
    assert.doesNotMatch(body, /secret/);
  }
});
