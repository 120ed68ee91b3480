/**
 * A load generator in a process of its own: HTTP/2 over TLS, `connections` × `inFlight` requests at a time, for `ms`. Prints one JSON line.
 * Usage: load.ts CONFIG.json
 */
import { readFileSync } from 'node:fs';
import { connect, type ClientHttp2Session } from 'node:http2';

export interface LoadConfig {
  readonly server: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly connections: number;
  readonly inFlight: number;
  readonly ms: number;
  readonly method: 'GET' | 'POST';
  readonly path: string;
  /** `{n}` in it becomes a number that no other request has. */
  readonly body?: string;
  readonly status: number;
}
export interface LoadResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failures: number;
  readonly firstFailure: string;
}

const config = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as LoadConfig;
let counter = 0;
let failures = 0;
let firstFailure = '';
const times: number[] = [];

function once(session: ClientHttp2Session): Promise<void> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const body = config.body?.replaceAll('{n}', `${process.pid}-${counter++}`);
    const stream = session.request({ ':method': config.method, ':path': config.path, accept: 'application/json', ...(body ? { 'content-type': 'application/json' } : {}) });
    let status = 0;
    let text = '';
    stream.on('response', (headers) => (status = Number(headers[':status'])));
    stream.on('data', (part: Buffer) => {
      if (status !== config.status && text.length < 500) text += part.toString();
    });
    stream.on('end', () => {
      times.push(performance.now() - began);
      if (status !== config.status) {
        failures++;
        firstFailure ||= `${status} ${text}`;
      }
      resolve();
    });
    stream.on('error', reject);
    stream.end(body);
  });
}
async function worker(session: ClientHttp2Session, until: number): Promise<void> {
  while (performance.now() < until) await once(session);
}

const sessions = Array.from({ length: config.connections }, () => connect(config.server, { ca: config.ca, cert: config.cert, key: config.key }));
await Promise.all(sessions.map((s) => once(s)));
times.length = 0;
const began = performance.now();
const until = began + config.ms;
await Promise.all(sessions.flatMap((s) => Array.from({ length: config.inFlight }, () => worker(s, until))));
const took = performance.now() - began;
for (const s of sessions) s.close();
const sorted = times.toSorted((a, b) => a - b);
const at = (q: number) => sorted[Math.floor(sorted.length * q)] ?? NaN;
console.log(JSON.stringify({ perSecond: (times.length * 1000) / took, p50Ms: at(0.5), p99Ms: at(0.99), failures, firstFailure } satisfies LoadResult));
