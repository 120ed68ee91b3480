import assert from 'node:assert/strict';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { configureLogging, logger } from './logger.ts';

test('an error that names its cause is told once', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'podyard-log-'));
  const file = openSync(join(dir, 'log'), 'w');
  t.after(() => {
    configureLogging({ level: 'warn' });
    closeSync(file);
    rmSync(dir, { recursive: true });
  });
  configureLogging({ level: 'info', fd: file });
  const cause = new Error('no such file');
  logger('test').info({ err: new Error(`open x: ${cause.message}`, { cause }) }, 'not read');
  const { err } = JSON.parse(readFileSync(join(dir, 'log'), 'utf8')) as { err: { type: string; message: string; stack: string } };
  assert.deepEqual([err.type, err.message], ['Error', 'open x: no such file']);
  assert.match(err.stack, /caused by: Error: no such file/);
});

test('a log on a full disk loses lines and stops nothing', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'podyard-log-'));
  t.after(() => {
    configureLogging({ level: 'warn' });
    rmSync(dir, { recursive: true });
  });
  const log = logger('test');
  const full = openSync('/dev/full', 'w');
  configureLogging({ level: 'info', fd: full });
  for (let i = 0; i < 3; i++) log.info({ i }, 'lost');
  const file = openSync(join(dir, 'log'), 'w');
  configureLogging({ level: 'info', fd: file });
  log.info('kept');
  assert.match(readFileSync(join(dir, 'log'), 'utf8'), /"component":"test","msg":"kept"\}\n$/);
  closeSync(full);
  closeSync(file);
});
