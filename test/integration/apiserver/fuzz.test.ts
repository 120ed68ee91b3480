/**
 * Many random requests, right, nearly right and wrong: none may break the server, none may be answered with a fault of its own.
 * `PODYARD_FUZZ=100000` sets how many, `PODYARD_FUZZ_SEED` which.
 */
import assert from 'node:assert/strict';
import { connect as http2Connect, type ClientHttp2Session } from 'node:http2';
import { after, before, test } from 'node:test';
import type { Status } from '#api/gen/meta-v1.ts';
import { RESOURCES } from '#api/resources.ts';
import { configureLogging } from '#base/logger.ts';
import { decodeObject } from '#machinery/protobuf.ts';
import { parseYaml } from '#machinery/yaml.ts';
import { startServer, type Fixture } from './fixture.ts';
import { Random } from './fuzz/random.ts';
import { randomRequest, type FuzzRequest } from './fuzz/requests.ts';
import { Requests } from './requests.ts';

const COUNT = Number(process.env['PODYARD_FUZZ'] ?? 3_000);
const SEED = Number(process.env['PODYARD_FUZZ_SEED'] ?? 1);
const AT_ONCE = 16;
const MAX_SHOWN = 10;
/** What is mended between rounds: requests may have left something that refuses all others. */
const ROUND = 1_000;

let fixture: Fixture;
let http: Requests;
let session: ClientHttp2Session;
before(async () => {
  configureLogging({ level: 'silent' });
  fixture = await startServer({ pluginsWithout: [], minRequestTimeoutSeconds: 1 });
  http = new Requests(fixture);
  session = http2Connect(fixture.url, http.tls);
});
after(async () => {
  session.destroy();
  http.close();
  await fixture.close();
  configureLogging({ level: 'info' });
});

interface Answer {
  readonly code: number;
  readonly type: string;
  readonly bytes: Buffer;
}
function send({ method, path, headers, body }: FuzzRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream: !body });
    let [code, type] = [0, ''];
    const chunks: Buffer[] = [];
    stream.on('response', (head) => {
      code = Number(head[':status']);
      type = String(head['content-type'] ?? '');
    });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () => resolve({ code, type, bytes: Buffer.concat(chunks) }));
    if (body) stream.end(body);
  });
}

/** No fault of ours, with a 504: the revision may yet come, or the client gave the server no time. */
const TIMEOUTS = /^Timeout: (Too large resource version: |request did not complete within the allotted timeout)/;

function statusOf({ type, bytes }: Answer): Partial<Status> & { readonly paths?: unknown } {
  if (type.startsWith('application/json')) return JSON.parse(bytes.toString('utf8')) as Status;
  if (type.startsWith('application/yaml')) return parseYaml(bytes.toString('utf8')) as Status;
  return decodeObject(bytes) as Partial<Status>;
}
/** Why the answer is wrong; undefined when it is as it should be. */
function fault(answer: Answer): string | undefined {
  const { code, type, bytes } = answer;
  if (code === 0) return 'no answer';
  if (code < 400 || (code < 500 && type.startsWith('text/'))) return undefined;
  const { kind, message = '', reason, code: said, paths } = statusOf(answer);
  // For paths that are nobody's the root answers what it has.
  if (code === 404 && paths) return undefined;
  if (kind !== 'Status' || said !== code || message === '' || !reason) return `${code} without a proper Status: ${bytes.toString('latin1').slice(0, 300)}`;
  if (code < 500 || (code === 504 && TIMEOUTS.test(message))) return undefined;
  return `${code} ${reason}: ${message.slice(0, 600)}`;
}
function shown({ method, path, headers, body }: FuzzRequest): string {
  return `${method} ${path} ${JSON.stringify(headers)} ${body ? JSON.stringify(body.toString('latin1')).slice(0, 1500) : ''}`;
}
async function mend(): Promise<void> {
  await http.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'fuzz' } });
  await http.post('/api/v1/namespaces/fuzz/serviceaccounts', { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } });
  for (const plural of ['resourcequotas', 'limitranges']) await http.call('DELETE', `/api/v1/namespaces/fuzz/${plural}`);
}

test(`${COUNT} mutated requests: no crash, no 500`, { timeout: 3_600_000 }, async (t) => {
  const random = new Random(SEED);
  const faults = new Map<string, string>();
  const codes = new Map<number, number>();
  const sent = { count: 0 };
  const worker = async (until: number): Promise<void> => {
    while (sent.count < until) {
      sent.count += 1;
      const request = randomRequest(random);
      const answer = await send(request);
      codes.set(answer.code, (codes.get(answer.code) ?? 0) + 1);
      const why = fault(answer);
      if (why !== undefined && faults.size < MAX_SHOWN) faults.set(why.replace(/\d+/g, '#').slice(0, 120), `${why}\n    ${shown(request)}`);
    }
  };
  while (sent.count < COUNT) {
    await mend();
    const until = Math.min(COUNT, sent.count + ROUND);
    await Promise.all(Array.from({ length: AT_ONCE }, () => worker(until)));
  }
  const summary = [...codes].toSorted(([a], [b]) => a - b).map(([code, n]) => `${code}: ${n}`).join(', ');
  t.diagnostic(summary);
  assert.equal(faults.size, 0, `seed ${SEED}, ${summary}\n${[...faults.values()].join('\n')}`);
  // The requests did reach all of the server: some were right, and the wrong ones were told apart.
  for (const code of [200, 201, 400, 404, 405, 409, 415, 422]) assert.ok(codes.has(code), `some requests are answered with ${code}: ${summary}`);
});

test('after all that the server is ready and every kind can be listed and watched', async () => {
  assert.equal((await http.get('/readyz')).code, 200);
  for (const info of RESOURCES.filter((r) => r.verbs.includes('list'))) {
    const path = `${info.group === '' ? '/api' : `/apis/${info.group}`}/${info.version}/${info.plural}`;
    for (const accept of ['application/json', 'application/json;as=Table;g=meta.k8s.io;v=v1', 'application/vnd.kubernetes.protobuf,application/json', 'application/yaml']) {
      assert.equal((await http.call('GET', path, { headers: { accept } })).code, 200, `${path} as ${accept}`);
    }
  }
});
