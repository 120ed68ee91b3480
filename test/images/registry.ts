/**
 * A registry for pull tests: Debian's `docker-registry` on loopback, behind a front that asks for credentials where the
 * repository begins with `private/` and notes what was asked for.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';
import { setTimeout } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { OciImage } from '#cluster/runtime/oci-image.ts';
import { pushImage, repositoryOf } from './push.ts';

export const PRIVATE_USER = { username: 'reader', password: 'correct horse' } as const;

export interface TestRegistry extends AsyncDisposable {
  /** `http://127.0.0.1:5000`: serves every registry's repositories. */
  readonly url: string;
  /** What was asked of the front: `GET /v2/library/nginx/manifests/1.28?ns=docker.io`. */
  readonly requests: readonly string[];
  /** Under its name without the host, or under another repository: `private/app`. */
  push(name: string, image: OciImage, repository?: string): Promise<void>;
  /** Blobs of a repository (`library/nginx`) come no faster than this. */
  slowDown(repository: string, bytesPerSecond: number): void;
}

const MAX_REQUESTS = 10_000;

/** `host` is where the front listens: another address of the machine when nodes live in network namespaces. */
export async function startRegistry(options: { readonly host?: string } = {}): Promise<TestRegistry> {
  await installRegistry();
  const dir = await mkdtemp(`${tmpdir()}/test-registry-`);
  const backend = await startBackend(dir);
  const requests: string[] = [];
  const slow = new Map<string, number>();
  const front = createServer((req, res) => {
    if (requests.length < MAX_REQUESTS) requests.push(`${req.method} ${req.url}`);
    if (req.url?.startsWith('/v2/private/') && req.headers.authorization !== basic()) return unauthorised(res);
    forward(req, res, backend.port, slow.get(/^\/v2\/(.+)\/blobs\//.exec(req.url ?? '')?.[1] ?? ''));
  });
  front.listen(0, options.host ?? '127.0.0.1');
  await once(front, 'listening');
  front.unref();
  const { address, port } = front.address() as AddressInfo;
  return {
    url: `http://${address}:${port}`,
    requests,
    push: (name, image, repository) => pushImage({ url: `http://127.0.0.1:${backend.port}`, ...repositoryOf(name), ...(repository !== undefined && { repository }) }, image),
    slowDown: (repository, bytesPerSecond) => void slow.set(repository, bytesPerSecond),
    async [Symbol.asyncDispose]() {
      front.closeAllConnections();
      front.close();
      await backend.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function basic(): string {
  return `Basic ${Buffer.from(`${PRIVATE_USER.username}:${PRIVATE_USER.password}`).toString('base64')}`;
}

function unauthorised(res: ServerResponse): void {
  const body = JSON.stringify({ errors: [{ code: 'UNAUTHORIZED', message: 'authentication required', detail: null }] });
  res.writeHead(401, { 'content-type': 'application/json', 'www-authenticate': 'Basic realm="test registry"', 'docker-distribution-api-version': 'registry/2.0', 'content-length': Buffer.byteLength(body) });
  res.end(body);
}

/** Passes on a tenth of a second's worth at a time. */
async function* throttled(source: AsyncIterable<Buffer>, bytesPerSecond: number): AsyncGenerator<Buffer> {
  const share = Math.ceil(bytesPerSecond / 10);
  for await (const chunk of source) {
    for (let at = 0; at < chunk.length; at += share) {
      yield chunk.subarray(at, at + share);
      await setTimeout(100);
    }
  }
}
function forward(req: IncomingMessage, res: ServerResponse, port: number, bytesPerSecond: number | undefined): void {
  const { authorization: _, ...headers } = req.headers;
  const onward = httpRequest({ host: '127.0.0.1', port, method: req.method, path: req.url, headers }, (answer) => {
    res.writeHead(answer.statusCode ?? 502, answer.headers);
    if (bytesPerSecond === undefined) answer.pipe(res);
    else pipeline(throttled(answer, bytesPerSecond), res).catch(() => res.destroy());
  });
  onward.on('error', () => res.destroy());
  res.on('close', () => onward.destroy());
  req.pipe(onward);
}

/** Starts `docker-registry` on a port of the kernel's choice, which it tells in its log. */
async function startBackend(dir: string): Promise<{ port: number; stop(): Promise<void> }> {
  const config = `${dir}/config.yml`;
  await writeFile(config, ['version: 0.1', 'log: {level: info, formatter: json}', `storage: {filesystem: {rootdirectory: ${dir}/data}, delete: {enabled: true}}`, 'http: {addr: "127.0.0.1:0"}', ''].join('\n'));
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'pipe', 'pipe'] });
  const exited = once(child, 'exit');
  const port = new Promise<number>((resolve) => {
    for (const output of [child.stdout, child.stderr]) {
      createInterface({ input: output }).on('line', (line) => {
        const found = /listening on 127\.0\.0\.1:(\d+)/.exec(line)?.[1];
        if (found) resolve(Number(found));
      });
    }
  });
  const ended = exited.then(([code]) => Promise.reject(new Error(`starting docker-registry: it ended with exit code ${code}`)));
  const listening = await Promise.race([port, ended]);
  ended.catch(() => {});
  return {
    port: listening,
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
  };
}

async function installRegistry(): Promise<void> {
  const exec = promisify(execFile);
  if (await exec('docker-registry', ['--version']).then(() => true, () => false)) return;
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  await exec('apt-get', ['-o', 'Acquire::Retries=3', '-qq', 'update'], { env });
  await exec('apt-get', ['-o', 'Acquire::Retries=3', '-qq', '-y', '--no-install-recommends', 'install', 'docker-registry'], { env });
}
