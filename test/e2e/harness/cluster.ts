/**
 * A real cluster for one test file: `./podyard up` in a data directory of its own, on free ports and address ranges, so that it
 * disturbs no other cluster of the machine; uninstalled at the end.
 */
import { randomInt } from 'node:crypto';
import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { networkInterfaces } from 'node:os';
import { Client } from '#client/client.ts';
import { HttpTransport } from '#client/http-transport.ts';
import { adminTransport } from '#cluster/admin.ts';
import { readClusterConfig, type ClusterConfig } from '#cluster/config.ts';
import { runningProcess } from '#cluster/daemon.ts';
import { isRunning, type ProcessId } from '#cluster/runtime/processes.ts';
import { buildImages } from '../../images/build.ts';
import { PRIVATE_USER, startRegistry, type TestRegistry } from '../../images/registry.ts';
import { JoinedNode } from './joined-node.ts';
import { makeNetns } from './netns.ts';
import { reserve } from './reservations.ts';
import { requireKubectl, type KubectlVersion } from './kubectl-binary.ts';
import { runProgram, startProgram, type Program, type Result, type RunOptions } from './process.ts';
import { DIR_PREFIX, ownLeftover, PODYARD, sweepLeftovers } from './leftovers.ts';


export interface ClusterOptions {
  /** Images to load from a file, by their complete names. */
  readonly images?: readonly string[];
  /** Images to pull from a loopback registry that stands for every registry, under their names in it: `docker.io/library/nginx:1.28`. */
  readonly served?: readonly string[];
  /** The registry's images under `private/`, which ask for credentials: `docker.io/private/app:1` from the image that is its value. */
  readonly guarded?: Readonly<Record<string, string>>;
  /** The node itself has the credentials of the guarded images. */
  readonly nodeCredentials?: boolean;
  /** Files of the data directory that are there before the first `up`: `kubelet.yaml`. */
  readonly dataFiles?: Readonly<Record<string, string>>;
  /** More flags of `up`. */
  readonly flags?: readonly string[];
  /** A second machine is there, as neighbour of the first: `cluster.neighbour` joins it. */
  readonly neighbour?: boolean;
  /** What `./podyard` is started by, where it is to see another machine than the test: `nsenter …`. */
  readonly enter?: readonly string[];
}
export interface KubectlOptions extends RunOptions {
  /** Default 1.36. */
  readonly version?: KubectlVersion;
}

/** Below the ports that outgoing connections and node ports take. */
const PORTS = { from: 20_000, to: 30_000 } as const;
/** A port that nobody listens on, and that no other test process takes as long as this one lives. */
export function freePort(): Promise<number> {
  const candidates = Array.from({ length: 200 }, () => randomInt(PORTS.from, PORTS.to));
  return reserve('port', candidates, async (port) => {
    const server = createServer();
    const free = await new Promise<boolean>((resolve) => server.once('error', () => resolve(false)).listen(port, () => resolve(true)));
    if (free) await new Promise((resolve) => server.close(resolve));
    return free;
  });
}
/** Two ranges of addresses, `10.N.0.0/16`, in which the machine has no interface. */
export async function freeRanges(): Promise<{ cluster: string; service: string }> {
  const used = new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((a) => /^10\.(\d+)\./.exec(a.address)?.[1])));
  const n = await reserve('range', Array.from({ length: 55 }, (_, i) => 200 + i), (candidate) => !used.has(String(candidate)) && !used.has(String(candidate - 100)));
  return { cluster: `10.${n}.0.0/16`, service: `10.${n - 100}.0.0/16` };
}

export class TestCluster {
  /** Holds the data directory, a home and the test's files. */
  readonly dir: string;
  readonly #flags: readonly string[];
  readonly #enter: readonly string[];
  #transport: HttpTransport | undefined;
  #registry: TestRegistry | undefined;
  #neighbour: JoinedNode | undefined;
  #kubectlPath = '';

  private constructor(dir: string, flags: readonly string[], enter: readonly string[]) {
    this.dir = dir;
    this.#flags = flags;
    this.#enter = enter;
  }

  static async start(options: ClusterOptions = {}): Promise<TestCluster> {
    const cluster = await TestCluster.prepare(options);
    try {
      await cluster.up();
      if (options.images?.length) await cluster.loadImages(options.images);
    } catch (error) {
      process.stderr.write(await cluster.logs());
      await cluster.uninstall().catch(() => {});
      throw error;
    }
    return cluster;
  }
  /** Everything but `up`. */
  static async prepare(options: ClusterOptions = {}): Promise<TestCluster> {
    await sweepLeftovers();
    const dir = await mkdtemp(DIR_PREFIX);
    await ownLeftover(dir);
    await mkdir(`${dir}/home`);
    await mkdir(`${dir}/files`);
    const ranges = await freeRanges();
    const net = options.neighbour ? await makeNetns() : undefined;
    const flags = [...(net ? [`--node-ip=${net.hostIP}`] : []), `--api-port=${await freePort()}`, `--kubelet-port=${await freePort()}`, `--cluster-cidr=${ranges.cluster}`, `--service-cidr=${ranges.service}`, '--node-name=node01', ...(options.flags ?? [])];
    const cluster = new TestCluster(dir, flags, options.enter ?? []);
    await mkdir(cluster.dataDir);
    if (net) cluster.#neighbour = await JoinedNode.prepare(cluster, net, 'node02');
    for (const [name, content] of Object.entries(options.dataFiles ?? {})) await writeFile(`${cluster.dataDir}/${name}`, content);
    if (options.served || options.guarded) await cluster.#serve(options);
    cluster.#kubectlPath = await requireKubectl('1.36');
    return cluster;
  }

  /** Starts the registry and writes `registries.yaml`, which the next `up` reads. */
  async #serve({ served = [], guarded = {}, nodeCredentials = false }: ClusterOptions): Promise<void> {
    const registry = (this.#registry = await startRegistry());
    const { images } = await buildImages({ names: [...served, ...Object.values(guarded)] });
    for (const name of served) await registry.push(name, images.get(name)!);
    for (const [name, from] of Object.entries(guarded)) await registry.push(name, images.get(from)!);
    const { username, password } = PRIVATE_USER;
    const configs = nodeCredentials ? { configs: { [new URL(registry.url).host]: { auth: { username, password } } } } : {};
    await writeFile(`${this.dataDir}/registries.yaml`, JSON.stringify({ mirrors: { 'docker.io': { endpoint: [registry.url] }, '*': { endpoint: [registry.url] } }, ...configs }));
  }
  get registry(): TestRegistry {
    if (!this.#registry) throw new Error('this cluster was started without images to serve');
    return this.#registry;
  }

  /** The second machine, which has not joined yet. */
  get neighbour(): JoinedNode {
    if (!this.#neighbour) throw new Error('this cluster was started without a neighbour');
    return this.#neighbour;
  }
  get dataDir(): string {
    return `${this.dir}/data`;
  }
  get kubeconfig(): string {
    return `${this.dataDir}/kubeconfig.yaml`;
  }
  /** Where files that a test's commands name lie; their working directory. */
  get files(): string {
    return `${this.dir}/files`;
  }
  readonly nodeName = 'node01';
  /** Environment of a person at this machine: a home of the test's own, kubectl 1.36 first in the PATH. */
  get env(): NodeJS.ProcessEnv {
    const inherited = Object.entries(process.env).filter(([name]) => !/^(KUBE|NODE_TEST)/.test(name));
    return { ...Object.fromEntries(inherited), HOME: `${this.dir}/home`, KUBECONFIG: this.kubeconfig, PATH: `${this.#kubectlPath.replace(/\/kubectl$/, '')}:${process.env['PATH'] ?? ''}`, TERM: 'xterm', LC_ALL: 'C.UTF-8' };
  }

  /** Runs `./podyard COMMAND --data-dir …`. */
  podyard(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const [command = '', ...rest] = args;
    const { KUBECONFIG: _, ...env } = this.env;
    const [program = '', ...words] = [...this.#enter, PODYARD, command, '--data-dir', this.dataDir, ...rest];
    return runProgram(program, words, { timeoutMs: 120_000, env, cwd: this.files, ...options });
  }
  up(): Promise<Result> {
    return this.podyard(['up', '--yes', ...this.#flags]);
  }
  down(...flags: string[]): Promise<Result> {
    return this.podyard(['down', ...flags]);
  }
  async config(): Promise<ClusterConfig> {
    const config = await readClusterConfig(this.dataDir);
    if (!config) throw new Error(`no cluster in ${this.dataDir}`);
    return config;
  }
  /** Podyard's own process; undefined when it does not run. */
  async process(): Promise<ProcessId | undefined> {
    return await runningProcess(await this.config());
  }
  /** `kill -9` of Podyard's own process; resolves when it is gone. */
  async kill(): Promise<void> {
    const id = await this.process();
    if (!id) return;
    process.kill(id.pid, 'SIGKILL');
    while (await isRunning(id)) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  /** Builds images where they are not yet, and loads them. */
  async loadImages(names: readonly string[]): Promise<void> {
    await this.podyard(['image', 'load', await this.imageArchive(names)]);
  }

  /** The file that {@link loadImages} loads, for other nodes. */
  async imageArchive(names: readonly string[]): Promise<string> {
    const path = `${this.dir}/images.tar`;
    await (await buildImages({ names })).writeArchive(path, names);
    return path;
  }

  /** Runs kubectl as the administrator. Words are separated by single spaces; use a list where one holds a space. */
  async kubectl(args: string | readonly string[], options: KubectlOptions = {}): Promise<Result> {
    const words = typeof args === 'string' ? args.split(' ') : args;
    return runProgram(await requireKubectl(options.version ?? '1.36'), words, { cwd: this.files, ...options, env: { ...this.env, ...options.env } });
  }
  /** Starts kubectl beside the test. */
  async startKubectl(args: string | readonly string[], options: Omit<KubectlOptions, 'input' | 'expect'> = {}): Promise<Program> {
    const words = typeof args === 'string' ? args.split(' ') : args;
    return startProgram(await requireKubectl(options.version ?? '1.36'), words, { cwd: this.files, ...options, env: { ...this.env, ...options.env } });
  }
  /** What a reader types into a shell: pipes and redirections work. */
  shell(line: string, options: RunOptions = {}): Promise<Result> {
    return runProgram('/bin/bash', ['-c', line], { cwd: this.files, env: this.env, ...options });
  }
  /** The same on a terminal, for `-it`; what is written to the program is typed. */
  terminal(line: string, options: Pick<RunOptions, 'timeoutMs'> = {}): Program {
    return startProgram('script', ['-qefc', line, '/dev/null'], { cwd: this.files, env: this.env, ...options });
  }
  /** Writes a file that commands can name. */
  async file(name: string, content: string): Promise<string> {
    await writeFile(`${this.files}/${name}`, content);
    return name;
  }
  async apply(manifest: string | object, options: KubectlOptions = {}): Promise<Result> {
    return await this.kubectl('apply -f -', { input: typeof manifest === 'string' ? manifest : JSON.stringify(manifest), ...options });
  }

  /** A typed client as the administrator, over HTTPS. */
  async client(): Promise<Client> {
    this.#transport ??= await adminTransport({ kubeconfig: this.kubeconfig });
    return new Client(this.#transport, 'e2e');
  }

  /** The ends of the logs, for a failure's report. */
  async logs(lines = 40): Promise<string> {
    const tail = async (path: string): Promise<string> => {
      const text = await readFile(path, 'utf8').catch(() => '');
      return `--- ${path}\n${text.trimEnd().split('\n').slice(-lines).join('\n')}\n`;
    };
    const dirs = [this.dataDir, ...(this.#neighbour ? [this.#neighbour.dataDir] : [])];
    return (await Promise.all(dirs.flatMap((dir) => [tail(`${dir}/podyard.log`), tail(`${dir}/runtime/containerd.log`)]))).join('');
  }
  /** Where the cluster stands, for a failure's report. */
  async report(): Promise<string> {
    const parts = [];
    for (const args of ['get pods -A -o wide', 'get events -A --sort-by=.lastTimestamp']) {
      const shown = await this.kubectl(args, { expect: 'any', timeoutMs: 10_000 }).catch((error: Error) => ({ stdout: '', stderr: error.message }));
      parts.push(`--- kubectl ${args}\n${shown.stdout.split('\n').slice(-40).join('\n')}${shown.stderr}`);
    }
    return `${parts.join('\n')}\n${await this.logs()}`;
  }
  /** Takes it all off the machine; rejects when something stays. */
  async uninstall(): Promise<void> {
    this.#transport?.close();
    this.#transport = undefined;
    await this.#neighbour?.remove();
    this.#neighbour = undefined;
    await this.#registry?.[Symbol.asyncDispose]();
    this.#registry = undefined;
    await this.podyard(['uninstall', '--yes']);
    await runProgram('rm', ['-rf', '--one-file-system', this.dir]);
  }
}
