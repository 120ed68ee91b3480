/**
 * Many watchers in a process of their own, and the time from the request of a write until the last of them has the event. Prints one JSON line.
 * Usage: watchers.ts CONFIG.json
 */
import { readFileSync } from 'node:fs';
import { H2Connection, type Target } from './h2.ts';

export interface WatchersConfig extends Target {
  readonly connections: number;
  readonly watchesEach: number;
  readonly writes: number;
  /** The collection: watched, and written to. */
  readonly path: string;
  /** `{n}` in it becomes a text that no other write has. */
  readonly body: string;
}
export interface WatchersResult {
  readonly watchers: number;
  readonly medianMs: number;
  readonly worstMs: number;
}

const config = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as WatchersConfig;
const total = config.connections * config.watchesEach;

/** The write whose event is waited for. */
let now = { name: Buffer.from('none yet'), told: 0, done: () => {} };
class Watcher {
  #told: object | undefined;
  data(part: Buffer): void {
    if (this.#told === now || !part.includes(now.name)) return;
    this.#told = now;
    if (++now.told === total) now.done();
  }
  end(): void {
    throw new Error('a watch has ended');
  }
}
const connections: H2Connection[] = [];
for (let i = 0; i < config.connections; i++) {
  const connection = await H2Connection.open(config);
  connections.push(connection);
  for (let j = 0; j < config.watchesEach; j++) connection.request('GET', `${config.path}?watch=true`, undefined, new Watcher());
}
const writer = await H2Connection.open(config);
const broken = [...connections, writer].map((c) => c.broken);

/** Resolves with the milliseconds until every watcher was told of one write. */
function write(n: number): Promise<number> {
  const began = performance.now();
  const name = `${process.pid}-${n}-`;
  const told = new Promise<number>((resolve) => (now = { name: Buffer.from(name), told: 0, done: () => resolve(performance.now() - began) }));
  writer.request('POST', config.path, config.body.replaceAll('{n}', name + 'x'), { data: () => {}, end: () => {} });
  return Promise.race([told, ...broken]);
}
const times: number[] = [];
// The first one waits for the watches to be there: they begin with what is there already.
await write(0);
for (let n = 1; n <= config.writes; n++) times.push(await write(n));
times.sort((a, b) => a - b);
for (const c of [...connections, writer]) c.close();
console.log(JSON.stringify({ watchers: total, medianMs: times[Math.floor(times.length / 2)]!, worstMs: times.at(-1)! } satisfies WatchersResult));
