/** What the cluster's DNS knows: Services, their endpoints, Namespaces and whose address a question comes from. */
import type { Namespace, Pod, Service } from '#api/gen/core-v1.ts';
import type { EndpointSlice } from '#api/gen/discovery-v1.ts';
import { namespaceOf } from '#api/object.ts';
import type { Clock } from '#base/clock.ts';
import type { Client } from '#client/client.ts';
import { Informer } from '#client/informer.ts';
import { ENDPOINT_SLICES, NAMESPACES, PODS, SERVICES } from '#client/kinds.ts';

/** What an answer is made from: tests give plain lists. */
export interface ClusterView {
  hasNamespace(name: string): boolean;
  service(namespace: string, name: string): Service | undefined;
  slicesOf(namespace: string, service: string): readonly EndpointSlice[];
  servicesWithIP(ip: string): readonly Service[];
  slicesWithIP(ip: string): readonly EndpointSlice[];
  /** Namespace of the Pod that has the address. */
  namespaceOfPod(ip: string): string | undefined;
}
export const SERVICE_NAME = 'kubernetes.io/service-name';

export class InformedView implements ClusterView {
  readonly #services: Informer<Service>;
  readonly #slices: Informer<EndpointSlice>;
  readonly #namespaces: Informer<Namespace>;
  readonly #pods: Informer<Pod>;

  constructor(client: Client, clock: Clock) {
    this.#services = new Informer(client, SERVICES, clock);
    this.#services.addIndex('ip', (s) => s.spec.clusterIPs ?? []);
    this.#slices = new Informer(client, ENDPOINT_SLICES, clock);
    this.#slices.addIndex('service', (s) => [`${namespaceOf(s)}/${s.metadata.labels?.[SERVICE_NAME] ?? ''}`]);
    this.#slices.addIndex('ip', (s) => [...new Set((s.endpoints ?? []).flatMap((e) => e.addresses))]);
    this.#namespaces = new Informer(client, NAMESPACES, clock);
    this.#pods = new Informer(client, PODS, clock);
    this.#pods.addIndex('ip', (p) => (p.spec.hostNetwork || p.status?.phase === 'Succeeded' || p.status?.phase === 'Failed' ? [] : (p.status?.podIPs ?? []).map((i) => i.ip ?? '')));
  }
  /** Resolves when all is known. */
  async start(): Promise<void> {
    const all = [this.#services, this.#slices, this.#namespaces, this.#pods];
    for (const informer of all) informer.start();
    await Promise.all(all.map((i) => i.synced));
  }
  async stop(): Promise<void> {
    await Promise.all([this.#services, this.#slices, this.#namespaces, this.#pods].map((i) => i.stop()));
  }
  hasNamespace(name: string): boolean {
    return this.#namespaces.get('', name) !== undefined;
  }
  service(namespace: string, name: string): Service | undefined {
    return this.#services.get(namespace, name);
  }
  slicesOf(namespace: string, service: string): readonly EndpointSlice[] {
    return this.#slices.byIndex('service', `${namespace}/${service}`);
  }
  servicesWithIP(ip: string): readonly Service[] {
    return this.#services.byIndex('ip', ip);
  }
  slicesWithIP(ip: string): readonly EndpointSlice[] {
    return this.#slices.byIndex('ip', ip);
  }
  namespaceOfPod(ip: string): string | undefined {
    const pod = this.#pods.byIndex('ip', ip)[0];
    return pod && namespaceOf(pod);
  }
}
