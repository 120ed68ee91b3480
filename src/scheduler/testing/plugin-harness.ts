/** A cache and a handle for tests of single plugins. */
import type { Node, Pod } from '#api/gen/core-v1.ts';
import { keyOf, type KubeObject } from '#api/object.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { Registry } from '#base/metrics.ts';
import { Client } from '#client/client.ts';
import { SchedulerCache } from '../cache/cache.ts';
import { CycleState } from '../framework/cycle-state.ts';
import { newDraManager } from '../dra/dra-manager.ts';
import { Framework } from '../framework/framework.ts';
import type { FrameworkHandle, Lister, Listers } from '../framework/handle.ts';
import type { Plugin } from '../framework/plugin.ts';
import { PodInfo } from '../framework/pod-info.ts';
import { messageOf } from '../framework/status.ts';
import { SchedulerMetrics } from '../metrics.ts';
import { Nominator } from '../queue/nominator.ts';
import { FakeApiServer } from './fake-api-server.ts';

type ObjectsOf = { readonly [K in keyof Listers]?: Listers[K] extends Lister<infer T> ? readonly T[] : never };

export function listerOf<T extends KubeObject>(objects: readonly T[]): Lister<T> {
  const byKey = new Map(objects.map((o) => [keyOf(o), o]));
  return {
    get: (namespace, name) => byKey.get(namespace === '' ? name : `${namespace}/${name}`),
    list: (namespace) => objects.filter((o) => namespace === undefined || o.metadata.namespace === namespace),
    addHandler: (handler) => {
      for (const obj of objects) handler.onAdd?.(obj);
      return () => {};
    },
  };
}
function listersOf(objects: ObjectsOf): Listers {
  const of = <T extends KubeObject>(list: readonly T[] | undefined): Lister<T> => listerOf(list ?? []);
  return {
    pods: of(objects.pods), nodes: of(objects.nodes), namespaces: of(objects.namespaces), services: of(objects.services), replicationControllers: of(objects.replicationControllers),
    replicaSets: of(objects.replicaSets), statefulSets: of(objects.statefulSets), podDisruptionBudgets: of(objects.podDisruptionBudgets), persistentVolumes: of(objects.persistentVolumes),
    persistentVolumeClaims: of(objects.persistentVolumeClaims), storageClasses: of(objects.storageClasses), csiNodes: of(objects.csiNodes), csiDrivers: of(objects.csiDrivers),
    csiStorageCapacities: of(objects.csiStorageCapacities), volumeAttachments: of(objects.volumeAttachments),
    resourceClaims: of(objects.resourceClaims), resourceSlices: of(objects.resourceSlices), deviceClasses: of(objects.deviceClasses),
  };
}

export interface HarnessOptions {
  readonly nodes?: readonly Node[];
  /** Pods that have a node. */
  readonly pods?: readonly Pod[];
  readonly objects?: ObjectsOf;
}

/** One plugin over a cluster's state. */
export class PluginHarness {
  readonly cache = new SchedulerCache();
  readonly nominator = new Nominator();
  readonly api = new FakeApiServer();
  readonly clock = new FakeClock();
  readonly background: Promise<void>[] = [];
  readonly events: string[] = [];
  readonly registry = new Registry();
  readonly handle: FrameworkHandle;
  readonly plugin: Plugin;
  readonly framework: Framework;

  /** `others` run before the plugin. */
  constructor(create: (handle: FrameworkHandle) => Plugin, { nodes = [], pods = [], objects = {} }: HarnessOptions = {}, others: readonly Plugin[] = []) {
    for (const node of nodes) this.cache.setNode(node);
    for (const pod of pods) this.cache.setPod(pod);
    const listers = listersOf({ nodes, pods, ...objects });
    this.handle = {
      client: new Client(this.api, 'kube-scheduler'), clock: this.clock, nominator: this.nominator, listers, dra: newDraManager(listers), metrics: new SchedulerMetrics(this.registry, 'default-scheduler'), random: () => 0,
      recorder: { event: (obj, { type, reason, note }) => void this.events.push(`${obj.metadata.name}: ${type} ${reason}: ${note}`) },
      snapshot: () => this.cache.snapshot(),
      filter: (state, info, node) => this.framework.filters(state, info)(node),
      addPod: (state, info, added, node) => this.framework.addPod(state, info, added, node),
      removePod: (state, info, removed, node) => this.framework.removePod(state, info, removed, node),
      reconsider: () => {},
      patchStatus: () => Promise.resolve(),
      background: (work) => void this.background.push(work(new AbortController().signal)),
    };
    this.plugin = create(this.handle);
    this.framework = new Framework([...others, this.plugin].map((plugin) => ({ plugin, weight: 1 })), this.nominator);
  }
  /** Per node `''` where the Pod fits, else the reason; one line where the Pod is refused before any node is looked at. */
  filter(pod: Pod): Record<string, string> | string {
    const state = new CycleState();
    const info = new PodInfo(pod);
    const { nodes } = this.cache.snapshot();
    const { status, nodeNames } = this.framework.preFilter(state, info, nodes);
    if (status) return messageOf(status);
    const run = this.framework.filters(state, info);
    return Object.fromEntries(nodes.filter((n) => nodeNames?.has(n.name) ?? true).map((n) => {
      const refused = run(n);
      return [n.name, refused ? messageOf(refused) : ''];
    }));
  }
  /** Normalised scores by node; undefined where the plugin does not score this Pod. */
  scores(pod: Pod): Record<string, number> | undefined {
    const state = new CycleState();
    const info = new PodInfo(pod);
    const { nodes } = this.cache.snapshot();
    this.framework.preFilter(state, info, nodes);
    if (this.plugin.preScore?.(state, info, nodes)) return undefined;
    const scores = nodes.map((n) => this.plugin.score!(state, info, n));
    this.plugin.normalizeScores?.(state, info, nodes, scores);
    return Object.fromEntries(nodes.map((n, i) => [n.name, scores[i]!]));
  }
}
