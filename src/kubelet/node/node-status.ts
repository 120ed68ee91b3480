/** The Node object as the kubelet writes it. Source: API reference NodeStatus; architecture/nodes. */
import type { ContainerImage, Node, NodeCondition, NodeFeatures, NodeRuntimeHandler, NodeStatus } from '#api/gen/core-v1.ts';
import { rfc3339 } from '#base/clock.ts';
import { parseQuantity, quantityOf, type Quantity } from '#machinery/quantity.ts';
import { isExtendedResource, isHugePages } from '#machinery/resource-names.ts';
import { reservedResources, type KubeletConfig } from '../config.ts';
import type { DeviceCapacity } from '../devices/device-manager.ts';
import { parseThresholds, thresholdAmount, type EvictionSignal, type Pressure } from '../eviction/pressure.ts';
import type { HostFacts } from './host-facts.ts';

/** Resources that hard thresholds are about. */
const EVICTED_FROM: Readonly<Partial<Record<EvictionSignal, string>>> = { 'memory.available': 'memory', 'nodefs.available': 'ephemeral-storage' };

export const KUBELET_VERSION = 'v1.36.0';
/** What a client may count on that not every supported release of the kubelet has, in order (KEP-5328). */
export const DECLARED_FEATURES = ['ExtendWebSocketsToKubelet', 'InPlacePodLevelResourcesVerticalScaling', 'InPlacePodVerticalScalingInitContainers', 'RestartAllContainersOnContainerExits'] as const;

export interface RuntimeFacts {
  /** `containerd://1.6.20` */
  readonly version: string;
  /** undefined when runtime and network are ready; else upstream's words for what is not. */
  readonly notReady: string | undefined;
  readonly images: readonly ContainerImage[];
  readonly handlers: readonly NodeRuntimeHandler[];
  /** Undefined where the runtime does not speak of them. */
  readonly features: NodeFeatures | undefined;
}
export interface NodeStatusInputs {
  readonly config: KubeletConfig;
  readonly host: HostFacts;
  readonly runtime: RuntimeFacts;
  readonly pressure: Pressure;
  readonly volumesInUse: readonly string[];
  /** What device plugins offer. */
  readonly devices: DeviceCapacity;
  /** Capacity as the API has it, with the resources that others advertise. */
  readonly advertised: Readonly<Record<string, string>>;
  readonly shuttingDown: boolean;
  readonly now: number;
}

export function initialNode(inputs: NodeStatusInputs): Node {
  const { config, host } = inputs;
  const platform = { 'kubernetes.io/arch': host.architecture, 'kubernetes.io/os': 'linux', 'beta.kubernetes.io/arch': host.architecture, 'beta.kubernetes.io/os': 'linux' };
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: config.nodeName,
      labels: { ...platform, 'kubernetes.io/hostname': config.nodeName, ...config.labels },
      annotations: { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true' },
    },
    spec: config.taints.length ? { taints: config.taints } : {},
    status: nodeStatus(inputs, undefined),
  };
}

export function nodeStatus(inputs: NodeStatusInputs, before: NodeStatus | undefined): NodeStatus {
  const { config, host, runtime } = inputs;
  const capacity = capacityOf(inputs);
  return {
    capacity,
    allocatable: { ...allocatableOf(capacity, config), ...inputs.devices.allocatable },
    conditions: nodeConditions(inputs, before?.conditions ?? []),
    addresses: [...config.nodeIPs.map((address) => ({ type: 'InternalIP', address }) as const), { type: 'Hostname', address: config.nodeName }],
    daemonEndpoints: { kubeletEndpoint: { Port: config.port } },
    nodeInfo: {
      machineID: host.machineId,
      systemUUID: host.systemUuid,
      bootID: host.bootId,
      kernelVersion: host.kernelVersion,
      osImage: host.osImage,
      containerRuntimeVersion: runtime.version,
      kubeletVersion: KUBELET_VERSION,
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: host.architecture,
    },
    images: runtime.images,
    ...(inputs.volumesInUse.length ? { volumesInUse: inputs.volumesInUse } : {}),
    ...(runtime.handlers.length ? { runtimeHandlers: runtime.handlers } : {}),
    ...(runtime.features ? { features: runtime.features } : {}),
    declaredFeatures: DECLARED_FEATURES,
  };
}
function capacityOf({ host, config, devices, advertised }: NodeStatusInputs): Record<string, string> {
  return {
    ...Object.fromEntries(Object.entries(advertised).filter(([name]) => isExtendedResource(name))),
    ...devices.capacity,
    cpu: String(host.cpus),
    memory: `${Math.floor(host.memoryBytes / 1024)}Ki`,
    pods: String(config.maxPods),
    'ephemeral-storage': `${Math.floor(host.ephemeralStorageBytes / 1024)}Ki`,
    ...Object.fromEntries(Object.entries(host.hugePages).map(([size, bytes]) => [`hugepages-${size}`, parseQuantity(bytes).toString()])),
  };
}
/**
 * Capacity without what is reserved and without what is left alone by hard eviction thresholds; huge pages are taken out of the memory
 * that Pods may ask for. Never below zero. Source: tasks/administer-cluster/reserve-compute-resources.
 */
function allocatableOf(capacity: Readonly<Record<string, string>>, config: KubeletConfig): Record<string, string> {
  const kept = new Map<string, Quantity[]>();
  const keep = (name: string, amount: Quantity): void => void kept.set(name, [...(kept.get(name) ?? []), amount]);
  for (const [name, text] of Object.entries(reservedResources(config))) keep(name, parseQuantity(text));
  for (const t of parseThresholds(config.evictionHard)) {
    const name = EVICTED_FROM[t.signal];
    if (name !== undefined) keep(name, quantityOf(thresholdAmount(t, Number(parseQuantity(capacity[name] ?? '0').value())), 'BinarySI'));
  }
  for (const [name, text] of Object.entries(capacity)) if (isHugePages(name) && parseQuantity(text).sign() > 0) keep('memory', parseQuantity(text));
  return Object.fromEntries(Object.entries(capacity).map(([name, text]) => {
    const left = (kept.get(name) ?? []).reduce((sum, q) => sum.sub(q), parseQuantity(text));
    return [name, left.sign() < 0 ? '0' : kept.has(name) ? left.toString() : text];
  }));
}

const PRESSURE_TEXTS: Readonly<Record<string, { reason: string; message: string }>> = {
  badMemory: { reason: 'KubeletHasInsufficientMemory', message: 'kubelet has insufficient memory available' },
  goodMemory: { reason: 'KubeletHasSufficientMemory', message: 'kubelet has sufficient memory available' },
  badDisk: { reason: 'KubeletHasDiskPressure', message: 'kubelet has disk pressure' },
  goodDisk: { reason: 'KubeletHasNoDiskPressure', message: 'kubelet has no disk pressure' },
  badPid: { reason: 'KubeletHasInsufficientPID', message: 'kubelet has insufficient PID available' },
  goodPid: { reason: 'KubeletHasSufficientPID', message: 'kubelet has sufficient PID available' },
};
function nodeConditions(inputs: NodeStatusInputs, before: readonly NodeCondition[]): NodeCondition[] {
  const { pressure, runtime, now } = inputs;
  const pressed = (type: string, on: boolean, bad: string, good: string) => ({ type, status: on ? 'True' : 'False', ...(on ? PRESSURE_TEXTS[bad] : PRESSURE_TEXTS[good])! });
  const wanted: Omit<NodeCondition, 'lastHeartbeatTime' | 'lastTransitionTime'>[] = [
    pressed('MemoryPressure', pressure.memory, 'badMemory', 'goodMemory'),
    pressed('DiskPressure', pressure.disk, 'badDisk', 'goodDisk'),
    pressed('PIDPressure', pressure.pid, 'badPid', 'goodPid'),
    runtime.notReady === undefined && !inputs.shuttingDown
      ? { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }
      : { type: 'Ready', status: 'False', reason: 'KubeletNotReady', message: [runtime.notReady, inputs.shuttingDown ? 'node is shutting down' : undefined].filter(Boolean).join(', ') },
  ];
  const time = rfc3339(now);
  return wanted.map((c) => {
    const old = before.find((b) => b.type === c.type);
    return { ...c, lastHeartbeatTime: time, lastTransitionTime: old?.status === c.status && old.lastTransitionTime ? old.lastTransitionTime : time };
  });
}
