/** Gives each Pod a node. Upstream's counterpart: kube-scheduler. See README.md for the flow. */
import { hostname } from 'node:os';
import type { Binding, Pod } from '#api/gen/core-v1.ts';
import { keyOf, nameOf, namespaceOf, uidOf } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import { Registry } from '#base/metrics.ts';
import type { Client, ResourceClient } from '#client/client.ts';
import { EventSender } from '#client/event-sender.ts';
import { PODS } from '#client/kinds.ts';
import { SeriesRecorder } from '#client/series-events.ts';
import { SchedulerCache } from './cache/cache.ts';
import { addEventHandlers, POD_DELETED } from './event-handlers.ts';
import { newDraManager } from './dra/dra-manager.ts';
import { CycleState } from './framework/cycle-state.ts';
import { fitErrorMessage, NO_NODES_AVAILABLE, type Diagnosis } from './framework/fit-error.ts';
import { Framework } from './framework/framework.ts';
import type { FrameworkHandle, Listers } from './framework/handle.ts';
import type { PodInfo } from './framework/pod-info.ts';
import { errorStatus, messageOf, type Status } from './framework/status.ts';
import { listersOf, newInformers } from './listers.ts';
import { defaultPlugins } from './plugins/registry.ts';
import { SchedulerMetrics } from './metrics.ts';
import { PodStatusWriter } from './pod-status.ts';
import { Nominator } from './queue/nominator.ts';
import { SchedulingQueue, type QueuedPod } from './queue/scheduling-queue.ts';
import { NodeChooser } from './schedule.ts';

export interface SchedulerOptions {
  readonly client: Client;
  readonly clock: Clock;
  /** The `spec.schedulerName` of the Pods it is for. Default `default-scheduler`. */
  readonly schedulerName?: string;
  /** At least 0, less than 1; breaks ties. Default `Math.random`. */
  readonly random?: () => number;
  /** Takes the metrics. Default: one of its own. */
  readonly registry?: Registry;
}

const log = logger('kube-scheduler');
const EVENT_NOTE_LIMIT = 1024;
/** How long cycles may follow one another before others in the process get their turn. */
const SLICE_MS = 2;
/** Stands for a plugin that refuses Pods while there is no node at all. */
const NO_NODES = 'NoNodes';
const NO_PLUGINS: ReadonlySet<string> = new Set();

export class Scheduler implements Component {
  readonly name = 'kube-scheduler';
  readonly queue: SchedulingQueue;
  readonly cache = new SchedulerCache();
  readonly #o: Required<SchedulerOptions>;
  readonly #pods: ResourceClient<Pod>;
  readonly #events: EventSender;
  readonly #recorder: SeriesRecorder;
  readonly #statuses: PodStatusWriter;
  readonly #nominator = new Nominator();
  readonly #framework: Framework;
  readonly #chooser: NodeChooser;
  readonly #handle: FrameworkHandle & { listers: Listers };
  readonly #informers;
  readonly #abort = new AbortController();
  readonly #background = new Set<Promise<void>>();
  #removeHandlers: () => void = () => {};
  #running = false;
  #pumping = false;

  constructor(options: SchedulerOptions) {
    const { client, clock, schedulerName = 'default-scheduler', random = Math.random, registry = new Registry() } = options;
    this.#o = { client, clock, schedulerName, random, registry };
    this.#pods = client.of(PODS);
    this.#informers = newInformers(client, clock);
    this.#events = new EventSender({ clock, random });
    this.#recorder = new SeriesRecorder(client, { component: schedulerName, hostname: hostname(), clock, sender: this.#events });
    this.#statuses = new PodStatusWriter(client, clock);
    const listers = listersOf(this.#informers);
    this.#handle = {
      client, clock, random, recorder: this.#recorder, listers, dra: newDraManager(listers), nominator: this.#nominator,
      metrics: new SchedulerMetrics(registry, schedulerName),
      snapshot: () => this.cache.snapshot(),
      filter: (state, info, node) => this.#framework.filters(state, info)(node),
      addPod: (state, info, added, node) => this.#framework.addPod(state, info, added, node),
      removePod: (state, info, removed, node) => this.#framework.removePod(state, info, removed, node),
      reconsider: (uid, force) => this.queue.reconsider(uid, force),
      patchStatus: (pod, change, signal) => this.#statuses.patch(pod, change, signal),
      background: (work) => this.#inBackground(work),
    };
    this.#framework = new Framework(defaultPlugins(this.#handle), this.#nominator);
    this.#chooser = new NodeChooser(this.#framework, random);
    this.queue = new SchedulingQueue({
      clock, interests: new Map([...this.#framework.interests(), [NO_NODES, [{ resource: 'Node', actions: ['Add'] }]]]), preEnqueue: (pod) => this.#framework.preEnqueue(pod), onReady: () => this.#wake(),
    });
  }

  /** Ready when it knows the cluster's state; Pods that wait are scheduled from then on. */
  async start(signal: AbortSignal): Promise<void> {
    this.#removeHandlers = addEventHandlers(this.#informers, { cache: this.cache, queue: this.queue, nominator: this.#nominator, schedulerName: this.#o.schedulerName });
    const informers = Object.values(this.#informers);
    for (const informer of informers) informer.start();
    await orAbort(Promise.all(informers.map((i) => i.synced)), signal);
    this.#running = true;
    this.#wake();
  }
  async stop(): Promise<void> {
    this.#running = false;
    this.#abort.abort(new Error('the scheduler is stopping'));
    this.#removeHandlers();
    this.queue.close();
    await Promise.all(Object.values(this.#informers).map((i) => i.stop()));
    await Promise.all(this.#background);
    this.#recorder.close();
    await this.#events.close();
  }

  /** Starts the loop, after what is happening now: Pods that come together are taken in order of priority. */
  #wake(): void {
    if (!this.#running || this.#pumping) return;
    this.#pumping = true;
    queueMicrotask(() => this.#pump());
  }
  #pump(): void {
    const until = this.#o.clock.monotonic() + SLICE_MS;
    while (this.#running) {
      const queued = this.queue.pop();
      if (!queued) break;
      try {
        this.#scheduleOne(queued);
      } catch (err) {
        log.error({ pod: queued.info.key, err }, 'scheduling cycle failed');
      }
      if (this.#o.clock.monotonic() >= until) return void setImmediate(() => this.#pump());
    }
    this.#pumping = false;
  }

  /** One cycle: from the Pod to its node or to the reason why not. Synchronous, so that the cluster stands still meanwhile. */
  #scheduleOne(queued: QueuedPod): void {
    const { info } = queued;
    const { pod } = info;
    if (pod.metadata.deletionTimestamp) return this.#tellFailure(pod, `skip schedule deleting pod: ${namespaceOf(pod)}/${nameOf(pod)}`);
    if (this.cache.isAssumed(info.uid)) return;
    const state = new CycleState();
    try {
      const snapshot = this.cache.snapshot();
      if (snapshot.nodes.length === 0) return this.#refused(queued, NO_NODES_AVAILABLE, new Set([NO_NODES]), '');
      const result = this.#chooser.choose(state, info, snapshot);
      if (result.kind === 'node') this.#place(queued, state, result.nodeName);
      else if (result.kind === 'unfit') this.#unfit(queued, state, result.diagnosis);
      else this.#broken(queued, result.status);
    } catch (err) {
      this.#broken(queued, errorStatus('', err));
    }
  }
  #place(queued: QueuedPod, state: CycleState, nodeName: string): void {
    const assumed = this.cache.assume(queued.info, nodeName);
    this.#nominator.delete(assumed.uid);
    const refused = this.#framework.reserve(state, assumed, nodeName);
    if (refused) {
      this.#framework.unreserve(state, assumed, nodeName);
      this.cache.forget(assumed.uid);
      return this.#broken(queued, refused);
    }
    this.#inBackground((signal) => this.#bind(queued, state, assumed, nodeName, signal));
  }
  async #bind(queued: QueuedPod, state: CycleState, assumed: PodInfo, nodeName: string, signal: AbortSignal): Promise<void> {
    const { pod } = assumed;
    try {
      if (this.#framework.needsPreBind(state, assumed, nodeName)) {
        await this.#tellExpectation(pod, nodeName, signal);
        const status = await this.#framework.preBind(state, assumed, nodeName, signal);
        if (signal.aborted) return;
        if (status) return this.#bindingFailed(queued, state, assumed, nodeName, status);
      }
      // A condition that is still being written must not overwrite the one that the binding sets.
      const writing = this.#statuses.settled(assumed.uid);
      if (writing) await writing;
      const binding: Binding = {
        apiVersion: 'v1', kind: 'Binding', metadata: { name: nameOf(pod), namespace: namespaceOf(pod), ...(pod.metadata.uid ? { uid: pod.metadata.uid } : {}) },
        target: { kind: 'Node', name: nodeName },
      };
      await this.#pods.createSubresource(namespaceOf(pod), nameOf(pod), 'binding', binding, { signal });
      this.#recorder.event(pod, { type: 'Normal', reason: 'Scheduled', action: 'Binding', note: `Successfully assigned ${namespaceOf(pod)}/${nameOf(pod)} to ${nodeName}` });
    } catch (err) {
      if (!signal.aborted) this.#bindingFailed(queued, state, assumed, nodeName, errorStatus('DefaultBinder', new Error(`running Bind plugin "DefaultBinder": ${(err as Error).message}`, { cause: err })));
    }
  }
  /** Others may want to know where a Pod will be whose volumes are still being prepared. */
  async #tellExpectation(pod: Pod, nominatedNodeName: string, signal: AbortSignal): Promise<void> {
    try {
      await this.#statuses.patch(pod, { nominatedNodeName }, signal);
    } catch (err) {
      if (!signal.aborted) log.warn({ pod: keyOf(pod), err }, 'node name of the pod not told');
    }
  }
  #bindingFailed(queued: QueuedPod, state: CycleState, assumed: PodInfo, nodeName: string, status: Status): void {
    this.#framework.unreserve(state, assumed, nodeName);
    this.cache.forget(assumed.uid);
    this.queue.move(POD_DELETED, assumed.pod, undefined, assumed.uid);
    this.#broken(queued, status);
  }

  #unfit(queued: QueuedPod, state: CycleState, diagnosis: Diagnosis): void {
    const post = this.#framework.postFilter(state, queued.info, diagnosis.nodes);
    diagnosis.postFilterMessage = post.message;
    this.#refused(queued, fitErrorMessage(this.cache.nodeCount, diagnosis), diagnosis.plugins, post.nominatedNodeName);
  }
  #refused(queued: QueuedPod, message: string, plugins: ReadonlySet<string>, nominatedNodeName: string | undefined): void {
    this.#failed(queued, 'Unschedulable', message, plugins, nominatedNodeName);
  }
  #broken(queued: QueuedPod, status: Status): void {
    const message = messageOf(status);
    log.warn({ pod: queued.info.key, err: status.cause ?? message }, 'scheduling failed, retrying');
    this.#failed(queued, 'SchedulerError', message, NO_PLUGINS, '');
  }
  #failed(queued: QueuedPod, reason: 'Unschedulable' | 'SchedulerError', message: string, plugins: ReadonlySet<string>, nominatedNodeName: string | undefined): void {
    const now = this.#informers.pods.get(namespaceOf(queued.info.pod), nameOf(queued.info.pod));
    // It was deleted, or bound all the same, while we were at it.
    if (!now || uidOf(now) !== queued.info.uid || now.spec.nodeName) return;
    this.queue.putBack(queued, now, plugins);
    if (nominatedNodeName !== undefined) this.#nominator.set(queued.info, nominatedNodeName);
    this.#tellFailure(now, message);
    this.#inBackground(async (signal) => {
      try {
        await this.#statuses.patch(now, { condition: { type: 'PodScheduled', status: 'False', reason, message }, nominatedNodeName }, signal);
      } catch (err) {
        if (!signal.aborted) log.warn({ pod: keyOf(now), err }, 'status of the pod not updated');
      }
    });
  }

  #tellFailure(pod: Pod, message: string): void {
    const note = message.length > EVENT_NOTE_LIMIT ? `${message.slice(0, EVENT_NOTE_LIMIT - 4)} ...` : message;
    this.#recorder.event(pod, { type: 'Warning', reason: 'FailedScheduling', action: 'Scheduling', note });
  }
  #inBackground(work: (signal: AbortSignal) => Promise<void>): void {
    const done = work(this.#abort.signal).catch((err: unknown) => {
      if (!this.#abort.signal.aborted) log.error({ err }, 'background work failed');
    }).finally(() => this.#background.delete(done));
    this.#background.add(done);
  }
}

/** Settles as `work` does; rejects with the signal's reason when it aborts first. */
async function orAbort(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<never>();
  const onAbort = () => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

export function newScheduler(options: SchedulerOptions): Scheduler {
  return new Scheduler(options);
}
