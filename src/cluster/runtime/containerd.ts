/**
 * Our own containerd: configured, started, watched, taken over after a restart of Podyard, ended.
 *
 * ```
 *   start ──▶ is one running with this very configuration? ──yes──▶ adopt ──┐
 *                       │ no: end it, if any                                ├──▶ answers CRI ──▶ ready ──lost──▶ start again
 *                       └──▶ spawn, in a session of its own ────────────────┘
 * ```
 * It is no child that dies with us: it and its shims go on when Podyard ends, in whatever way, and containers go on when it
 * ends itself. It runs in the host's mount namespace, so that mounts made on the host later are seen by Pods, and in the
 * node's network namespace where the node has one.
 */
import { createHash } from 'node:crypto';
import { spawn } from 'node:child_process';
import { mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { sleep, type Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { toolEnvironment } from '#base/system-command.ts';
import { connectCri, type CriClient } from '#cri/client.ts';
import { isCriError } from '#cri/error.ts';
import { writeCniConfig } from './cni.ts';
import { run } from './command.ts';
import { canLowerOomScore, parseContainerdVersion, renderContainerdConfig, type HostFacts, type NodeRuntimeConfig } from './config.ts';
import { readFileIfThere, writeFileAtomically } from './files.ts';
import type { HostChanges } from './host-changes.ts';
import { holding } from './hold.ts';
import { importImages } from './image-import.ts';
import { ensureShared } from './mounts.ts';
import { PAUSE_IMAGE, pauseImageArchive } from './pause-image.ts';
import { endProcess, isBack, listProcesses, processInfo, type ProcessId } from './processes.ts';

export interface ContainerdOptions {
  readonly config: NodeRuntimeConfig;
  readonly clock: Clock;
  readonly changes: HostChanges;
  /** Whether to import the built-in pause image, under its own name; true unless `config.pauseImage` is another. */
  readonly importPauseImage?: boolean;
}

const READY_TIMEOUT_MS = 60_000;
const STOP_GRACE_MS = 10_000;
const MAX_LOG_BYTES = 8 * 1024 * 1024;
const RESTART_DELAY_MS = { first: 200, max: 10_000 } as const;
const MAX_FAILED_RESTARTS = 8;
/** Where every shim of the machine has its socket, whoever's it is. */
const SHIM_DIRS = ['/run/containerd', '/run/containerd/s'];
const log = logger('containerd');

/** What is known of a running instance, as it stands in `containerd.pid`. */
interface Instance extends ProcessId {
  readonly bootId: string;
  readonly configHash: string;
}

export class Containerd implements Component {
  readonly name = 'containerd';
  readonly client: CriClient;
  readonly failed: Promise<Error>;
  readonly #options: ContainerdOptions;
  readonly #failed = Promise.withResolvers<Error>();
  readonly #ending = new AbortController();
  #instance: Instance | undefined;
  #supervision: Promise<void> = Promise.resolve();

  constructor(options: ContainerdOptions) {
    this.#options = options;
    this.failed = this.#failed.promise;
    this.client = connectCri({ endpoint: options.config.socket, clock: options.clock });
  }

  /** The running process; undefined before the start and after the stop. */
  get process(): ProcessId | undefined {
    return this.#instance;
  }

  start(signal: AbortSignal): Promise<void> {
    return holding(this.#start(signal));
  }

  /** Ends containerd. Its shims and containers go on, and are there again after the next start. */
  async stop(): Promise<void> {
    await this.release();
    await holding(this.#end());
  }

  /** Lets go of it: containerd runs on, to be adopted by the next start. Idempotent, as {@link stop} is. */
  async release(): Promise<void> {
    this.#ending.abort(new Error('the container runtime is no longer needed'));
    await this.#supervision;
    this.client.close();
  }

  async #start(signal: AbortSignal): Promise<void> {
    const { config, changes } = this.#options;
    await prepareHost(config, changes);
    if (config.podCIDR !== undefined) await writeCniConfig({ ...config, podCIDR: config.podCIDR });
    await this.#ensureRunning(signal);
    if (this.#options.importPauseImage ?? this.#options.config.pauseImage === PAUSE_IMAGE) await this.#importPauseImage(signal);
    this.#supervision = this.#supervise();
  }

  async #end(): Promise<void> {
    try {
      const instance = this.#instance ?? (await findInstance(this.#options.config));
      if (instance) await endProcess(instance, this.#options.clock, STOP_GRACE_MS);
      this.#instance = undefined;
      await rm(pidFile(this.#options.config), { force: true });
    } catch (error) {
      log.error({ error: String(error) }, 'Could not stop containerd');
    }
  }

  async #ensureRunning(signal: AbortSignal): Promise<void> {
    const { config, clock } = this.#options;
    const text = renderContainerdConfig(config, await hostFacts(signal));
    const configHash = createHash('sha256').update(text).update(config.netns ?? '').digest('hex');
    const running = await findInstance(config);
    if (running && running.configHash === configHash) {
      this.#instance = running;
      await this.#answering(signal);
      log.info({ pid: running.pid }, 'Adopted the running containerd');
      return;
    }
    if (running) await endProcess(running, clock, STOP_GRACE_MS);
    await writeFileAtomically(configFile(config), text, 0o600);
    await writeFileAtomically(`${config.configDir}/runtime.json`, `${JSON.stringify(config, undefined, 2)}\n`, 0o600);
    const { exited } = await this.#spawn(configHash);
    await Promise.race([this.#answering(signal), exited.then(async (how) => Promise.reject(new Error(`starting containerd: it ended with ${how}: ${await lastLines(config)}`)))]);
    log.info({ pid: this.#instance?.pid }, 'Started containerd');
  }

  /** Starts the process; `exited` resolves when that ends, with how. */
  async #spawn(configHash: string): Promise<{ exited: Promise<string> }> {
    const { config } = this.#options;
    const args = ['--config', configFile(config)];
    const [file, argv] = config.netns === undefined ? ['containerd', args] : ['nsenter', [`--net=${config.netns}`, 'containerd', ...args]];
    const output = await openLog(config);
    try {
      const child = spawn(file, argv, { detached: true, cwd: '/', env: toolEnvironment(), stdio: ['ignore', output.fd, output.fd] });
      const exited = new Promise<string>((resolve) => {
        child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
        child.once('error', (error) => resolve(error.message));
      });
      child.unref();
      const info = child.pid === undefined ? undefined : await processInfo(child.pid);
      if (info) {
        this.#instance = { pid: info.pid, startTime: info.startTime, bootId: await bootId(), configHash };
        await writeFileAtomically(pidFile(config), `${JSON.stringify(this.#instance)}\n`, 0o600);
      }
      return { exited };
    } finally {
      await output.close();
    }
  }

  /** Resolves when the CRI plugin answers: a little after the socket does. */
  async #answering(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const deadline = clock.monotonic() + READY_TIMEOUT_MS;
    const left = () => Math.max(1, deadline - clock.monotonic());
    await this.client.connected({ signal, timeoutMs: left() });
    for (;;) {
      try {
        const { status } = await this.client.status({}, { signal, timeoutMs: left() });
        const runtime = status?.conditions.find((c) => c.type === 'RuntimeReady');
        if (runtime?.status) return;
      } catch (error) {
        if (!isCriError(error, 'Unavailable') && !isCriError(error, 'Unknown')) throw error;
        if (clock.monotonic() >= deadline) throw error;
      }
      // "server is not initialized yet": there is no event for its end.
      await sleep(clock, 10, signal);
    }
  }

  async #importPauseImage(signal: AbortSignal): Promise<void> {
    const { config, clock } = this.#options;
    const { image } = await this.client.imageStatus({ image: { image: config.pauseImage } }, { signal });
    if (image) return;
    const path = `${config.configDir}/pause.tar`;
    const file = await open(path, 'w', 0o600);
    try {
      await file.writeFile(pauseImageArchive());
      await importImages(path, { socket: config.socket, runtime: this.client, clock, signal });
    } finally {
      await file.close();
      await rm(path, { force: true });
    }
  }

  /** Starts it again whenever it ends, until we are to end ourselves. Never rejects. */
  async #supervise(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#ending;
    let failures = 0;
    while (!signal.aborted) {
      try {
        await this.client.channel.disconnected({ signal });
        const connect = (until: AbortSignal): Promise<void> => this.client.connected({ signal: until, timeoutMs: READY_TIMEOUT_MS });
        if (!this.#instance || !(await isBack(this.#instance, connect, clock, READY_TIMEOUT_MS, signal))) {
          log.warn({ pid: this.#instance?.pid }, 'containerd has ended; starting it again');
          await this.#ensureRunning(signal);
        }
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        log.error({ error: String(error) }, 'containerd could not be started again');
        if (++failures === MAX_FAILED_RESTARTS) {
          this.#failed.resolve(new Error(`containerd could not be started again ${failures} times`, { cause: error }));
          return;
        }
        await sleep(clock, Math.min(RESTART_DELAY_MS.first * 2 ** failures, RESTART_DELAY_MS.max), signal).catch(() => {});
      }
    }
  }
}

export function configFile(config: NodeRuntimeConfig): string {
  return `${config.configDir}/config.toml`;
}
export function pidFile(config: NodeRuntimeConfig): string {
  return `${config.configDir}/containerd.pid`;
}
export function logFile(config: NodeRuntimeConfig): string {
  return `${config.configDir}/containerd.log`;
}

/** The instance of this configuration that runs now. Without its pid file it is found by its command line. */
export async function findInstance(config: NodeRuntimeConfig): Promise<Instance | undefined> {
  const ours = (args: readonly string[]) => args[0]?.endsWith('containerd') === true && args.includes(configFile(config));
  const boot = await bootId();
  const text = await readFileIfThere(pidFile(config));
  if (text !== undefined) {
    const known = JSON.parse(text) as Instance;
    const info = known.bootId === boot ? await processInfo(known.pid) : undefined;
    if (info?.startTime === known.startTime && ours(info.args)) return known;
  }
  const found = (await listProcesses()).find((p) => ours(p.args));
  return found && { pid: found.pid, startTime: found.startTime, bootId: boot, configHash: '' };
}

async function bootId(): Promise<string> {
  return ((await readFileIfThere('/proc/sys/kernel/random/boot_id')) ?? '').trim();
}

async function hostFacts(signal: AbortSignal): Promise<HostFacts> {
  const [{ stdout }, lower, crun] = await Promise.all([run('containerd', ['--version'], { signal }), canLowerOomScore(), findCrun()]);
  return { containerdVersion: parseContainerdVersion(stdout), canLowerOomScore: lower, crun };
}
async function findCrun(): Promise<string | undefined> {
  for (const path of ['/usr/bin/crun', '/usr/local/bin/crun']) if (await stat(path).catch(() => undefined)) return path;
  return undefined;
}

/** Changes are recorded in an order whose reverse undoes them: containerd before the mount it uses, that before directories. */
async function prepareHost(config: NodeRuntimeConfig, changes: HostChanges): Promise<void> {
  for (const dir of SHIM_DIRS) if (!(await stat(dir).catch(() => undefined))) await changes.record('empty-directory', dir);
  await changes.record('empty-directory', dirname(config.socket));
  await mkdir(dirname(config.socket), { recursive: true, mode: 0o711 });
  const dirs: [string, number][] = [
    [config.configDir, 0o700], [config.root, 0o711], [config.state, 0o711], [config.runcRoot, 0o700], [config.certsDir, 0o755], [config.cniConfDir, 0o755], [config.cniDataDir, 0o755],
  ];
  for (const [dir, mode] of dirs) {
    await changes.record('directory', dir);
    await mkdir(dir, { recursive: true, mode });
  }
  for (const dir of config.sharedDirs) await ensureShared(dir, changes);
  await recordForwarding(config, changes);
  await changes.record('link', config.netns === undefined ? config.bridge : `${config.bridge}@${config.netns}`);
  await changes.record('cgroup', config.cgroupRoot);
  await changes.record('containerd', config.configDir);
}

/** The bridge plugin switches forwarding on; a network namespace of the node's own goes with its sysctls. */
async function recordForwarding(config: NodeRuntimeConfig, changes: HostChanges): Promise<void> {
  const forwarding = (await readFileIfThere('/proc/sys/net/ipv4/ip_forward'))?.trim();
  if (config.netns === undefined && forwarding === '0') await changes.record('sysctl', 'net.ipv4.ip_forward=0');
}

async function openLog(config: NodeRuntimeConfig) {
  const path = logFile(config);
  const size = (await stat(path).catch(() => undefined))?.size ?? 0;
  if (size > MAX_LOG_BYTES) await rename(path, `${path}.1`);
  return open(path, 'a', 0o600);
}

async function lastLines(config: NodeRuntimeConfig): Promise<string> {
  const text = (await readFileIfThere(logFile(config))) ?? '';
  return text.trimEnd().split('\n').slice(-3).join(' | ');
}
