import type { Taint } from '#api/gen/core-v1.ts';
import type { VerificationPolicy } from './images/pull-records.ts';
import type { MemoryReservation } from './memorymanager/reserved-memory.ts';
import type { MemoryManagerPolicy } from './memorymanager/state.ts';
import type { TopologyPolicyName } from './topologymanager/policy.ts';
import type { TopologyScope } from './topologymanager/topology-manager.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { parseCpuSet } from './cpumanager/cpu-set.ts';

/** Everything that makes one node what it is. Several kubelets with different values may run on one machine. */
export interface KubeletConfig {
  /** Also its Hostname address and `kubernetes.io/hostname` label, as with upstream's `--hostname-override`. */
  readonly nodeName: string;
  /** Addresses of the node, the first is its InternalIP for Pods' `hostIP`. */
  readonly nodeIPs: readonly string[];
  /** Pods' directories (volumes, etc-hosts, termination logs): `<rootDir>/pods/<uid>`. */
  readonly rootDir: string;
  /** Volumes with secrets live here, on a tmpfs: they never reach a disk. */
  readonly secretsDir: string;
  /** Containers' logs: `<podLogsDir>/<namespace>_<name>_<uid>/<container>/<restarts>.log`. */
  readonly podLogsDir: string;
  /** Volumes of the built-in provisioner: `<storageDir>/<name>`. */
  readonly storageDir: string;
  /** Parent of every cgroup that the kubelet makes: `/podyard-node1`. Nothing outside of it is touched. */
  readonly cgroupRoot: string;
  readonly clusterDNS: readonly string[];
  readonly clusterDomain: string;
  /** Host's file that Pods with `dnsPolicy: Default` copy. */
  readonly resolvConf: string;
  readonly maxPods: number;
  /** Port of the kubelet's own HTTPS server; shown in the Node's `daemonEndpoints`. */
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly taints: readonly Taint[];
  /** Address under which Pods of this node find the API server's Service; used for service environment variables. */
  readonly containerLogMaxBytes: number;
  readonly containerLogMaxFiles: number;
  /** Which images that are here already a Pod must show credentials for (KEP-2535). */
  readonly imagePullCredentialsVerificationPolicy: VerificationPolicy;
  /** Images that need none, under `NeverVerifyAllowlistedImages`. */
  readonly preloadedImagesVerificationAllowlist: readonly string[];
  /** Pulls of images under way at the same time. */
  readonly maxParallelImagePulls: number;
  /** Pods that are started at the same time; the runtime is CPU-bound beyond a few. */
  readonly maxParallelPodStarts: number;
  /** Resources kept from Pods for the machine and for Kubernetes, subtracted from capacity: `{ cpu: '100m', memory: '100Mi' }`. */
  readonly systemReserved: Readonly<Record<string, string>>;
  readonly kubeReserved: Readonly<Record<string, string>>;
  /** CPUs kept from Pods, `0-1`, instead of the CPU of the two above; '' for none in particular. */
  readonly reservedSystemCPUs: string;
  /** Whose limits the kernel enforces beside those of Pods: all Pods together, what is allocatable. */
  readonly enforceNodeAllocatable: readonly 'pods'[];
  /** Where the runtime does not say which one it uses. */
  readonly cgroupDriver: 'cgroupfs' | 'systemd';
  /** `static`: Guaranteed Pods with whole CPUs have them for themselves. */
  readonly cpuManagerPolicy: 'none' | 'static';
  readonly cpuManagerPolicyOptions: Readonly<Record<string, string>>;
  readonly cpuManagerReconcilePeriodMs: number;
  /** `Static`: memory of Guaranteed Pods is on NUMA nodes of their own. */
  readonly memoryManagerPolicy: MemoryManagerPolicy;
  /** Which NUMA nodes bear what is kept from Pods. */
  readonly reservedMemory: readonly MemoryReservation[];
  /** How strictly devices, CPUs and memory must lie together, of a container or of the Pod as a whole. */
  readonly topologyManagerPolicy: TopologyPolicyName;
  readonly topologyManagerScope: TopologyScope;
  readonly topologyManagerPolicyOptions: Readonly<Record<string, string>>;
  /** How long the machine waits for Pods when it goes down, and how much of that is kept for critical ones. 0: it does not wait. */
  readonly shutdownGraceMs: number;
  readonly shutdownGraceCriticalMs: number;
  /** The same by priority: from each on, up to the next. Instead of the two above. */
  readonly shutdownGraceByPriority: readonly { readonly priority: number; readonly seconds: number }[];
  readonly nodeStatusUpdateFrequencyMs: number;
  readonly nodeLeaseDurationSeconds: number;
  /** Hard eviction thresholds: `{ 'memory.available': '100Mi' }`. */
  readonly evictionHard: Readonly<Record<string, string>>;
  /** Soft ones, with how long each must be met before Pods go. */
  readonly evictionSoft: Readonly<Record<string, string>>;
  readonly evictionSoftGracePeriodMs: Readonly<Record<string, number>>;
  /** How much more than a threshold is freed once it is met. */
  readonly evictionMinimumReclaim: Readonly<Record<string, string>>;
  readonly evictionMaxPodGraceSeconds: number;
  readonly evictionPressureTransitionMs: number;
  /** Images are removed when their file system is used above the first share, until it is below the second. */
  readonly imageGCHighThresholdPercent: number;
  readonly imageGCLowThresholdPercent: number;
  /** Sysctls that Pods may set beside the safe ones; a trailing `*` stands for the rest of the name. */
  readonly allowedUnsafeSysctls: readonly string[];
  /** Whether `/logs/` of the kubelet shows the files under `/var/log` to who may `get` `nodes/log`. */
  readonly systemLogHandler: boolean;
  /** Directory of manifests of static Pods; none when absent. */
  readonly staticPodDir?: string | undefined;
  /** Most processes of a Pod; 0: no limit. */
  readonly podPidsLimit: number;
  /** Every how often the runtime is listed in full, as a safety net under its events. */
  readonly relistPeriodMs: number;
}

export const KUBELET_DEFAULTS = {
  clusterDomain: 'cluster.local',
  resolvConf: '/etc/resolv.conf',
  maxPods: 110,
  port: 10250,
  labels: {},
  taints: [],
  containerLogMaxBytes: 10 * 1024 * 1024,
  containerLogMaxFiles: 5,
  imagePullCredentialsVerificationPolicy: 'NeverVerifyPreloadedImages',
  preloadedImagesVerificationAllowlist: [],
  maxParallelImagePulls: 5,
  maxParallelPodStarts: 6,
  systemReserved: {},
  kubeReserved: {},
  reservedSystemCPUs: '',
  enforceNodeAllocatable: ['pods'],
  cgroupDriver: 'cgroupfs',
  cpuManagerPolicy: 'none',
  cpuManagerPolicyOptions: {},
  cpuManagerReconcilePeriodMs: 10_000,
  memoryManagerPolicy: 'None',
  reservedMemory: [],
  topologyManagerPolicy: 'none',
  topologyManagerScope: 'container',
  topologyManagerPolicyOptions: {},
  shutdownGraceMs: 0,
  shutdownGraceCriticalMs: 0,
  shutdownGraceByPriority: [],
  nodeStatusUpdateFrequencyMs: 10_000,
  nodeLeaseDurationSeconds: 40,
  evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '10%', 'nodefs.inodesFree': '5%', 'imagefs.available': '15%', 'imagefs.inodesFree': '5%' },
  evictionSoft: {},
  evictionSoftGracePeriodMs: {},
  evictionMinimumReclaim: {},
  evictionMaxPodGraceSeconds: 0,
  evictionPressureTransitionMs: 300_000,
  imageGCHighThresholdPercent: 85,
  imageGCLowThresholdPercent: 80,
  allowedUnsafeSysctls: [],
  systemLogHandler: true,
  podPidsLimit: 0,
  relistPeriodMs: 10_000,
} as const satisfies Partial<KubeletConfig>;

/** What is kept from Pods, by resource. */
export function reservedResources(config: Pick<KubeletConfig, 'systemReserved' | 'kubeReserved' | 'reservedSystemCPUs'>): Record<string, string> {
  const out: Record<string, string> = {};
  for (const list of [config.systemReserved, config.kubeReserved]) for (const [name, text] of Object.entries(list)) out[name] = parseQuantity(out[name] ?? '0').add(parseQuantity(text)).toString();
  return config.reservedSystemCPUs === '' ? out : { ...out, cpu: String(parseCpuSet(config.reservedSystemCPUs).size) };
}
