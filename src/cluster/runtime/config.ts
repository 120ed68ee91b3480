/** Everything of one node's container runtime as one value, and containerd's configuration made from it. */
import { accessSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** What belongs to one node and to no other. All paths are absolute. */
export interface NodeRuntimeConfig {
  /** containerd's persistent data: content, snapshots, metadata. */
  readonly root: string;
  /** containerd's data until the next boot: tasks, container file systems, network namespaces. */
  readonly state: string;
  readonly socket: string;
  /** Where `config.toml`, the pid file and the log are. */
  readonly configDir: string;
  readonly cniConfDir: string;
  readonly cniBinDir: string;
  /** host-local's record of addresses. */
  readonly cniDataDir: string;
  /** `hosts.toml` by registry. */
  readonly certsDir: string;
  readonly runcRoot: string;
  /** The one cgroup, below each hierarchy, that everything of the node is in: `/podyard-node1`. */
  readonly cgroupRoot: string;
  readonly systemdCgroup: boolean;
  /** Path of the network namespace that the node lives in; the host's own when absent. */
  readonly netns?: string | undefined;
  /** The bridge of the Pod network, at most 15 characters. */
  readonly bridge: string;
  /** Absent: the node has not been given its range yet. */
  readonly podCIDR?: string | undefined;
  /** Of the Pods' interfaces; the kernel's choice when absent. */
  readonly mtu?: number | undefined;
  readonly pauseImage: string;
  /** Directories in which containers must see mounts that are made later: the kubelet's volumes. */
  readonly sharedDirs: readonly string[];
}

export interface NodeRuntimeChoices {
  /** `/var/lib/podyard` */
  readonly dataDir: string;
  /** `/run/podyard` */
  readonly runDir: string;
  readonly cgroupRoot: string;
  readonly podCIDR?: string | undefined;
  readonly bridge: string;
  readonly pauseImage: string;
  readonly netns?: string | undefined;
  readonly mtu?: number | undefined;
  readonly systemdCgroup?: boolean | undefined;
}

const CNI_BIN_DIRS = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni'];

/** The usual places below a data and a run-time directory. Throws when the CNI plugins are not installed. */
export function nodeRuntimeConfig(choices: NodeRuntimeChoices): NodeRuntimeConfig {
  const { dataDir, runDir, netns, mtu, systemdCgroup = false, ...given } = choices;
  if (!/^\/[\w.-]+(\/[\w.-]+)*$/.test(given.cgroupRoot) || given.cgroupRoot.split('/').some((part) => part === '..' || part === '.')) throw new Error(`making the runtime's configuration: cgroup root "${given.cgroupRoot}" must be an absolute path below "/"`);
  if (given.bridge.length === 0 || given.bridge.length > 15) throw new Error(`making the runtime's configuration: bridge "${given.bridge}" must have 1 to 15 characters`);
  return {
    ...given,
    root: `${dataDir}/containerd`,
    state: `${runDir}/containerd`,
    socket: `${runDir}/containerd.sock`,
    configDir: `${dataDir}/runtime`,
    cniConfDir: `${dataDir}/cni/net.d`,
    cniBinDir: findCniBinDir(),
    cniDataDir: `${dataDir}/cni/ipam`,
    certsDir: `${dataDir}/runtime/certs.d`,
    runcRoot: `${runDir}/runc`,
    sharedDirs: [dataDir],
    systemdCgroup,
    ...(netns !== undefined && { netns }),
    ...(mtu !== undefined && { mtu }),
  };
}

function findCniBinDir(): string {
  const found = CNI_BIN_DIRS.find((dir) => {
    try {
      accessSync(`${dir}/bridge`);
      return true;
    } catch {
      return false;
    }
  });
  if (!found) throw new Error(`looking for the CNI plugins: "bridge" is in none of ${CNI_BIN_DIRS.join(', ')}; install containernetworking-plugins`);
  return found;
}

/** What the machine can do, as far as the configuration depends on it. */
export interface HostFacts {
  /** `1.6.20`, from `containerd --version`. */
  readonly containerdVersion: string;
  /** With CAP_SYS_RESOURCE; without it a process cannot lower its oom_score_adj, and sandboxes would not start. */
  readonly canLowerOomScore: boolean;
  /** Path of crun, which becomes a second runtime class, where it is installed. */
  readonly crun?: string | undefined;
}

/** `containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3` → `1.6.20`. */
export function parseContainerdVersion(output: string): string {
  const version = /\bv?(\d+\.\d+\.\d+)/.exec(output)?.[1];
  if (version === undefined) throw new Error(`asking containerd for its version: "${output.trim()}" has none`);
  return version;
}

const CAP_SYS_RESOURCE = 24n;

export async function canLowerOomScore(): Promise<boolean> {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;
}

type Toml = string | number | boolean | readonly string[] | { readonly [key: string]: Toml };

/** The text of `config.toml`: version 2 of its form for containerd 1.x, version 3 for 2.x. */
export function renderContainerdConfig(config: NodeRuntimeConfig, host: HostFacts): string {
  const [major = 0, minor = 0] = host.containerdVersion.split('.').map(Number);
  const plugins = major >= 2 ? pluginsOfVersion3(config, host) : pluginsOfVersion2(config, host, major === 1 && minor >= 7);
  return renderToml({
    version: major >= 2 ? 3 : 2,
    root: config.root,
    state: config.state,
    disabled_plugins: disabledPlugins(),
    grpc: { address: config.socket },
    debug: { level: 'warn' },
    plugins: { 'io.containerd.internal.v1.opt': { path: `${config.root}/opt` }, ...plugins },
  });
}

/** Snapshotters and exporters that a node does not use; they only fail to load and say so. */
function disabledPlugins(): string[] {
  const snapshotters = ['aufs', 'btrfs', 'devmapper', 'zfs', 'blockfile', 'erofs'].map((name) => `io.containerd.snapshotter.v1.${name}`);
  return [...snapshotters, 'io.containerd.tracing.processor.v1.otlp', 'io.containerd.internal.v1.tracing'];
}

const STREAM = { stream_server_address: '127.0.0.1', stream_server_port: '0' } as const;
const SNAPSHOTTER = 'overlayfs';

/** `cdi`: it has devices by the Container Device Interface, which later ones have without being asked. */
function pluginsOfVersion2(config: NodeRuntimeConfig, host: HostFacts, cdi: boolean): Record<string, Toml> {
  return {
    'io.containerd.grpc.v1.cri': {
      sandbox_image: config.pauseImage,
      ...STREAM,
      ...runtimeSettings(host),
      ...(cdi && { enable_cdi: true }),
      systemd_cgroup: false,
      cni: { bin_dir: config.cniBinDir, conf_dir: config.cniConfDir },
      registry: { config_path: config.certsDir },
      containerd: { snapshotter: SNAPSHOTTER, default_runtime_name: 'runc', runtimes: runtimesOf(config, host) },
    },
  };
}

function pluginsOfVersion3(config: NodeRuntimeConfig, host: HostFacts): Record<string, Toml> {
  return {
    'io.containerd.grpc.v1.cri': { ...STREAM },
    'io.containerd.cri.v1.images': { snapshotter: SNAPSHOTTER, pinned_images: { sandbox: config.pauseImage }, registry: { config_path: config.certsDir } },
    'io.containerd.cri.v1.runtime': {
      ...runtimeSettings(host),
      cni: { bin_dir: config.cniBinDir, conf_dir: config.cniConfDir },
      containerd: { default_runtime_name: 'runc', runtimes: runtimesOf(config, host) },
    },
  };
}

function runtimeSettings(host: HostFacts): Record<string, Toml> {
  return {
    restrict_oom_score_adj: !host.canLowerOomScore,
    // Else all containerd instances of the machine share /var/run/netns.
    netns_mounts_under_state_dir: true,
    enable_unprivileged_ports: true,
    enable_unprivileged_icmp: true,
    tolerate_missing_hugetlb_controller: true,
  };
}

function runtimesOf(config: NodeRuntimeConfig, host: HostFacts): Record<string, Toml> {
  const runtime = (options: Record<string, Toml>): Toml => ({ runtime_type: 'io.containerd.runc.v2', options: { ...options, SystemdCgroup: config.systemdCgroup } });
  return {
    runc: runtime({ Root: config.runcRoot }),
    ...(host.crun !== undefined && { crun: runtime({ BinaryName: host.crun, Root: `${config.runcRoot}-crun` }) }),
  };
}

/** TOML of plain values and nested tables. */
export function renderToml(value: { readonly [key: string]: Toml }, path: readonly string[] = []): string {
  const isTable = (child: Toml): child is { readonly [key: string]: Toml } => typeof child === 'object' && !Array.isArray(child);
  const own = Object.entries(value).filter(([, child]) => !isTable(child)).map(([key, child]) => `${tomlKey(key)} = ${JSON.stringify(child)}\n`).join('');
  const head = path.length > 0 && own !== '' ? `\n[${path.map(tomlKey).join('.')}]\n` : '';
  const tables = Object.entries(value).map(([key, child]) => (isTable(child) ? renderToml(child, [...path, key]) : '')).join('');
  return `${head}${own}${tables}`;
}
function tomlKey(key: string): string {
  return /^[\w-]+$/.test(key) ? key : JSON.stringify(key);
}
