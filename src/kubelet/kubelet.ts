/** The kubelet: puts its subjects together and feeds them with the Pods of its node. */
import { chmod, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Pod, Service, ServiceAccountTokenProjection } from '#api/gen/core-v1.ts';
import type { TokenRequest } from '#api/gen/authentication-v1.ts';
import { uidOf } from '#api/object.ts';
import { abortable, within } from '#base/abort.ts';
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import type { Client } from '#client/client.ts';
import { EventSender } from '#client/event-sender.ts';
import { EventRecorder } from '#client/events.ts';
import { Informer } from '#client/informer.ts';
import { PODS, SERVICE_ACCOUNTS, SERVICES } from '#client/kinds.ts';
import { pullProgress } from '#cri/pull-progress.ts';
import type { ContainerRuntime } from '#cri/client.ts';
import { isCriError } from '#cri/error.ts';
import type { AuthConfig } from '#cri/types.ts';
import { newCgroupManager } from './cgroups/cgroup-manager.ts';
import { cgroupfsDriver, type CgroupDriver } from './cgroups/driver.ts';
import { CgroupHierarchy } from './cgroups/hierarchy.ts';
import { systemdDriver, systemdManager } from './cgroups/systemd-driver.ts';
import { PodCertificates } from './certificates/pod-certificates.ts';
import { TrustBundles } from './certificates/trust-bundles.ts';
import type { KubeletConfig } from './config.ts';
import { Csi } from './csi/csi.ts';
import { ContainerManager } from './container-manager.ts';
import { Dra } from './dra/dra.ts';
import { hasClaims } from './dra/pod-claims.ts';
import { newEnvironmentMaker } from './env/environment.ts';
import type { NodeFacts } from './env/field-ref.ts';
import { newHookRunner } from './hooks.ts';
import type { EvictionManager } from './eviction/eviction-manager.ts';
import { newNodeEviction } from './eviction/node-eviction.ts';
import { newKubeletHost } from './host.ts';
import { Housekeeping } from './housekeeping.ts';
import type { KubeletHost } from './server/interfaces.ts';
import type { CredentialProviderConfig } from './images/credential-provider-config.ts';
import { CredentialProviders } from './images/credential-providers.ts';
import { cgroupUse } from './stats/cgroup-use.ts';
import { newNodeStats } from './stats/node-stats.ts';
import { newCredentials } from './images/credentials.ts';
import { newImageManager } from './images/image-manager.ts';
import { ImageGc } from './images/image-gc.ts';
import { PullRecords } from './images/pull-records.ts';
import { hasLogind, appArmorEnabled } from './node/host-facts.ts';
import { newKubeletMetrics, reportCertificates } from './metrics.ts';
import { nodeAllocatable, readMaxPids } from './node/node-allocatable.ts';
import { NodeManager } from './node/node-manager.ts';
import { newNodeObjects, type NodeObjects } from './objects.ts';
import { CriticalAdmission } from './pods/critical-admission.ts';
import { isHostNetwork } from './pods/containers.ts';
import { podDir } from './pods/paths.ts';
import { PodSync } from './pods/pod-sync.ts';
import { Resizer } from './pods/resize.ts';
import { PodWorkers, type PodRejection } from './pods/pod-workers.ts';
import { UserNamespaces } from './pods/user-namespaces.ts';
import { PluginWatcher } from './plugins/plugin-watcher.ts';
import { newProber } from './probes/prober.ts';
import { PodResourcesServer } from './podresources/pod-resources.ts';
import { BackOff } from './runtime/back-off.ts';
import { ContainerStarter } from './runtime/container-starter.ts';
import { Killer } from './runtime/killer.ts';
import { watchRuntime, type RuntimeWatch, type RuntimeWatchOptions } from './runtime/runtime-watch.ts';
import { RuntimeCache } from './runtime/runtime-cache.ts';
import { injectsCdi, mountsImages, refuseUserNamespace, runtimeHandlerOf } from './runtime/runtime-class.ts';
import { requiresAppArmor } from './runtime/security.ts';
import { Slots } from './runtime/slots.ts';
import { LogindWatch } from './shutdown/logind.ts';
import { DEFAULT_GROUPS, NodeShutdown, shutdownGroups } from './shutdown/node-shutdown.ts';
import { CONFIG, isMirrorPod, isStaticPod } from './static-pods/manifest.ts';
import { StaticPods } from './static-pods/static-pods.ts';
import { VolumeStats } from './stats/volume-stats.ts';
import { StatusManager } from './status/status-manager.ts';
import { cachedTokens, type TokenSource } from './token-cache.ts';
import { hostMounter, type Mounter } from './volumes/mounter.ts';
import { newImageMounts } from '#cri/image-mounts.ts';
import { newVolumeManager } from './volumes/volume-manager.ts';
import type { CgroupManager, HookRunner, Prober, VolumeManager } from './interfaces.ts';

const log = logger('kubelet');
/** How long a shutdown waits for the API to take the statuses of Pods that have stopped. */
const LAST_STATUSES_MS = 5000;

export interface KubeletOptions {
  readonly config: KubeletConfig;
  readonly client: Client;
  /** With a channel where the runtime's own events are to be used. */
  readonly runtime: RuntimeWatchOptions['runtime'];
  readonly clock: Clock;
  readonly mounter?: Mounter;
  /** Absent: the host's cgroups below the node's own root. Simulated nodes have none. */
  readonly cgroups?: CgroupManager;
  /** Programs that give credentials, after the Pod's own; they lie in `binDir`. */
  readonly credentialProviders?: { readonly providers: readonly CredentialProviderConfig[]; readonly binDir: string } | undefined;
  /** Credentials of the node for an image, after all others. */
  readonly nodeCredentials?: (image: string) => readonly Partial<AuthConfig>[];
  /** Resolves when the network is as a Pod needs it that has just got its address: its policies hold, its hostPorts are open. Absent: nobody has anything to prepare. */
  readonly preparePodNetwork?: (pod: Pod, podIP: string, signal: AbortSignal) => Promise<void>;
}

export class Kubelet implements Component {
  readonly name = 'kubelet';
  readonly cache: RuntimeCache;
  readonly workers: PodWorkers;
  readonly node: NodeManager;
  readonly #o: KubeletOptions;
  readonly #events: EventSender;
  readonly #recorder: EventRecorder;
  readonly #objects: NodeObjects;
  readonly #statuses: StatusManager;
  readonly #prober: Prober;
  /** For those who ask again and again: drivers and credential providers. */
  readonly #tokens: TokenSource;
  readonly #csi: Csi;
  readonly #dra: Dra;
  readonly #plugins: PluginWatcher;
  readonly #trustBundles: TrustBundles;
  readonly #podCertificates: PodCertificates;
  readonly #volumes: VolumeManager;
  readonly #volumeStats: VolumeStats;
  readonly #hierarchy = new CgroupHierarchy();
  #driver: CgroupDriver = cgroupfsDriver(this.#hierarchy);
  readonly #cgroups: CgroupManager;
  readonly #containers: ContainerManager;
  readonly #podResources: PodResourcesServer;
  readonly #metrics = newKubeletMetrics();
  readonly #killer: Killer;
  readonly #pods: Informer<Pod>;
  readonly #services: Informer<Service>;
  readonly #resizer: Resizer;
  readonly #admission: CriticalAdmission;
  readonly #imageGc: ImageGc;
  readonly #pullRecords: PullRecords;
  readonly #eviction: EvictionManager;
  readonly #housekeeping: Housekeeping;
  readonly #shutdown: NodeShutdown;
  #logind: LogindWatch | undefined;
  readonly #static: StaticPods | undefined;
  readonly #features = { recursiveReadOnly: false, hugePageSizes: [] as readonly string[], appArmor: false, imageVolumes: false };
  #watch: RuntimeWatch | undefined;

  constructor(options: KubeletOptions) {
    const { config, client, runtime, clock } = options;
    this.#o = options;
    this.#events = new EventSender({ clock });
    const recorder = new EventRecorder(client, { component: 'kubelet', host: config.nodeName, clock, sender: this.#events });
    this.#recorder = recorder;
    this.cache = new RuntimeCache(runtime);
    const { cache } = this;
    this.#cgroups = options.cgroups ?? newCgroupManager({ driver: () => this.#driver, root: config.cgroupRoot, podPidsLimit: config.podPidsLimit, hasExclusiveCpus: (uid) => this.#containers.cpus.hasExclusive(uid), activePods: () => this.workers.activePods(), hugePageSizes: () => this.#features.hugePageSizes });
    this.#dra = new Dra({ config, client, clock, metrics: this.#metrics, onUsable: (driver) => this.#wakeUsersOfDriver(driver), wake: (uid) => this.workers.wake(uid) });
    this.#containers = new ContainerManager({
      config, clock, runtime, metrics: this.#metrics, dra: this.#dra, withoutCdi: () => (injectsCdi(this.#runtimeVersion()) ? undefined : this.#runtimeVersion()), running: () => this.#running(), isOver: (uid) => this.workers.isOver(uid), onCapacity: () => void this.node.report().catch(() => {}),
      onDeviceHealth: () => this.#wakeUsersOfDevices(),
    });
    this.#podResources = new PodResourcesServer({ dir: join(config.rootDir, 'pod-resources'), resources: this.#containers, pods: () => this.workers.activePods() });
    this.node = new NodeManager({ config, client, runtime, clock, recorder, pressure: () => this.#eviction.pressure(), devices: () => this.#containers.capacity(), volumesInUse: () => this.#csi.volumes.inUse() });
    this.#pods = new Informer(client, PODS, clock, { fieldSelector: `spec.nodeName=${config.nodeName}` });
    this.#services = new Informer(client, SERVICES, clock);
    this.#objects = newNodeObjects(client, clock);
    this.#tokens = cachedTokens((pod, p, signal) => this.#requestToken(pod, p, signal), clock);
    const { node } = this;
    this.#csi = new Csi({ config, client, clock, node: { node: () => node.node, onChange: (fn) => node.onChange(fn), report: () => node.report() }, requestToken: this.#tokens });
    this.#plugins = new PluginWatcher({ dir: join(config.rootDir, 'plugins_registry'), clock, handlers: { CSIPlugin: this.#csi.drivers, DRAPlugin: this.#dra.plugins } });
    this.#trustBundles = new TrustBundles(client, clock);
    this.#podCertificates = new PodCertificates({ nodeName: config.nodeName, client, clock, recorder, random: Math.random, node: () => this.node.node, podOf: (uid) => this.workers.podOf(uid) });
    reportCertificates(this.#metrics, () => this.#podCertificates.states());
    this.#volumes = newVolumeManager({
      csi: this.#csi.volumes, images: runtime.channel && newImageMounts(runtime, runtime.channel),
      config, client, clock, recorder, mounter: options.mounter ?? hostMounter,
      payload: { objects: this.#objects, node: () => this.#nodeFacts(), podIPs: (pod) => this.podIPs(pod), requestToken: (pod, p, signal) => this.#requestToken(pod, p, signal), trustBundles: this.#trustBundles, podCertificates: this.#podCertificates },
    });
    this.#volumeStats = new VolumeStats({ clock, pods: () => this.workers.activePods(), volumesOf: (uid) => this.#volumes.volumesOf(uid) });
    this.#prober = newProber({ runtime, cache, recorder, clock, nodeIPs: config.nodeIPs });
    this.#statuses = new StatusManager({ client, clock, podOf: (uid) => this.#apiPodOf(uid), isStatic: (uid) => this.#static?.get(uid) !== undefined, onTerminated: (type, end) => this.#metrics.terminatedContainers.inc({ container_type: type, exit_code: String(end.exitCode), reason: end.reason ?? '' }) });
    this.#pullRecords = new PullRecords({ rootDir: config.rootDir, clock, policy: config.imagePullCredentialsVerificationPolicy, allowlist: config.preloadedImagesVerificationAllowlist });
    this.#imageGc = new ImageGc({ onListed: (ids, at) => this.#pullRecords.prune(ids, at), runtime, clock, recorder, nodeName: config.nodeName, highThresholdPercent: config.imageGCHighThresholdPercent, lowThresholdPercent: config.imageGCLowThresholdPercent });
    const hooks = newHookRunner({ runtime, clock, podIP: (pod) => this.podIPs(pod)[0] ?? '' });
    this.#killer = new Killer({ runtime, cache, recorder, clock, hooks, prober: this.#prober });
    this.#resizer = new Resizer({
      config, runtime, recorder, cgroups: this.#hierarchy, memoryCapacityBytes: () => this.node.host.memoryBytes, node: () => this.node.node,
      others: (uid) => this.workers.activePods().filter((p) => p.metadata.uid !== uid), resizePod: (pod, options) => this.#cgroups.ensurePod(pod, options),
      memoryUsage: (pod, id) => this.#memoryUsage(pod, id),
    });
    this.#admission = new CriticalAdmission({
      recorder, endPod: (uid, end) => this.workers.endPod(uid, end), ended: (uid) => this.workers.ended(uid), onPreemption: (preemption_signal) => this.#metrics.preemptions.inc({ preemption_signal }),
    });
    this.workers = new PodWorkers({ clock, cache, sync: this.#newPodSync(hooks), recorder, admit: (pod, others) => this.#admit(pod, others), allocate: async (pod, signal) => {
      await this.#admission.roomFor(pod, signal);
      return await this.#containers.allocate(pod, signal);
    }, onRemoved: () => this.#retryResizes() });
    this.#eviction = newNodeEviction({
      config, clock, runtime, cache, recorder, hierarchy: this.#hierarchy, cgroups: this.#cgroups, imageDir: () => this.#imageGc.imageDir,
      ended: (uid) => this.workers.ended(uid), activePods: () => this.workers.activePods(), endPod: (uid, end, grace) => this.workers.endPod(uid, end, grace),
      onEviction: (eviction_signal) => this.#metrics.evictions.inc({ eviction_signal }), reclaimDisk: (signal) => this.#housekeeping.reclaimDisk(signal), onPressure: () => void this.node.report().catch(() => {}),
    });
    this.#housekeeping = new Housekeeping({ config, clock, runtime, cache, killer: this.#killer, workers: this.workers, volumes: this.#volumes, cgroups: this.#cgroups, imageGc: this.#imageGc, claims: this.#dra.claims });
    this.#shutdown = new NodeShutdown({
      clock, activePods: () => this.workers.activePods(), endPod: (uid, end, grace) => this.workers.endPod(uid, end, grace),
      ended: (uid) => this.workers.ended(uid), report: (goingDown) => this.node.reportShutdown(goingDown),
    });
    this.#static = config.staticPodDir === undefined ? undefined : new StaticPods({
      dir: config.staticPodDir, nodeName: config.nodeName, client, clock, node: () => this.node.node, podOf: (namespace, name) => this.#pods.get(namespace, name),
      run: (pod) => this.workers.update(pod), stop: (pod) => this.workers.remove(pod),
    });
  }

  /** Ready when the node is registered and its Pods of an earlier process are taken up. */
  async start(signal: AbortSignal): Promise<void> {
    const { config, runtime, clock } = this.#o;
    for (const [dir, mode] of [[join(config.rootDir, 'pods'), 0o750], [config.secretsDir, 0o700], [config.podLogsDir, 0o755]] as const) {
      await mkdir(dir, { recursive: true, mode });
      await chmod(dir, mode);
    }
    if ((await cgroupDriverOf(runtime, config.cgroupDriver)) === 'systemd') this.#driver = systemdDriver(this.#hierarchy, systemdManager());
    this.cache.onChange((uid) => this.workers.wake(uid));
    this.#prober.onChange((uid) => this.workers.probed(uid));
    this.#volumes.onChange((uid) => this.workers.wake(uid));
    await Promise.all([this.#containers.start(), this.cache.relist(signal), this.#imageGc.start(signal), this.#eviction.synchronize()]);
    await this.cache.discardUnstarted(signal);
    await this.node.start(signal);
    await this.#learnFeatures();
    if (config.enforceNodeAllocatable.includes('pods')) await this.#cgroups.enforceNodeAllocatable?.(nodeAllocatable(config, this.node.host, await readMaxPids()));
    await Promise.all([this.#csi.start(), this.#dra.start(signal)]);
    await this.#plugins.start(signal);
    this.#statuses.start();
    this.node.onChange(() => this.#statuses.nodeReady(this.node.node?.status?.conditions?.find((c) => c.type === 'Ready')?.status === 'True'));
    this.#services.start();
    await abortable(this.#services.synced, signal);
    this.workers.start();
    this.#pods.addHandler({ onAdd: (pod) => this.#podChanged(pod), onUpdate: (_, pod) => this.#podChanged(pod), onDelete: (pod) => this.#podGone(pod) });
    this.#pods.start();
    await abortable(this.#pods.synced, signal);
    await this.#static?.start();
    await this.#containers.podsKnown();
    await this.#podResources.start();
    this.#watch = watchRuntime({ runtime, cache: this.cache, clock, relistPeriodMs: config.relistPeriodMs });
    await this.#housekeeping.removeOrphans();
    this.#housekeeping.start();
    this.#eviction.start();
    await this.#watchLogind();
  }
  /** Stops watching and deciding. Containers go on running: the next kubelet takes them up. */
  async stop(): Promise<void> {
    await Promise.all([this.#logind?.stop(), this.#podResources.stop(), this.#watch?.stop(), this.#housekeeping.stop(), this.#eviction.stop(), this.#static?.stop()]);
    await this.#pods.stop();
    await this.workers.stop();
    this.#prober.stop();
    await this.#services.stop();
    await this.#statuses.stop();
    await Promise.all([this.#volumeStats.stop(), this.#volumes.stop(), this.#trustBundles.stop(), this.#podCertificates.stop()]);
    await this.#plugins.stop();
    await Promise.all([this.#csi.stop(), this.#dra.stop()]);
    await Promise.all([this.node.stop(), this.#containers.stop()]);
    await this.#events.close();
  }
  /**
   * The machine is about to go down: takes no more Pods and stops those that run, in the configured order and time. Resolves when they
   * have stopped and the API knows, or the time is over. Unlike {@link stop} this ends the containers.
   */
  async shutDownNode(signal: AbortSignal): Promise<void> {
    const groups = shutdownGroups(this.#o.config);
    this.#metrics.shutdownStart.set(this.#o.clock.now() / 1000);
    await this.#shutdown.run(groups.length ? groups : DEFAULT_GROUPS, signal);
    await within(this.#o.clock, LAST_STATUSES_MS, this.#statuses.told(), () => new Error('the last statuses could not be written')).catch((err: Error) => log.warn(err.message));
    this.#metrics.shutdownEnd.set(this.#o.clock.now() / 1000);
  }
  /** Addresses of a Pod as the runtime gives them. */
  podIPs(pod: Pod): readonly string[] {
    if (isHostNetwork(pod)) return this.#o.config.nodeIPs;
    const network = this.cache.get(pod.metadata.uid ?? '')?.sandboxes[0]?.network;
    return network?.ip ? [network.ip, ...network.additionalIps.map((a) => a.ip)] : [];
  }
  /** What the kubelet's server serves from. */
  host(): KubeletHost {
    const { runtime, clock, config } = this.#o;
    // A mirror stands for the Pod that runs.
    const shown = (pod: Pod): Pod => {
      const real = this.#static?.get(pod.metadata.annotations?.[CONFIG.mirror] ?? '') ?? pod;
      return { ...real, status: this.#statuses.statusOf(real) ?? pod.status };
    };
    return newKubeletHost({
      clock, runtime, mounter: this.#o.mounter ?? hostMounter, cache: this.cache, config: { ...config, cgroupDriver: this.#driver.name },
      stats: newNodeStats({
        clock, runtime, config, volumes: this.#volumeStats, cache: this.cache, hierarchy: this.#hierarchy, cgroups: this.#cgroups, nodeName: config.nodeName, host: () => this.node.host, cores: () => this.#containers.cpus.cores(),
        podOf: (uid) => this.workers.podOf(uid), running: () => this.#running().length, counted: () => this.#metrics.registry.metrics(),
      }),
      pods: () => this.#pods.list().map(shown),
      podByName: (namespace, name) => {
        const pod = this.#pods.get(namespace, name);
        return pod && shown(pod);
      },
    });
  }

  async #memoryUsage(pod: Pod, containerId?: string): Promise<number | undefined> {
    const { pathOf, containerPath } = this.#cgroups;
    const path = pathOf?.(pod);
    if (path === undefined || !containerPath) return undefined;
    return (await cgroupUse(this.#hierarchy, containerId === undefined ? path : containerPath(path, containerId)))?.memoryBytes;
  }
  #newPodSync(hooks: HookRunner): PodSync {
    const { config, runtime, clock, client } = this.#o;
    const recorder = this.#recorder;
    const starts = new Slots(config.maxParallelPodStarts);
    const shared = { config, clock, grants: this.#containers, claims: this.#dra.claims, runtime, cache: this.cache, recorder, volumes: this.#volumes, killer: this.#killer, starts };
    const { node } = this;
    const starter = new ContainerStarter({
      ...shared, hooks,
      images: newImageManager({ runtime, recorder, clock, records: this.#pullRecords, credentials: newCredentials(this.#objects, this.#credentialProviders(), this.#o.nodeCredentials ?? (() => [])), maxParallelPulls: config.maxParallelImagePulls, progress: runtime.channel && ((registry, repository, signal) => pullProgress(runtime.channel!, registry, repository, { signal })) }),
      environment: newEnvironmentMaker({ objects: this.#objects, services: this.#services, node: () => this.#nodeFacts(), volumePath: (uid, volume) => join(podDir(config, uid), 'volumes', 'kubernetes.io~empty-dir', volume) }),
      backOff: new BackOff(clock),
      get memoryCapacityBytes() { return node.host.memoryBytes; },
      cgroups: this.#hierarchy,
      features: () => this.#features,
    });
    return new PodSync({ ...shared, statuses: this.#statuses, starter, prober: this.#prober, cgroups: this.#cgroups, resizer: this.#resizer, preparePodNetwork: this.#o.preparePodNetwork, userNamespaces: new UserNamespaces(config), runtimeHandler: async (pod, signal) => {
      const handler = await runtimeHandlerOf(client, pod, signal);
      refuseUserNamespace(pod, handler, this.node.runtimeHandlers);
      return handler;
    } });
  }
  #admit(pod: Pod, others: readonly Pod[]): PodRejection | undefined {
    const { node } = this.node;
    if (!this.#features.appArmor && requiresAppArmor(pod)) return { reason: 'AppArmor', message: 'Cannot enforce AppArmor: AppArmor is not enabled on the host' };
    const options = { allowedUnsafeSysctls: this.#o.config.allowedUnsafeSysctls, isAllocated: (resource: string) => this.#containers.devices.manages(resource) };
    return this.#shutdown.admit() ?? this.#eviction.admit(pod) ?? (node && this.#admission.admit(pod, others.map((p) => this.#resizer.allocatedPod(p)), node, options));
  }
  #nodeFacts(): NodeFacts {
    const { nodeName, nodeIPs } = this.#o.config;
    return { nodeName, nodeIPs, allocatable: this.node.node?.status?.allocatable ?? {} };
  }
  /** The runtime and the kernel tell what containers can have. */
  async #learnFeatures(): Promise<void> {
    const { features } = this.node.runtimeHandlers.find((h) => h.name === '') ?? {};
    this.#features.appArmor = await appArmorEnabled();
    this.#features.imageVolumes = mountsImages(this.#runtimeVersion());
    this.#features.recursiveReadOnly = features?.recursiveReadOnlyMounts ?? false;
    if (await this.#hierarchy.has('hugetlb')) this.#features.hugePageSizes = Object.keys(this.node.host.hugePages).map((size) => size.replace(/i$/, 'B'));
  }
  #runtimeVersion(): string {
    return this.node.node?.status?.nodeInfo?.containerRuntimeVersion ?? '';
  }
  /** A machine with systemd tells when it goes down, if the node is to wait for its Pods then. */
  async #watchLogind(): Promise<void> {
    const { config, clock } = this.#o;
    if (shutdownGroups(config).length === 0) return;
    if (!(await hasLogind())) return log.info({}, 'no systemd-logind: pods are stopped gracefully by SIGPWR or "podyard down --drain" only');
    const shutDown = async () => await this.shutDownNode(new AbortController().signal);
    this.#logind = new LogindWatch({ clock, onShutdown: shutDown, onCancelled: () => this.#shutdown.cancel() });
    this.#logind.start();
  }
  #running(): { readonly uid: string; readonly name: string; readonly id: string }[] {
    return this.cache.uids().flatMap((uid) => (this.cache.get(uid)?.containers ?? []).flatMap(({ name, id, state }) => (state === 'CONTAINER_RUNNING' ? [{ uid, name, id }] : [])));
  }
  #podChanged(pod: Pod): void {
    const real = pod.metadata.annotations?.[CONFIG.mirror];
    if (real === undefined) this.workers.update(pod);
    else {
      this.#static?.mirrorChanged(pod);
      this.workers.wake(real);
    }
    this.#statuses.observed(real ?? uidOf(pod));
  }
  #podGone(pod: Pod): void {
    if (isMirrorPod(pod)) this.#static?.mirrorChanged(pod);
    else this.workers.remove(pod);
  }
  /** What the API has of a Pod: of a static one its mirror. */
  #apiPodOf(uid: string): Pod | undefined {
    const pod = this.workers.podOf(uid);
    if (!pod || !isStaticPod(pod)) return pod;
    const mirror = this.#pods.get(pod.metadata.namespace!, pod.metadata.name!);
    return mirror && mirror.metadata.annotations?.[CONFIG.mirror] === uid ? mirror : undefined;
  }
  #wakeUsersOfDevices(): void {
    for (const { metadata: { uid = '' }, spec } of this.workers.activePods()) if (spec.containers.some((c) => this.#containers.devices.health(uid, c.name).length > 0)) this.workers.wake(uid);
  }
  /** Those that wait to be started, and those that wait to end. */
  #wakeUsersOfDriver(driver: string): void {
    const waiting = this.workers.activePods().filter(hasClaims).map(uidOf);
    for (const uid of new Set([...waiting, ...this.#dra.claims.podsOf(driver)])) this.workers.wake(uid);
  }
  #retryResizes(): void {
    for (const uid of this.#resizer.deferred()) this.workers.wake(uid);
  }
  #credentialProviders(): CredentialProviders | undefined {
    const { client, clock, credentialProviders } = this.#o;
    return credentialProviders && new CredentialProviders({
      ...credentialProviders, clock, serviceAccount: (namespace, name) => client.of(SERVICE_ACCOUNTS).get(namespace, name),
      requestToken: async (pod, audience) => (await this.#tokens(pod, { path: '', audience }, new AbortController().signal)).status?.token ?? '',
    });
  }
  async #requestToken(pod: Pod, projection: ServiceAccountTokenProjection, signal: AbortSignal): Promise<TokenRequest> {
    const body: TokenRequest = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: {},
      spec: {
        audiences: projection.audience ? [projection.audience] : [],
        expirationSeconds: projection.expirationSeconds ?? 3600,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name, uid: pod.metadata.uid },
      },
    };
    return await this.#o.client.of(SERVICE_ACCOUNTS).createSubresource<TokenRequest>(pod.metadata.namespace!, pod.spec.serviceAccountName || 'default', 'token', body, { signal });
  }
}
/** The driver that the runtime uses: containers must be where their Pod is bounded. One that does not say is taken to use the configured one (KEP-4033). */
async function cgroupDriverOf(runtime: Pick<ContainerRuntime, 'runtimeConfig'>, configured: KubeletConfig['cgroupDriver']): Promise<KubeletConfig['cgroupDriver']> {
  const { linux } = await runtime.runtimeConfig({}).catch((err: unknown) => {
    if (isCriError(err, 'Unimplemented')) return { linux: undefined };
    throw err;
  });
  const told = linux === undefined ? configured : linux.cgroupDriver === 'SYSTEMD' ? 'systemd' : 'cgroupfs';
  log.info({ driver: told }, 'the cgroup driver');
  return told;
}
