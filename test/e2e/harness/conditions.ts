/** Waiting for what the API tells: by watches, with a time limit, never by sleeping. */
import type { Event, Node, Pod } from '#api/gen/core-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { EVENTS, NODES, PODS, type KindRef } from '#client/kinds.ts';
import type { TestCluster } from './cluster.ts';
import type { Program } from './process.ts';

const LIMIT_MS = 150_000;

export interface WaitOptions {
  readonly namespace?: string;
  readonly timeoutMs?: number;
}

/** Resolves with `pick`'s first answer that is not undefined, over all objects of the kind that `fieldSelector` leaves. Rejects with the last object seen. */
export async function waitFor<T extends KubeObject, R>(cluster: TestCluster, kind: KindRef<T>, fieldSelector: string, what: string, pick: (objects: ReadonlyMap<string, T>) => R | undefined, options: WaitOptions = {}): Promise<R> {
  const limit = AbortSignal.timeout(options.timeoutMs ?? LIMIT_MS);
  const resource = (await cluster.client()).of(kind);
  const scope = { ...(kind.namespaced && options.namespace !== '' && { namespace: options.namespace ?? 'default' }), ...(fieldSelector !== '' && { fieldSelector }) };
  let objects = new Map<string, T>();
  while (!limit.aborted) {
    const list = await resource.list(scope);
    objects = new Map(list.items.map((o) => [o.metadata.uid ?? '', o]));
    const at = pick(objects);
    if (at !== undefined) return at;
    for await (const batch of resource.watch({ ...scope, resourceVersion: list.metadata.resourceVersion ?? '0' }, limit)) {
      for (const event of batch) {
        if (event.type === 'BOOKMARK') continue;
        if (event.type === 'DELETED') objects.delete(event.object.metadata.uid ?? '');
        else objects.set(event.object.metadata.uid ?? '', event.object);
        const found = pick(objects);
        if (found !== undefined) return found;
      }
    }
  }
  throw new Error(`waiting for ${what}: not so after ${(options.timeoutMs ?? LIMIT_MS) / 1000} s; last seen: ${JSON.stringify([...objects.values()].map((o) => (o as { status?: unknown }).status ?? o))}`);
}

export function waitForPod(cluster: TestCluster, name: string, what: string, is: (pod: Pod) => boolean, options: WaitOptions = {}): Promise<Pod> {
  return waitFor(cluster, PODS, `metadata.name=${name}`, `Pod "${name}" to be ${what}`, (pods) => [...pods.values()].find(is), options);
}
export function waitForPodGone(cluster: TestCluster, name: string, options: WaitOptions = {}): Promise<true> {
  return waitFor(cluster, PODS, `metadata.name=${name}`, `Pod "${name}" to be gone`, (pods) => (pods.size === 0 ? true : undefined), options);
}
export function waitForReady(cluster: TestCluster, name: string, options: WaitOptions = {}): Promise<Pod> {
  return waitForPod(cluster, name, 'Ready', (p) => p.status?.conditions?.find((c) => c.type === 'Ready')?.status === 'True', options);
}
export function waitForPhase(cluster: TestCluster, name: string, phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed', options: WaitOptions = {}): Promise<Pod> {
  return waitForPod(cluster, name, phase, (p) => p.status?.phase === phase, options);
}
export function waitForNode(cluster: TestCluster, name: string, what: string, is: (node: Node) => boolean, options: WaitOptions = {}): Promise<Node> {
  return waitFor(cluster, NODES, `metadata.name=${name}`, `node "${name}" to be ${what}`, (nodes) => [...nodes.values()].find(is), options);
}
/** The first Event of an object with that reason whose message matches. */
export function waitForEvent(cluster: TestCluster, involved: string, reason: string, message: RegExp = /^/, options: WaitOptions = {}): Promise<Event> {
  const is = (e: Event): boolean => e.reason === reason && message.test(e.message ?? '');
  return waitFor(cluster, EVENTS, `involvedObject.name=${involved}`, `an Event ${reason} ${message} of "${involved}"`, (events) => [...events.values()].find(is), options);
}
/** `kubectl get ARGS --watch`, once the server has granted the watch: nothing that happens after is missed. */
export async function startWatch(cluster: TestCluster, args: readonly string[]): Promise<Program> {
  const watch = await cluster.startKubectl(['get', ...args, '--watch', '-v=6']);
  await watch.seen(/watch=true\S* status="200 OK"/);
  return watch;
}
/** What `kubectl get pods` shows in the column STATUS, once it is one of those wanted; asks again at every change of the Pod. */
export async function waitForStatusColumn(cluster: TestCluster, name: string, wanted: RegExp, options: WaitOptions = {}): Promise<string> {
  const limit = options.timeoutMs ?? LIMIT_MS;
  // By a list: of one Pod by its name, kubectl drops the first event of the watch, and with it what changed since it got the Pod.
  await using watch = await cluster.startKubectl(['get', 'pods', '--field-selector', `metadata.name=${name}`, '--watch', '--no-headers', '-n', options.namespace ?? 'default'], { timeoutMs: limit });
  const line = new RegExp(`^${name}\\s+\\S+\\s+(${wanted.source})\\s`, 'm');
  return (await watch.seen(line))[1]!;
}
/** Follows `kubectl logs ARGS` until a line matches; gives all that was printed so far. A container that is Ready may not have printed yet. */
export async function waitForLog(cluster: TestCluster, args: string, pattern: RegExp): Promise<string> {
  await using logs = await cluster.startKubectl(`logs -f ${args}`);
  await logs.seen(pattern);
  return logs.stdout;
}
