import assert from 'node:assert/strict';
import { appendFile, mkdtemp, open, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import * as fc from 'fast-check';
import { systemClock } from '#base/clock.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { LogFormatter } from './log-formatter.ts';
import { isLogOptionsError, parseLogOptions, type LogOptions } from './log-options.ts';
import { readLogs, tailStart, type LogSource } from './log-reader.ts';

const PLAIN: LogOptions = { follow: false, previous: false, timestamps: false, stream: 'All' };
const NEVER = new AbortController().signal;
const line = (text: string, stream = 'stdout', tag = 'F', time = '2026-11-21T09:09:24.396689053Z'): string => `${time} ${stream} ${tag} ${text}\n`;

async function logFile(t: TestContext, content: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-logs-'));
  t.after(() => rm(dir, { recursive: true }));
  const path = join(dir, '0.log');
  await writeFile(path, content);
  return path;
}
async function read(path: string, options: Partial<LogOptions> = {}): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of readLogs({ path, stopped: NEVER, clock: systemClock }, { ...PLAIN, ...options }, NEVER)) parts.push(part);
  return Buffer.concat(parts).toString();
}
/** Reads pieces as they come. */
class Follower {
  readonly #pieces: AsyncGenerator<Buffer>;
  readonly stop = new AbortController();
  #text = '';
  constructor(source: LogSource, options: Partial<LogOptions> = {}) {
    this.#pieces = readLogs(source, { ...PLAIN, ...options, follow: true }, this.stop.signal);
  }
  /** Resolves when everything read so far is `text`; fails as soon as it cannot become so. */
  async shows(text: string): Promise<void> {
    while (this.#text !== text) {
      const { value, done } = await this.#pieces.next();
      if (done) assert.fail(`ended with ${JSON.stringify(this.#text)}`);
      this.#text += value.toString();
      assert.ok(text.startsWith(this.#text), `shows ${JSON.stringify(this.#text)}`);
    }
  }
  async ends(text: string): Promise<void> {
    for (;;) {
      const { value, done } = await this.#pieces.next();
      if (done) break;
      this.#text += value.toString();
    }
    assert.equal(this.#text, text);
  }
}

test('readLogs joins parts of lines and leaves out times, streams and tags', async (t) => {
  const path = await logFile(t, line('one') + line('tw', 'stderr', 'P') + line('o', 'stderr') + line('') + line('three  with spaces') + line('four', 'stdout', 'F:x'));
  assert.equal(await read(path), 'one\ntwo\n\nthree  with spaces\nfour\n');
});

test('readLogs shows times with nine digits, once for a line in parts', async (t) => {
  const path = await logFile(t, line('a', 'stdout', 'F', '2026-11-21T09:09:24.39Z') + line('b', 'stdout', 'P', '2026-11-21T10:09:25+01:00') + line('c') + line('d'));
  assert.equal(await read(path, { timestamps: true }), '2026-11-21T09:09:24.390000000Z a\n2026-11-21T10:09:25.000000000+01:00 bc\n2026-11-21T09:09:24.396689053Z d\n');
});

test('readLogs chooses by stream and by time', async (t) => {
  const path = await logFile(t, [
    line('old', 'stdout', 'F', '2026-11-21T09:09:23.999999999Z'), line('edge', 'stdout', 'F', '2026-11-21T09:09:24Z'),
    line('zone', 'stderr', 'F', '2026-11-21T10:09:25.5+01:00'), line('older', 'stderr', 'F', '2026-11-21T10:09:23+01:00'),
  ].join(''));
  assert.equal(await read(path, { stream: 'Stderr' }), 'zone\nolder\n');
  assert.equal(await read(path, { stream: 'Stdout' }), 'old\nedge\n');
  assert.equal(await read(path, { sinceMs: Date.parse('2026-11-21T09:09:24Z') }), 'edge\nzone\n');
});

test('readLogs stops after limitBytes, within a line and its time', async (t) => {
  const path = await logFile(t, line('hello') + line('world'));
  assert.equal(await read(path, { limitBytes: 8 }), 'hello\nwo');
  assert.equal(await read(path, { limitBytes: 25, timestamps: true }), '2026-11-21T09:09:24.396689053Z hello'.slice(0, 25));
  assert.equal(await read(path, { limitBytes: 12 }), 'hello\nworld\n');
});

test('readLogs skips lines that are not of the format and shows an unfinished one', async (t) => {
  const path = await logFile(t, `rubbish\n${line('good')}2026-11-21T09:09:24Z stdbad F x\n${line('last').slice(0, -1)}`);
  assert.equal(await read(path), 'good\nlast');
});

test('readLogs gives the last lines, whatever their length', async (t) => {
  const texts = Array.from({ length: 300 }, (_, i) => `${i} ${'x'.repeat((i * 37) % 3000)}`);
  const path = await logFile(t, texts.map((s) => line(s)).join(''));
  for (const n of [0, 1, 7, 299, 300, 1000]) assert.equal(await read(path, { tailLines: n }), texts.slice(Math.max(0, 300 - n)).map((s) => `${s}\n`).join('') || '');
  const handle = await open(path);
  t.after(() => handle.close());
  assert.equal(await tailStart(handle, 300, (await handle.stat()).size), 0);
});

test('readLogs gives no more than the last lines where others are written meanwhile, unless it follows', async (t) => {
  const texts = Array.from({ length: 300 }, (_, i) => `${i} ${'x'.repeat(3000)}`);
  const path = await logFile(t, texts.map((s) => line(s)).join(''));
  const parts: string[] = [];
  for await (const part of readLogs({ path, stopped: NEVER, clock: systemClock }, { ...PLAIN, tailLines: 200 }, NEVER)) {
    parts.push(part.toString());
    await appendFile(path, line('later'));
  }
  assert.ok(parts.length > 1, 'the file changed while it was read');
  assert.equal(parts.join(''), texts.slice(100).map((s) => `${s}\n`).join(''));
});

test('readLogs follows symlinks and says what is missing', async (t) => {
  const path = await logFile(t, line('x'));
  await symlink(path, `${path}.link`);
  assert.equal(await read(`${path}.link`), 'x\n');
  await assert.rejects(read('/nonexistent/0.log'), { message: 'failed to try resolving symlinks in path "/nonexistent/0.log": lstat /nonexistent/0.log: no such file or directory' });
});

test('readLogs follows what is written, across rotation, until the container stops', async (t) => {
  const path = await logFile(t, line('one') + line('two'));
  const stopped = new AbortController();
  const follower = new Follower({ path, stopped: stopped.signal, clock: systemClock }, { tailLines: 1 });
  await follower.shows('two\n');
  await appendFile(path, line('three'));
  await follower.shows('two\nthree\n');
  await appendFile(path, line('fo', 'stdout', 'P'));
  await follower.shows('two\nthree\nfo');
  const old = await open(path, 'a');
  await rename(path, `${path}.20261121`);
  await old.appendFile(line('ur'));
  await follower.shows('two\nthree\nfour\n');
  await writeFile(path, '');
  await old.appendFile(line('late'));
  await appendFile(path, line('five'));
  await old.close();
  await follower.shows('two\nthree\nfour\nlate\nfive\n');
  await appendFile(path, line('end'));
  stopped.abort();
  await follower.ends('two\nthree\nfour\nlate\nfive\nend\n');
});

test('readLogs shows the first line at once and gathers those that come soon after it, through a rotation', async (t) => {
  const path = await logFile(t, line('there'));
  const clock = new FakeClock();
  const stopped = new AbortController();
  const pieces = readLogs({ path, stopped: stopped.signal, clock }, { ...PLAIN, follow: true }, NEVER);
  const piece = async (): Promise<string> => (await pieces.next()).value?.toString() ?? 'the end';
  /** True when the reader lets lines gather, false when it has something to show. */
  const gathers = async (shown: Promise<string>): Promise<boolean> => {
    const waiting = Symbol('waiting');
    for (;;) {
      if (clock.timers > 0) return true;
      if ((await Promise.race([shown, flushMicrotasks().then(() => waiting)])) !== waiting) return false;
    }
  };
  assert.equal(await piece(), 'there\n');
  let next = piece();
  await appendFile(path, line('first'));
  assert.equal(await next, 'first\n');
  // How many are read before the kernel's event of the first one has come is chance; from then on time stands still.
  for (let gathering = false; !gathering; ) {
    next = piece();
    await appendFile(path, line('second'));
    gathering = await gathers(next);
    if (!gathering) assert.equal(await next, 'second\n');
  }
  await rename(path, `${path}.20261121`);
  await appendFile(`${path}.20261121`, line('third'));
  await writeFile(path, line('fourth'));
  await clock.advance(10);
  assert.match(await next, /^(second\n)?third\n$/);
  assert.equal(await piece(), 'fourth\n');
  next = piece();
  assert.ok(await gathers(next));
  await appendFile(path, line('fifth'));
  await clock.advance(10);
  assert.equal(await next, 'fifth\n');
  stopped.abort();
  next = piece();
  assert.ok(await gathers(next));
  await clock.advance(10);
  assert.equal(await next, 'the end');
});

test('readLogs ends a follow when the signal aborts and leaves no listener on the container', async (t) => {
  const path = await logFile(t, line('x'));
  const follower = new Follower({ path, stopped: NEVER, clock: systemClock });
  await follower.shows('x\n');
  const ended = follower.ends('x\n');
  follower.stop.abort();
  await ended;
});

test('readLogs starts again when the file was emptied', async (t) => {
  const path = await logFile(t, line('a long first line'));
  const follower = new Follower({ path, stopped: NEVER, clock: systemClock });
  await follower.shows('a long first line\n');
  const shows = follower.shows('a long first line\nnew\n');
  await writeFile(path, line('new'));
  await shows;
  follower.stop.abort();
  await follower.ends('a long first line\nnew\n');
});

test('LogFormatter shows the same however the file is cut', () => {
  const data = Buffer.from([line('alpha'), line('be', 'stderr', 'P'), line('ta', 'stderr'), 'rubbish\n', line(''), line('γάμμα'), line('tail')].join(''));
  fc.assert(fc.property(fc.array(fc.nat(data.length), { maxLength: 10 }), fc.boolean(), (cuts, timestamps) => {
    const show = (points: readonly number[]): string => {
      const formatter = new LogFormatter({ timestamps, stream: 'All' });
      const parts = points.map((p, i) => formatter.feed(data.subarray(i === 0 ? 0 : points[i - 1], p)));
      return Buffer.concat([...parts, formatter.end()]).toString();
    };
    assert.equal(show([...cuts.toSorted((a, b) => a - b), data.length]), show([data.length]));
  }));
});

test('LogFormatter drops lines that are too long to be of a runtime, and remembers little', () => {
  const formatter = new LogFormatter({ timestamps: false, stream: 'All' });
  const junk = Buffer.alloc(700_000, 0x78);
  for (let i = 0; i < 5; i++) assert.equal(formatter.feed(junk).length, 0);
  assert.equal(formatter.feed(Buffer.from(`\n${line('after')}`)).toString(), 'after\n');
});

test('parseLogOptions reads the query as the kubelet does and refuses what makes no sense', () => {
  const now = Date.parse('2026-11-21T09:00:00Z');
  const parse = (query: string): unknown => {
    const result = parseLogOptions(new URLSearchParams(query), now);
    return isLogOptionsError(result) ? `${result.code} ${result.message}` : JSON.parse(JSON.stringify(result));
  };
  const plain = { follow: false, previous: false, timestamps: false, stream: 'All' };
  assert.deepEqual(parse(''), plain);
  assert.deepEqual(parse('follow=true&previous=1&timestamps=&tailLines=5&limitBytes=10'), { ...plain, follow: true, previous: true, timestamps: true, tailLines: 5, limitBytes: 10 });
  assert.deepEqual(parse('follow=false&previous=0&sinceSeconds=60'), { ...plain, sinceMs: now - 60_000 });
  assert.deepEqual(parse('sinceTime=2026-11-21T08:00:00Z&stream=Stderr'), { ...plain, stream: 'Stderr', sinceMs: now - 3_600_000 });
  assert.deepEqual(parse('tail=all&tailLines=3'), plain);
  for (const bad of ['tailLines=x', 'limitBytes=1.5', 'sinceTime=yesterday']) assert.equal(parse(bad), '400 Unable to decode query.');
  for (const bad of ['tailLines=-1', 'limitBytes=0', 'sinceSeconds=0', 'sinceSeconds=1&sinceTime=2026-11-21T08:00:00Z', 'stream=None', 'stream=Stdout&tailLines=1']) assert.equal(parse(bad), '422 Invalid request.');
});
