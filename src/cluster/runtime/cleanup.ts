/** Taking a node's container runtime off the machine: Pods, containerd, shims, mounts, cgroups, files. Nothing that is not its own. */
import { readdir, rm } from 'node:fs/promises';
import { sleep, type Clock } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { connectCri, type CriClient } from '#cri/client.ts';
import { sliceOf, slicePath } from '#kubelet/cgroups/systemd-driver.ts';
import { cgroupDirs, removeCgroups } from './cgroups.ts';
import { cniNetworkName } from './cni.ts';
import { run } from './command.ts';
import type { NodeRuntimeConfig } from './config.ts';
import { findInstance, pidFile } from './containerd.ts';
import { readFileIfThere } from './files.ts';
import { holding } from './hold.ts';
import { isBelow, listMounts, unmountBelow } from './mounts.ts';
import { descendantsOf, endProcess, listProcesses, signalProcess, waitForEnd, type ProcessInfo } from './processes.ts';

/** What a node's runtime has on the machine now. All empty after {@link removeRuntime}. */
export interface RuntimeLeftovers {
  /** containerd, its shims and what runs below those. */
  readonly processes: readonly ProcessInfo[];
  readonly mounts: readonly string[];
  readonly cgroups: readonly string[];
  /** The bridge of the Pod network. */
  readonly links: readonly string[];
  /** What the CNI library keeps of Pods that were not taken down in order. */
  readonly files: readonly string[];
}

const POD_CALL_TIMEOUT_MS = 20_000;
const GRACE_MS = 10_000;
const PARALLEL = 6;
const CNI_CACHE = '/var/lib/cni/results';
const log = logger('containerd');

export async function listLeftovers(config: NodeRuntimeConfig): Promise<RuntimeLeftovers> {
  const [processes, mounts, cgroups, links, files] = await Promise.all([ownProcesses(config), ownMounts(config), ownCgroups(config), ownLinks(config), cniCacheFiles(config)]);
  return { processes, mounts, cgroups, links, files };
}

/**
 * Removes all of it. Pods go in order while containerd can still be asked (so that their addresses and interfaces are given
 * back), by force otherwise. The directories of the configuration stay: they are undone as what they are, directories.
 */
export function removeRuntime(config: NodeRuntimeConfig, clock: Clock): Promise<void> {
  return holding(removeAll(config, clock));
}

async function removeAll(config: NodeRuntimeConfig, clock: Clock): Promise<void> {
  const instance = await findInstance(config);
  if (instance) {
    const client = connectCri({ endpoint: config.socket, clock });
    try {
      await removePods(client);
    } catch (error) {
      log.warn({ error: String(error) }, 'Pods could not be removed in order; they are removed by force');
    } finally {
      client.close();
    }
    await endProcess(instance, clock, GRACE_MS);
  }
  await killShims(config, clock);
  await removeOwnCgroups(config, clock);
  for (const dir of [config.state, config.root]) await unmountBelow(dir, { itself: false });
  for (const link of await ownLinks(config)) await ip(config, ['link', 'delete', link]);
  for (const file of await cniCacheFiles(config)) await rm(file, { force: true });
  await Promise.all([pidFile(config), config.socket, `${config.socket}.ttrpc`].map((file) => rm(file, { force: true })));
}

/** The same root as a slice of systemd's: there where its driver is, or was, in use. */
const sliceNames = ({ cgroupRoot }: NodeRuntimeConfig): readonly string[] => cgroupRoot.split('/').filter(Boolean);
async function ownCgroups(config: NodeRuntimeConfig): Promise<string[]> {
  return [...(await cgroupDirs(config.cgroupRoot)), ...(await cgroupDirs(slicePath(sliceNames(config))))];
}
async function removeOwnCgroups(config: NodeRuntimeConfig, clock: Clock): Promise<void> {
  await removeCgroups(config.cgroupRoot, clock);
  const path = slicePath(sliceNames(config));
  if ((await cgroupDirs(path)).length === 0) return;
  // systemd lets go of what is its own; what is left of it in hierarchies that it does not manage goes by hand.
  await run('systemctl', ['stop', sliceOf(sliceNames(config))]).catch((err: Error) => log.warn({ err: err.message }, 'systemd could not stop the slice of the node; it is removed by hand'));
  await removeCgroups(path, clock);
}

async function removePods(client: CriClient): Promise<void> {
  const { items } = await client.listPodSandbox({}, { timeoutMs: POD_CALL_TIMEOUT_MS });
  const waiting = items.map((item) => item.id);
  const failures: unknown[] = [];
  await Promise.all(Array.from({ length: PARALLEL }, async () => {
    for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
      try {
        await client.stopPodSandbox({ podSandboxId: id }, { timeoutMs: POD_CALL_TIMEOUT_MS });
        await client.removePodSandbox({ podSandboxId: id }, { timeoutMs: POD_CALL_TIMEOUT_MS });
      } catch (error) {
        failures.push(error);
      }
    }
  }));
  if (failures.length > 0) throw failures[0] as Error;
}

function isShim(p: ProcessInfo, config: NodeRuntimeConfig): boolean {
  const at = p.args.indexOf('-address');
  return p.args[0]?.includes('containerd-shim') === true && at > 0 && p.args[at + 1] === config.socket;
}

/** The containers' first processes go first: with each goes all of its PID namespace. Then the shims, and their sockets. */
async function killShims(config: NodeRuntimeConfig, clock: Clock): Promise<void> {
  const sockets = await shimSockets(config);
  for (let round = 0; round < 3; round++) {
    const all = await listProcesses();
    const shims = all.filter((p) => isShim(p, config));
    const victims = shims.flatMap((shim) => [...descendantsOf(all, shim.pid), shim]);
    if (victims.length === 0) break;
    for (const victim of victims) await signalProcess(victim, 'SIGKILL');
    await Promise.all(victims.map((victim) => waitForEnd(victim, clock, GRACE_MS)));
    await sleep(clock, 1);
  }
  await Promise.all(sockets.map((socket) => rm(socket, { force: true })));
}

/** Shims keep their sockets in a directory that all containerd instances share; each task's `address` file tells which is its. */
async function shimSockets(config: NodeRuntimeConfig): Promise<string[]> {
  const tasks = `${config.state}/io.containerd.runtime.v2.task/k8s.io`;
  const ids = await readdir(tasks).catch((): string[] => []);
  const addresses = await Promise.all(ids.map((id) => readFileIfThere(`${tasks}/${id}/address`)));
  return addresses.flatMap((address) => {
    const path = /^unix:\/\/(\/run\/containerd\/s\/[0-9a-f]+)\s*$/.exec(address ?? '')?.[1];
    return path === undefined ? [] : [path];
  });
}

async function ownProcesses(config: NodeRuntimeConfig): Promise<ProcessInfo[]> {
  const all = await listProcesses();
  const instance = await findInstance(config);
  const heads = all.filter((p) => p.pid === instance?.pid || isShim(p, config));
  return heads.flatMap((head) => [head, ...descendantsOf(all, head.pid)]);
}

async function ownMounts(config: NodeRuntimeConfig): Promise<string[]> {
  const dirs = [config.root, config.state];
  return (await listMounts()).map((m) => m.mountPoint).filter((point) => dirs.some((dir) => isBelow(point, dir) && point !== dir));
}

async function ip(config: NodeRuntimeConfig, args: readonly string[]): Promise<string> {
  const [file, argv] = config.netns === undefined ? ['ip', args] : ['nsenter', [`--net=${config.netns}`, 'ip', ...args]];
  return (await run(file, argv)).stdout;
}

async function ownLinks(config: NodeRuntimeConfig): Promise<string[]> {
  try {
    await ip(config, ['link', 'show', 'dev', config.bridge]);
    return [config.bridge];
  } catch (error) {
    // No such interface, or no such network namespace any more.
    if (/does not exist|No such file or directory/.test(String(error))) return [];
    throw error;
  }
}

async function cniCacheFiles(config: NodeRuntimeConfig): Promise<string[]> {
  const prefix = `${cniNetworkName(config)}-`;
  const names = await readdir(CNI_CACHE).catch((): string[] => []);
  const mine = names.filter((name) => name.startsWith(prefix));
  // containerd's own loopback network is called the same for everybody: its files are known by the sandbox's id.
  const loopback = mine.map((name) => `cni-loopback-${name.slice(prefix.length).replace(/-[^-]+$/, '')}-lo`).filter((name) => names.includes(name));
  return [...mine, ...loopback].map((name) => `${CNI_CACHE}/${name}`);
}
