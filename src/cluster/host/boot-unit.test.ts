import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { placesOf } from '../config.ts';
import { bootUnit, unitName } from './boot-unit.ts';

test('each data directory has a unit of its own', () => {
  assert.equal(unitName(placesOf('/var/lib/podyard')), 'podyard.service');
  assert.match(unitName(placesOf('/srv/other')), /^podyard-[0-9a-f]{8}\.service$/);
});

test('bootUnit runs the process, leaves its containers alone, and takes every path as it is', () => {
  const text = bootUnit(placesOf('/srv/100%'), ['/opt/a b/node', '--flag=1', '/opt/$x/"y"/podyard.ts', 'serve']);
  assert.match(text, /^ExecStart="\/opt\/a b\/node" "--flag=1" "\/opt\/\$\$x\/\\"y\\"\/podyard\.ts" "serve"$/m);
  assert.match(text, /^StandardOutput=append:\/srv\/100%%\/podyard\.log$/m);
  for (const line of ['KillMode=process', 'Restart=on-failure', 'RestartPreventExitStatus=3', 'WantedBy=multi-user.target']) assert.match(text, new RegExp(`^${line}$`, 'm'));
});

test('systemd finds nothing wrong with it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-unit-'));
  try {
    const file = join(dir, 'podyard.service');
    await writeFile(file, bootUnit(placesOf('/var/lib/podyard'), [process.execPath, '--version']));
    const { stderr } = await promisify(execFile)('systemd-analyze', ['verify', '--man=no', file]);
    assert.doesNotMatch(stderr, /podyard\.service/);
  } finally {
    await rm(dir, { recursive: true });
  }
});
