/** A cluster of the benchmark's own, made by the command that a person types. */
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { load } from 'js-yaml';
import { adminTransport } from '#cluster/admin.ts';
import { readClusterConfig, type ClusterConfig } from '#cluster/config.ts';
import type { Kubeconfig } from '#cluster/pki.ts';
import { Client } from '#client/client.ts';
import type { HttpTransport } from '#client/http-transport.ts';
import { freePort, freeRanges } from '../test/e2e/harness/cluster.ts';
import { buildImages } from '../test/images/build.ts';
import type { Target } from './h2.ts';
import type { LoadConfig, LoadResult } from './load.ts';
import type { WatchersConfig, WatchersResult } from './watchers.ts';

const run = promisify(execFile);
export const root = fileURLToPath(new URL('..', import.meta.url));
export const IMAGE = 'docker.io/library/busybox:1.37';

export interface BenchCluster extends AsyncDisposable {
  readonly config: ClusterConfig;
  readonly client: Client;
  readonly dataDir: string;
  /** Milliseconds from typing the command to each stage. */
  readonly start: StartTimes;
  load(config: Omit<LoadConfig, keyof Target>): Promise<LoadResult>;
  watchers(config: Omit<WatchersConfig, keyof Target>): Promise<WatchersResult>;
  /** `podyard down`, `podyard up`. */
  restart(): Promise<StartTimes>;
}
export interface StartTimes {
  readonly apiReadyMs: number;
  readonly nodeReadyMs: number;
}

/** Runs `podyard up` and reads the times off its output's arrival. */
async function up(args: readonly string[]): Promise<StartTimes> {
  const began = performance.now();
  let apiReadyMs = NaN;
  const child = spawn(join(root, 'podyard'), ['up', '--yes', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (part: Buffer) => {
    output += part.toString();
    if (Number.isNaN(apiReadyMs) && /apiserver/.test(output)) apiReadyMs = performance.now() - began;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  if (code !== 0) throw new Error(`podyard up failed:\n${output}`);
  return { apiReadyMs, nodeReadyMs: performance.now() - began };
}

export async function startBenchCluster(): Promise<BenchCluster> {
  const dir = await mkdtemp(join(tmpdir(), 'podyard-bench-'));
  const dataDir = join(dir, 'data');
  process.env['KUBECONFIG'] = join(dir, 'user-kubeconfig');
  const ranges = await freeRanges();
  const args = ['--data-dir', dataDir, '--api-port', String(await freePort()), '--kubelet-port', String(await freePort()), '--cluster-cidr', ranges.cluster, '--service-cidr', ranges.service];
  const start = await up(args);
  const config = (await readClusterConfig(dataDir))!;
  const images = await buildImages({ names: [IMAGE] });
  await images.writeArchive(join(dir, 'images.tar'), [IMAGE]);
  await run(join(root, 'podyard'), ['image', 'load', join(dir, 'images.tar'), '--data-dir', dataDir]);
  const transport: HttpTransport = await adminTransport(config);
  return {
    config, dataDir, start,
    client: new Client(transport, 'bench'),
    load: (l) => runTool<LoadResult>('load', dir, config, l),
    watchers: (w) => runTool<WatchersResult>('watchers', dir, config, w),
    async restart() {
      await run(join(root, 'podyard'), ['down', '--data-dir', dataDir]);
      return up(args);
    },
    async [Symbol.asyncDispose]() {
      transport.close();
      await run(join(root, 'podyard'), ['uninstall', '--yes', '--data-dir', dataDir]);
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** The administrator's way to the API server. */
export async function accessTo(config: ClusterConfig): Promise<Target> {
  const { clusters: [c], users: [u] } = load(await readFile(config.kubeconfig, 'utf8')) as Kubeconfig;
  const decode = (text: string | undefined) => Buffer.from(text ?? '', 'base64').toString();
  return { server: c!.cluster['server']!, ca: decode(c!.cluster['certificate-authority-data']), cert: decode(u!.user['client-certificate-data']), key: decode(u!.user['client-key-data']) };
}
/** Runs `bench/TOOL.ts` in a process of its own: what it costs shall not be ours. */
async function runTool<R extends object>(tool: 'load' | 'watchers', dir: string, config: ClusterConfig, options: object): Promise<R> {
  const file = join(dir, `${tool}-${++runs}.json`);
  await writeFile(file, JSON.stringify({ ...options, ...(await accessTo(config)) }), { mode: 0o600 });
  const { stdout } = await run(process.execPath, ['--disable-warning=ExperimentalWarning', join(root, `bench/${tool}.ts`), file]);
  const result = JSON.parse(stdout) as R & { failures?: number; firstFailure?: string };
  if (result.failures) console.error(`  ${result.failures} failures, the first: ${result.firstFailure}`);
  return result;
}
let runs = 0;
