/**
 * The ConfigMaps and Secrets that Pods of this node refer to, each watched by its name while a Pod needs it: all that the Node
 * authorizer lets a kubelet see. Upstream's counterpart: the watch-based configmap and secret managers.
 */
import type { ConfigMap, Pod, Secret } from '#api/gen/core-v1.ts';
import { uidOf, type KubeObject } from '#api/object.ts';
import { abortable, within } from '#base/abort.ts';
import type { Clock } from '#base/clock.ts';
import type { Client } from '#client/client.ts';
import { Informer } from '#client/informer.ts';
import { CONFIG_MAPS, SECRETS, type KindRef } from '#client/kinds.ts';
import { notFound } from '#machinery/status-error.ts';

const SYNC_TIMEOUT_MS = 1000;

interface Watched<T extends KubeObject> {
  readonly informer: Informer<T>;
  /** Pods that refer to it. */
  readonly pods: Set<string>;
}

export class WatchedObjects<T extends KubeObject> {
  readonly #client: Client;
  readonly #kind: KindRef<T>;
  readonly #clock: Clock;
  readonly #refs: (pod: Pod) => Iterable<string>;
  readonly #watched = new Map<string, Watched<T>>();
  readonly #byPod = new Map<string, ReadonlySet<string>>();
  #listener: (uid: string) => void = () => {};

  constructor(client: Client, kind: KindRef<T>, clock: Clock, refs: (pod: Pod) => Iterable<string>) {
    this.#client = client;
    this.#kind = kind;
    this.#clock = clock;
    this.#refs = refs;
  }
  /** Called with the uid of each Pod that refers to an object that changed. */
  onChange(listener: (uid: string) => void): void {
    this.#listener = listener;
  }
  /** Starts to watch what the Pod refers to; stops what it refers to no longer. */
  register(pod: Pod): void {
    const uid = uidOf(pod);
    const wanted = new Set([...this.#refs(pod)].map((name) => `${pod.metadata.namespace}/${name}`));
    for (const key of wanted) this.#watch(key).pods.add(uid);
    for (const key of this.#byPod.get(uid) ?? []) if (!wanted.has(key)) this.#release(key, uid);
    this.#byPod.set(uid, wanted);
  }
  unregister(uid: string): void {
    for (const key of this.#byPod.get(uid) ?? []) this.#release(key, uid);
    this.#byPod.delete(uid);
  }
  /** The object's newest state. Rejects with NotFound. Something that no Pod registered is asked of the API server. */
  async get(namespace: string, name: string, signal?: AbortSignal): Promise<T> {
    const watched = this.#watched.get(`${namespace}/${name}`);
    if (!watched) return await this.#client.of(this.#kind).get(namespace, name, signal);
    // Known within a moment, or something is wrong that a retry may find mended.
    const synced = within(this.#clock, SYNC_TIMEOUT_MS, watched.informer.synced, () => new Error(`failed to sync ${this.#kind.singular} cache: timed out waiting for the condition`));
    await (signal ? abortable(synced, signal) : synced);
    const found = watched.informer.get(namespace, name);
    if (!found) throw notFound({ group: this.#kind.group, resource: this.#kind.singular }, name);
    return found;
  }
  async stop(): Promise<void> {
    await Promise.all(Array.from(this.#watched.values(), (w) => w.informer.stop()));
    this.#watched.clear();
  }

  #watch(key: string): Watched<T> {
    const known = this.#watched.get(key);
    if (known) return known;
    const [namespace = '', name = ''] = key.split('/');
    const informer = new Informer<T>(this.#client, this.#kind, this.#clock, { namespace, fieldSelector: `metadata.name=${name}` });
    const watched: Watched<T> = { informer, pods: new Set() };
    const tell = () => { for (const uid of watched.pods) this.#listener(uid); };
    informer.addHandler({ onAdd: () => informer.hasSynced && tell(), onUpdate: tell, onDelete: tell });
    informer.start();
    this.#watched.set(key, watched);
    return watched;
  }
  #release(key: string, uid: string): void {
    const watched = this.#watched.get(key);
    watched?.pods.delete(uid);
    if (watched?.pods.size !== 0) return;
    this.#watched.delete(key);
    void watched.informer.stop();
  }
}

/** Names of the ConfigMaps that a Pod's volumes and environment refer to. */
function* configMapNames(pod: Pod): Iterable<string> {
  for (const v of pod.spec.volumes ?? []) {
    if (v.configMap?.name) yield v.configMap.name;
    for (const s of v.projected?.sources ?? []) if (s.configMap?.name) yield s.configMap.name;
  }
  for (const c of [...(pod.spec.initContainers ?? []), ...pod.spec.containers, ...(pod.spec.ephemeralContainers ?? [])]) {
    for (const e of c.envFrom ?? []) if (e.configMapRef?.name) yield e.configMapRef.name;
    for (const e of c.env ?? []) if (e.valueFrom?.configMapKeyRef?.name) yield e.valueFrom.configMapKeyRef.name;
  }
}
function* secretNames(pod: Pod): Iterable<string> {
  for (const s of pod.spec.imagePullSecrets ?? []) if (s.name) yield s.name;
  for (const v of pod.spec.volumes ?? []) {
    if (v.secret?.secretName) yield v.secret.secretName;
    for (const s of v.projected?.sources ?? []) if (s.secret?.name) yield s.secret.name;
  }
  for (const c of [...(pod.spec.initContainers ?? []), ...pod.spec.containers, ...(pod.spec.ephemeralContainers ?? [])]) {
    for (const e of c.envFrom ?? []) if (e.secretRef?.name) yield e.secretRef.name;
    for (const e of c.env ?? []) if (e.valueFrom?.secretKeyRef?.name) yield e.valueFrom.secretKeyRef.name;
  }
}

export interface NodeObjects {
  readonly configMaps: WatchedObjects<ConfigMap>;
  readonly secrets: WatchedObjects<Secret>;
}
export function newNodeObjects(client: Client, clock: Clock): NodeObjects {
  return {
    configMaps: new WatchedObjects(client, CONFIG_MAPS, clock, configMapNames),
    secrets: new WatchedObjects(client, SECRETS, clock, secretNames),
  };
}
