/** Builders and questions that the tests of workload controllers share. */
import type { Deployment, ReplicaSet } from '#api/gen/apps-v1.ts';
import type { Pod, PodSpec, PodTemplateSpec } from '#api/gen/core-v1.ts';
import { nameOf, namespaceOf, uidOf, type KubeObject } from '#api/object.ts';
import { rfc3339 } from '#base/clock.ts';
import type { Client } from '#client/client.ts';
import { EVENTS, NAMESPACES, PODS, REPLICA_SETS, SERVICE_ACCOUNTS } from '#client/kinds.ts';
import { startInProcessCluster, type InProcessCluster, type InProcessOptions } from '#cluster/in-process-cluster.ts';
import { eventually } from './eventually.ts';

/** A cluster with a namespace in which Pods may be created. */
export async function startWithNamespace(namespace: string, options: InProcessOptions = {}): Promise<InProcessCluster> {
  const cluster = await startInProcessCluster(options);
  await newNamespace(cluster.client, namespace);
  return cluster;
}
export async function newNamespace(client: Client, name: string): Promise<void> {
  await client.of(NAMESPACES).create({ metadata: { name }, spec: {} });
  await eventually('Pods may be created', () => client.of(SERVICE_ACCOUNTS).get(name, 'default').catch(() => undefined));
}
export function template(app: string, spec: Partial<PodSpec> = {}): PodTemplateSpec {
  return { metadata: { labels: { app } }, spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'nginx:1.14.2' }], ...spec } };
}
export function withImage(pods: PodTemplateSpec, image: string): PodTemplateSpec {
  return { ...pods, spec: { ...pods.spec, containers: pods.spec!.containers.map((c) => ({ ...c, image })) } };
}
export function deployment(namespace: string, name: string, spec: Partial<Deployment['spec']> = {}): Deployment {
  return { metadata: { name, namespace }, spec: { replicas: 3, selector: { matchLabels: { app: name } }, template: template(name), ...spec } };
}
export async function podsOf(client: Client, namespace: string, app: string): Promise<Pod[]> {
  return [...(await client.of(PODS).list({ namespace, labelSelector: `app=${app}` })).items];
}
/** ReplicaSets of an app by revision. */
export async function setsOf(client: Client, namespace: string, app: string): Promise<ReplicaSet[]> {
  const { items } = await client.of(REPLICA_SETS).list({ namespace, labelSelector: `app=${app}` });
  const revision = (rs: ReplicaSet) => Number(rs.metadata.annotations?.['deployment.kubernetes.io/revision'] ?? 0);
  return items.toSorted((a, b) => revision(a) - revision(b));
}
/** `reason: message` of the events about an object, oldest first. */
export async function eventsOf(client: Client, obj: KubeObject): Promise<string[]> {
  const { items } = await client.of(EVENTS).list({ namespace: namespaceOf(obj) });
  return items.filter((e) => e.involvedObject.uid === uidOf(obj)).toSorted((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)).map((e) => `${e.reason}: ${e.message}`);
}
/** The events about an object once there are `count`: recording them waits for nobody. */
export async function someEventsOf(client: Client, obj: KubeObject, count: number): Promise<string[]> {
  return await eventually(`${count} events`, async () => {
    const told = await eventsOf(client, obj);
    return told.length >= count && told;
  });
}
/** Tells what a kubelet would of a Pod, in a cluster without nodes. */
export async function setReady(client: Client, pod: Pod, ready = true): Promise<void> {
  const now = rfc3339(Date.now());
  const conditions = ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({ type, status: ready || !type.endsWith('Ready') ? 'True' : 'False', lastTransitionTime: now }));
  await client.of(PODS).patch(namespaceOf(pod), nameOf(pod), 'application/strategic-merge-patch+json', { status: { phase: 'Running', conditions } }, { subresource: 'status' });
}
