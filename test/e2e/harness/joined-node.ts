/** A second machine for a test's cluster: a network namespace with a Podyard of its own in it. */
import { mkdir, mkdtemp } from 'node:fs/promises';
import { runningProcess } from '#cluster/daemon.ts';
import { readJoinedConfig, type JoinedConfig } from '#cluster/join/config.ts';
import { isRunning, type ProcessId } from '#cluster/runtime/processes.ts';
import type { TestCluster } from './cluster.ts';
import { DIR_PREFIX, ownLeftover, PODYARD } from './leftovers.ts';
import type { TestNetns } from './netns.ts';
import { runProgram, type Result, type RunOptions } from './process.ts';

export class JoinedNode {
  readonly name: string;
  readonly net: TestNetns;
  readonly dir: string;
  readonly #cluster: TestCluster;

  private constructor(cluster: TestCluster, net: TestNetns, name: string, dir: string) {
    this.#cluster = cluster;
    this.net = net;
    this.name = name;
    this.dir = dir;
  }
  static async prepare(cluster: TestCluster, net: TestNetns, name: string): Promise<JoinedNode> {
    const dir = await mkdtemp(DIR_PREFIX);
    await ownLeftover(dir, { netns: net.name });
    await mkdir(`${dir}/home`);
    return new JoinedNode(cluster, net, name, dir);
  }
  get dataDir(): string {
    return `${this.dir}/data`;
  }
  /** Runs `./podyard COMMAND --data-dir …` on this machine. */
  podyard(args: readonly string[], options: RunOptions = {}): Promise<Result> {
    const [command = '', ...rest] = args;
    const { KUBECONFIG: _, ...env } = this.#cluster.env;
    const [program = '', ...words] = [...this.net.enter, PODYARD, command, '--data-dir', this.dataDir, ...rest];
    return runProgram(program, words, { timeoutMs: 120_000, env: { ...env, HOME: `${this.dir}/home` }, ...options });
  }
  /** Joins by the very command that `podyard token create` prints on the server. */
  async join(...flags: string[]): Promise<Result> {
    const { stdout } = await this.#cluster.podyard(['token', 'create']);
    const [, words = ''] = /^.*podyard join (\S.*)$/m.exec(stdout) ?? [];
    return await this.podyard(['join', ...words.split(' '), '--yes', '--node-name', this.name, ...flags]);
  }
  /** Podyard's own process; undefined when it does not run. */
  async process(): Promise<ProcessId | undefined> {
    return await runningProcess(await this.config());
  }
  async config(): Promise<JoinedConfig> {
    const config = await readJoinedConfig(this.dataDir);
    if (!config) throw new Error(`the machine of ${this.dataDir} has not joined`);
    return config;
  }
  /** `kill -9` of Podyard's own process; resolves when it is gone. */
  async kill(): Promise<void> {
    const id = await this.process();
    if (!id) return;
    process.kill(id.pid, 'SIGKILL');
    while (await isRunning(id)) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  /** Takes the node off the machine, and the machine away; rejects when something stays. */
  async remove(): Promise<void> {
    await this.podyard(['uninstall', '--yes']);
    await this.net[Symbol.asyncDispose]();
    await runProgram('rm', ['-rf', '--one-file-system', this.dir]);
  }
}
