/**
 * Devices of the node that plugins offer, and who has them.
 *
 * ```
 *   plugin ──Register──▶ ListAndWatch ──▶ capacity, allocatable ──▶ Node
 *                            │ ends                                    │ 5 minutes without the plugin: 0
 *                            └──▶ every device unhealthy ──────────────┘
 *   Pod admitted ──▶ GetPreferredAllocation ──▶ Allocate ──▶ checkpoint ──▶ PreStartContainer ──▶ container
 * ```
 * Upstream's counterpart: the device manager. Source: concepts/extend-kubernetes/compute-storage-net/device-plugins.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Container, Pod, ResourceStatus } from '#api/gen/core-v1.ts';
import { uidOf } from '#api/object.ts';
import type { Clock, Timer } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { serveSocket, served, type SocketServer } from '#cri/socket-server.ts';
import { parseQuantity } from '#machinery/quantity.ts';
import { isExtendedResource } from '#machinery/resource-names.ts';
import { isBackedByClaim } from '../dra/pod-claims.ts';
import { isRestartableInit, peak } from '../pods/containers.ts';
import type { AnyContainer } from '../interfaces.ts';
import type { Hint, ResourceHints } from '../topologymanager/hints.ts';
import type { NumaMask } from '../topologymanager/numa-mask.ts';
import type { HintProvider, ProviderAdmission } from '../topologymanager/topology-manager.ts';
import { DeviceAllocations, idsByNode, type DeviceAllocation } from './allocations.ts';
import { DevicePlugin } from './device-plugin.ts';
import { API_VERSION, deviceCodec, HEALTHY } from './protocol.ts';
import { byAffinity, deviceHints, hasTopology } from './topology-hints.ts';
import type { ContainerAllocateResponse, Device, RegisterRequest } from './types.ts';

const log = logger('kubelet');
const CHECKPOINT = 'kubelet_internal_checkpoint';
const SOCKET = 'kubelet.sock';
/** A plugin that comes back within this time, after an upgrade, finds its resource still announced. */
const PLUGIN_GRACE_MS = 300_000;

interface DeviceResource {
  plugin?: DevicePlugin | undefined;
  devices: ReadonlyMap<string, Device>;
  /** Counts the time without a plugin. */
  expiry?: Timer | undefined;
  /** No plugin came back in time: announced as 0 from now on. */
  removed: boolean;
}
/** Numbers of devices by resource. */
export interface DeviceCapacity {
  readonly capacity: Readonly<Record<string, string>>;
  readonly allocatable: Readonly<Record<string, string>>;
}
export interface DeviceManagerOptions {
  /** Directory of the kubelet's socket, of the plugins' and of the checkpoint. */
  readonly dir: string;
  readonly clock: Clock;
  /** The Pod holds the node's resources no more. */
  isOver(uid: string): boolean;
  /** Numbers of devices changed. */
  onChange(): void;
  onRegistration(resource: string): void;
  onAllocation(resource: string, ms: number): void;
}

/** Devices by resource that ended init containers of a Pod leave to later ones. */
type ReusableDevices = Map<string, ReadonlySet<string>>;

export class DeviceManager implements HintProvider {
  readonly #o: DeviceManagerOptions;
  readonly #allocations: DeviceAllocations;
  readonly #resources = new Map<string, DeviceResource>();
  #server: SocketServer | undefined;
  /** NUMA nodes of the machine. */
  #nodes: readonly number[] = [];

  constructor(options: DeviceManagerOptions) {
    this.#o = options;
    this.#allocations = new DeviceAllocations(join(options.dir, CHECKPOINT));
  }
  /** Ready when plugins can register. Plugins see that the kubelet started anew by their sockets, which are removed. `nodes`: the machine's NUMA nodes. */
  async start(nodes: readonly number[]): Promise<void> {
    const { dir } = this.#o;
    this.#nodes = nodes;
    await mkdir(dir, { recursive: true, mode: 0o750 });
    for (const resource of await this.#allocations.load()) this.#waitForPlugin(resource, this.#resourceOf(resource));
    for (const name of await readdir(dir)) {
      const path = join(dir, name);
      if (name !== CHECKPOINT && !(await stat(path).catch(() => undefined))?.isDirectory()) await rm(path, { force: true });
    }
    this.#server = await serveSocket(join(dir, SOCKET), [served('/v1beta1.Registration/Register', deviceCodec('RegisterRequest'), deviceCodec('Empty'), (request) => this.#register(request))]);
  }
  async stop(): Promise<void> {
    for (const r of this.#resources.values()) {
      r.expiry?.cancel();
      const { plugin } = r;
      // It is we who go: its devices are as well as before.
      r.plugin = undefined;
      plugin?.close();
    }
    await this.#server?.close();
    await this.#allocations.idle();
  }
  capacity(): DeviceCapacity {
    const capacity: Record<string, string> = {};
    const allocatable: Record<string, string> = {};
    for (const [name, { devices, removed }] of this.#resources) {
      capacity[name] = String(removed ? 0 : devices.size);
      allocatable[name] = String(removed ? 0 : healthy(devices).size);
    }
    return { capacity, allocatable };
  }
  /** How the devices of a container are, by resource (KEP-4680). One that nobody tells of any more counts as it did when it was given. */
  health(uid: string, container: string): readonly ResourceStatus[] {
    const statusOf = (resource: string, ids: readonly string[]): ResourceStatus => {
      const known = this.#resources.get(resource)?.devices;
      return { name: resource, resources: ids.toSorted().map((id) => ({ resourceID: id, health: (known?.get(id)?.health ?? HEALTHY) === HEALTHY ? 'Healthy' : 'Unhealthy' })) };
    };
    return this.#allocations.ofContainer(uid, container).map(({ resource, ids }) => statusOf(resource, ids)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }
  /** Whether the resource is one of devices: {@link allocate} then decides over it, not the sums of requests. */
  manages(resource: string): boolean {
    const known = this.#resources.get(resource);
    return (known !== undefined && !known.removed) || this.#allocations.resources().has(resource);
  }
  /** Devices of each resource with the NUMA nodes that they are near. */
  devices(): ReadonlyMap<string, readonly Device[]> {
    return new Map(Array.from(this.#resources, ([name, r]) => [name, [...r.devices.values()]]));
  }
  allocationsOf(uid: string, container: string): readonly (DeviceAllocation & { readonly resource: string })[] {
    return this.#allocations.ofContainer(uid, container);
  }

  begin(pod: Pod): ProviderAdmission {
    // Init containers run before the others: their devices are used again.
    const reusable: ReusableDevices = new Map();
    return {
      podHints: () => this.#podHints(pod),
      hints: (container) => new Map(this.#wanted(pod, container).map(([resource, count]) => [resource, this.#hints(resource, count, this.#idsOf(pod, [container], resource), reusable.get(resource) ?? new Set())])),
      allocate: async (container, { nodes }, signal) => {
        await this.#allocateContainer(pod, container, reusable, nodes, signal);
        this.#note(pod, container, reusable, (pod.spec.initContainers?.includes(container) ?? false) && !isRestartableInit(container));
      },
    };
  }
  /** What the devices of a container bring along; calls PreStartContainer where the plugin wants that. */
  async prepare(pod: Pod, container: AnyContainer, signal: AbortSignal): Promise<readonly ContainerAllocateResponse[]> {
    const wanted = this.#wanted(pod, container);
    // A Pod of before the kubelet's restart whose devices nobody wrote down.
    if (wanted.some(([resource]) => !this.#allocations.of(uidOf(pod), container.name, resource))) await this.#allocateContainer(pod, container, new Map(), undefined, signal);
    const out: ContainerAllocateResponse[] = [];
    for (const [resource] of wanted) {
      const allocation = this.#allocations.of(uidOf(pod), container.name, resource);
      if (!allocation?.response) throw new Error(`no devices found allocated in local cache for pod "${uidOf(pod)}", container "${container.name}", resource "${resource}"`);
      try {
        await this.#resources.get(resource)?.plugin?.preStartContainer(allocation.ids, signal);
      } catch (err) {
        throw new Error(`device plugin PreStartContainer rpc failed with err: ${(err as Error).message}`, { cause: err });
      }
      out.push(allocation.response);
    }
    return out;
  }
  /** Takes back what ended Pods have. */
  async releaseEnded(): Promise<void> {
    if (this.#allocations.release((uid) => this.#o.isOver(uid))) await this.#save();
  }
  async release(uid: string): Promise<void> {
    if (this.#allocations.release((u) => u === uid)) await this.#save();
  }

  #wanted(pod: Pod, container: AnyContainer): [resource: string, count: number][] {
    return Object.entries(container.resources?.limits ?? {}).filter(([name]) => this.manages(name) && !isBackedByClaim(pod, container.name, name)).map(([name, text]) => [name, Number(parseQuantity(text).value())]);
  }
  #podHints(pod: Pod): ResourceHints {
    const all = [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
    const wanted = new Map(all.map((c) => [c, new Map(this.#wanted(pod, c))]));
    const resources = new Set([...wanted.values()].flatMap((counts) => [...counts.keys()]));
    return new Map(Array.from(resources, (resource) => [resource, this.#hints(resource, peak(pod, (c) => wanted.get(c)?.get(resource) ?? 0), this.#idsOf(pod, all, resource), new Set())]));
  }
  /** Devices of the resource that these containers have. */
  #idsOf(pod: Pod, containers: readonly AnyContainer[], resource: string): Set<string> {
    return new Set(containers.flatMap((c) => this.#allocations.of(uidOf(pod), c.name, resource)?.ids ?? []));
  }
  #hints(resource: string, count: number, had: ReadonlySet<string>, reusable: ReadonlySet<string>): Hint[] | undefined {
    const devices = this.#resources.get(resource)?.devices ?? new Map<string, Device>();
    if (!hasTopology(devices)) return undefined;
    const request = { devices, count, nodes: this.#nodes };
    if (had.size > 0) return had.size === count ? deviceHints({ ...request, available: had, reusable: new Set() }) : [];
    const available = this.#free(resource);
    return available.union(reusable).size < count ? [] : deviceHints({ ...request, available, reusable });
  }
  #free(resource: string): Set<string> {
    return healthy(this.#resources.get(resource)?.devices ?? new Map()).difference(this.#allocations.inUse(resource));
  }
  async #allocateContainer(pod: Pod, container: AnyContainer, reusable: ReadonlyMap<string, ReadonlySet<string>>, nodes: NumaMask | undefined, signal: AbortSignal): Promise<void> {
    const uid = uidOf(pod);
    for (const [resource, required] of this.#wanted(pod, container)) {
      const had = this.#allocations.of(uid, container.name, resource);
      if (had && had.ids.length !== required) throw new Error(`pod "${uid}" container "${container.name}" changed request for resource "${resource}" from ${had.ids.length} to ${required}`);
      this.#checkHealth(resource, had?.ids ?? []);
      if (had || required === 0) continue;
      const { plugin, devices } = this.#resources.get(resource)!;
      const ids = await this.#choose(resource, required, reusable.get(resource) ?? new Set(), nodes, signal);
      const chosen = { ids, byNode: idsByNode(ids.map((id) => devices.get(id) ?? { ID: id })) };
      // Taken from now on: another Pod may be asking meanwhile.
      this.#allocations.set(uid, container.name, resource, chosen);
      try {
        if (!plugin) throw new Error(`unknown Device Plugin ${resource}`);
        const began = this.#o.clock.monotonic();
        const response = await plugin.allocate(ids, signal);
        this.#o.onAllocation(resource, this.#o.clock.monotonic() - began);
        this.#allocations.set(uid, container.name, resource, { ...chosen, response });
      } catch (err) {
        this.#allocations.delete(uid, container.name, resource);
        throw err;
      }
      await this.#save();
    }
  }
  #checkHealth(resource: string, had: readonly string[]): void {
    const known = this.#resources.get(resource);
    if (!known || known.removed) throw new Error(`cannot allocate unregistered device ${resource}`);
    const good = healthy(known.devices);
    if (good.size === 0) throw new Error(`no healthy devices present; cannot allocate unhealthy devices ${resource}`);
    if (had.some((id) => !good.has(id))) throw new Error(`previously allocated devices are no longer healthy; cannot allocate unhealthy devices ${resource}`);
  }
  /**
   * Devices that are reused come first, then those near the NUMA nodes, then what the plugin would rather give, then any. Where more are near than are
   * needed, the plugin says which of those.
   */
  async #choose(resource: string, required: number, reusable: ReadonlySet<string>, nodes: NumaMask | undefined, signal: AbortSignal): Promise<string[]> {
    const { plugin, devices } = this.#resources.get(resource)!;
    let chosen = new Set([...reusable].slice(0, required));
    const left = required - chosen.size;
    if (left === 0) return [...chosen];
    const available = this.#free(resource);
    if (available.size < left) throw new Error(`requested number of devices unavailable for ${resource}. Requested: ${left}, Available: ${available.size}`);
    const { aligned, others } = byAffinity(devices, available, nodes);
    const enough = left < aligned.size;
    if (!enough) for (const id of aligned) chosen.add(id);
    const among = enough ? aligned : available;
    const preferred = chosen.size < required ? await plugin?.preferredAllocation({ availableDeviceIDs: [...among.union(chosen)], mustIncludeDeviceIDs: [...chosen], allocationSize: required }, signal) : [];
    // Somebody else may have taken devices while the plugin thought.
    const now = this.#free(resource);
    chosen = chosen.intersection(now.union(reusable));
    for (const id of [...(preferred ?? []).filter((d) => among.has(d)), ...aligned, ...others, ...now]) if (chosen.size < required && now.has(id)) chosen.add(id);
    if (chosen.size < required) throw new Error(`requested number of devices unavailable for ${resource}. Requested: ${left}, Available: ${now.size}`);
    return [...chosen];
  }
  /** Adds a container's devices to those that later containers of the Pod may use, or takes them out. */
  #note(pod: Pod, container: Container, reusable: ReusableDevices, add: boolean): void {
    for (const { resource, ids } of this.#allocations.ofContainer(uidOf(pod), container.name)) {
      const before = reusable.get(resource) ?? new Set();
      reusable.set(resource, add ? before.union(new Set(ids)) : before.difference(new Set(ids)));
    }
  }

  #register(request: RegisterRequest): Record<never, never> {
    const { version, resourceName, endpoint, options } = request;
    log.info({ resource: resourceName, endpoint }, 'device plugin asks to be registered');
    this.#o.onRegistration(resourceName);
    if (version !== API_VERSION) throw new Error(`requested API version "${version}" is not supported by kubelet. Supported versions are ["${API_VERSION}"]`);
    if (!isExtendedResource(resourceName)) throw new Error(`the ResourceName "${resourceName}" is invalid`);
    const known = this.#resourceOf(resourceName);
    known.plugin?.close();
    known.expiry?.cancel();
    const plugin = (known.plugin = new DevicePlugin(resourceName, join(this.#o.dir, endpoint), options ?? { preStartRequired: false, getPreferredAllocationAvailable: false }, this.#o.clock));
    void plugin.watch((devices) => this.#devicesChanged(plugin, devices))
      .catch((err: unknown) => log.info({ err: (err as Error).message, resource: resourceName }, 'device plugin is gone'))
      .then(() => this.#pluginEnded(plugin));
    return {};
  }
  #resourceOf(name: string): DeviceResource {
    const known = this.#resources.get(name) ?? { devices: new Map(), removed: false };
    this.#resources.set(name, known);
    return known;
  }
  #devicesChanged(plugin: DevicePlugin, devices: readonly Device[]): void {
    const known = this.#resourceOf(plugin.resource);
    if (known.plugin !== plugin) return;
    known.removed = false;
    known.devices = new Map(devices.map((d) => [d.ID, d]));
    this.#changed();
  }
  #pluginEnded(plugin: DevicePlugin): void {
    const known = this.#resourceOf(plugin.resource);
    if (known.plugin !== plugin) return;
    known.plugin = undefined;
    known.devices = new Map(Array.from(known.devices, ([id, d]) => [id, { ...d, health: 'Unhealthy' }]));
    this.#waitForPlugin(plugin.resource, known);
    this.#changed();
  }
  #waitForPlugin(name: string, resource: DeviceResource): void {
    resource.expiry = this.#o.clock.after(PLUGIN_GRACE_MS, () => {
      log.info({ resource: name }, 'no device plugin came back: the resource is no longer announced');
      resource.removed = true;
      this.#changed();
    });
  }
  #changed(): void {
    void this.#save().catch((err: unknown) => log.error({ err }, 'checkpoint of device allocations could not be written'));
    this.#o.onChange();
  }
  #save(): Promise<void> {
    return this.#allocations.save(Object.fromEntries(Array.from(this.#resources).flatMap(([name, r]) => (r.removed ? [] : [[name, [...healthy(r.devices)]]]))));
  }
}

function healthy(devices: ReadonlyMap<string, Device>): Set<string> {
  return new Set(Array.from(devices.values()).flatMap((d) => (d.health === HEALTHY ? [d.ID] : [])));
}
