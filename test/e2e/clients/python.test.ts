/** The official Python client, as Debian packages it: what `python_client.py` says beside this file, test by test. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { runProgram } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

const SCRIPT = fileURLToPath(new URL('python_client.py', import.meta.url));
const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

test('the Python client: typed and dynamic, watches, patches, server-side apply, streams', async (c, t) => {
  await c.kubectl('create namespace python');
  // Debian's own Python: packages of Debian's are for no other.
  const { code, stderr } = await runProgram('/usr/bin/python3', [SCRIPT], { env: { ...c.env, NAMESPACE: 'python', PYTHONDONTWRITEBYTECODE: '1' }, expect: 'any', timeoutMs: 120_000 });
  const written = [...readFileSync(SCRIPT, 'utf8').matchAll(/^ {4}def (test_\w+)/gm)].map((m) => m[1]!);
  for (const name of written) {
    await t.test(name.slice('test_'.length).replaceAll('_', ' '), () => assert.match(stderr, new RegExp(`^${name} .* ok$`, 'm'), stderr));
  }
  assert.equal(code, 0, stderr);
});
