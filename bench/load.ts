/**
 * A load generator in a process of its own: HTTP/2 over TLS, `connections` × `inFlight` requests at a time, for `ms`. Prints one JSON line.
 * Usage: load.ts CONFIG.json
 */
import { readFileSync } from 'node:fs';
import { H2Connection, type Target } from './h2.ts';

export interface LoadConfig extends Target {
  readonly connections: number;
  readonly inFlight: number;
  /** How long; without it, {@link count} requests. */
  readonly ms?: number;
  readonly count?: number;
  /** Not counted: for so long before, so that what is measured is a server that has its code compiled. */
  readonly warmUpMs?: number;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** `{n}` in it becomes a number that no other request has. */
  readonly body?: string;
}
export interface LoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Answers that are a Status. */
  readonly failures: number;
  readonly firstFailure: string;
}

const STATUS = Buffer.from('{"kind":"Status"');
const config = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as LoadConfig;
let counter = 0;
let failures = 0;
let firstFailure = '';
const times: number[] = [];

function once(connection: H2Connection): Promise<void> {
  return new Promise((resolve) => {
    const began = performance.now();
    let first = true;
    connection.request(config.method, config.path, config.body?.replaceAll('{n}', `${process.pid}-${counter++}`), {
      data(part) {
        if (first && part.subarray(0, STATUS.length).equals(STATUS)) {
          failures++;
          firstFailure ||= part.toString();
        }
        first = false;
      },
      end() {
        times.push(performance.now() - began);
        resolve();
      },
    });
  });
}
async function worker(connection: H2Connection, more: () => boolean): Promise<void> {
  while (more()) await once(connection);
}
const connections = await Promise.all(Array.from({ length: config.connections }, () => H2Connection.open(config)));
/** Milliseconds that it took. */
async function run(ms: number | undefined): Promise<number> {
  const began = performance.now();
  let left = config.count ?? 0;
  const more = ms === undefined ? () => left-- > 0 : () => performance.now() < began + ms;
  const workers = connections.flatMap((c) => Array.from({ length: config.inFlight }, () => worker(c, more)));
  await Promise.race([Promise.all(workers), ...connections.map((c) => c.broken)]);
  return performance.now() - began;
}
if (config.warmUpMs) await run(config.warmUpMs);
times.length = 0;
const took = await run(config.ms);
for (const c of connections) c.close();
const sorted = times.toSorted((a, b) => a - b);
const at = (q: number) => sorted[Math.floor(sorted.length * q)] ?? NaN;
console.log(JSON.stringify({ perSecond: (times.length * 1000) / took, p50Ms: at(0.5), p99Ms: at(0.99), failures, firstFailure } satisfies LoadResult));
