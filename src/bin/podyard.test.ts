import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const PODYARD = fileURLToPath(new URL('podyard.ts', import.meta.url));

test('a reader that leaves does not end the command with a stack trace', async () => {
  const child = spawn(process.execPath, [PODYARD, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  const [complaints, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  assert.deepEqual({ code: code as number, complaints }, { code: 0, complaints: '' });
});
