/** Discovery: what is served, in the old form (`/api`, `/apis`, `/apis/GROUP`, `/apis/GROUP/VERSION`) and the aggregated one (KEP-3352). */
import { createHash } from 'node:crypto';
import type * as discoveryV2 from '#api/gen/apidiscovery-v2.ts';
import type * as metaV1 from '#api/gen/meta-v1.ts';
import { apiVersionOf } from '#api/object.ts';
import { localPriority, type Priority } from '../aggregation/api-services.ts';
import type { GroupDelegate, ResourceRegistry, ServedResource } from '../registry/resource-registry.ts';

/** One group with its versions, first the one that is preferred. */
interface Group {
  readonly name: string;
  readonly versions: ReadonlyMap<string, readonly ServedResource[]>;
  /** Versions that another server answers. */
  readonly delegates: ReadonlyMap<string, GroupDelegate>;
  readonly priority: number;
}
export interface AggregatedDocument {
  readonly body: Buffer;
  readonly etag: string;
}
export type AggregatedVersion = 'v2' | 'v2beta1';

/** GA before beta before alpha, higher numbers first: upstream's `CompareKubeAwareVersionStrings`. */
export function compareVersions(a: string, b: string): number {
  const rank = (v: string): readonly number[] => {
    const hit = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(v);
    if (!hit) return [0, 0, 0];
    return [hit[2] === undefined ? 3 : hit[2] === 'beta' ? 2 : 1, Number(hit[1]), Number(hit[3] ?? 0)];
  };
  const [x, y] = [rank(a), rank(b)];
  for (let i = 0; i < 3; i++) if (x[i] !== y[i]) return y[i]! - x[i]!;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Eight bytes of a hash that change when objects of the kind are stored in another version. */
export function storageVersionHash(group: string, version: string, kind: string): string {
  return createHash('sha256').update(`${group}/${version}/${kind}`).digest().subarray(0, 8).toString('base64');
}

/** Kinds that the release stores as another group's or version's: it is what the hash is made of, whatever this store holds. */
const STORED_AS: Readonly<Record<string, readonly [group: string, version: string]>> = {
  'events.k8s.io/events': ['', 'v1'],
  'autoscaling/horizontalpodautoscalers': ['autoscaling', 'v2'],
  'apiextensions.k8s.io/customresourcedefinitions': ['apiextensions.k8s.io', 'v1beta1'],
  'admissionregistration.k8s.io/mutatingadmissionpolicies': ['admissionregistration.k8s.io', 'v1beta1'],
  'admissionregistration.k8s.io/mutatingadmissionpolicybindings': ['admissionregistration.k8s.io', 'v1beta1'],
};
function storedAs({ group, version, plural, kind, sameAs }: ServedResource['info']): [string, string, string] {
  const [storedGroup, storedVersion] = STORED_AS[`${group}/${plural}`] ?? [group, sameAs ?? version];
  return [storedGroup, storedVersion, kind];
}

export class Discovery {
  readonly #resources: ResourceRegistry;
  readonly #serverAddress: () => string;
  #generation = -1;
  #groups = new Map<string, Group>();
  readonly #aggregated = new Map<string, AggregatedDocument>();

  /** `serverAddress`: host and port that clients in the cluster reach the API server under. */
  constructor(resources: ResourceRegistry, serverAddress: () => string) {
    this.#resources = resources;
    this.#serverAddress = serverAddress;
  }

  /** `/api` */
  coreVersions(): metaV1.APIVersions {
    const versions = [...(this.#current().get('')?.versions.keys() ?? [])];
    return { kind: 'APIVersions', versions, serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: this.#serverAddress() }] };
  }
  /** `/apis` */
  groupList(): metaV1.APIGroupList {
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: [...this.#current().values()].filter((g) => g.name !== '').map(apiGroup) };
  }
  /** `/apis/GROUP` */
  group(name: string): metaV1.APIGroup | undefined {
    const group = name === '' ? undefined : this.#current().get(name);
    return group && { kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(group) };
  }
  /** `/api/v1`, `/apis/GROUP/VERSION` */
  resourceList(groupName: string, version: string): metaV1.APIResourceList | undefined {
    const served = this.#current().get(groupName)?.versions.get(version);
    if (!served) return undefined;
    // The core group's list has no version of its own, as ever.
    return { kind: 'APIResourceList', ...(groupName === '' ? {} : { apiVersion: 'v1' }), groupVersion: apiVersionOf(groupName, version), resources: served.toSorted(byPlural).flatMap(apiResources) };
  }
  /** `/api` and `/apis` in one document each. */
  aggregated(core: boolean, version: AggregatedVersion): AggregatedDocument {
    this.#current();
    const id = `${version} ${core}`;
    let document = this.#aggregated.get(id);
    if (!document) {
      const items = [...this.#groups.values()].filter((g) => (g.name === '') === core).map(groupDiscovery);
      const body = Buffer.from(`${JSON.stringify({ kind: 'APIGroupDiscoveryList', apiVersion: `apidiscovery.k8s.io/${version}`, metadata: {}, items })}\n`);
      document = { body, etag: `"${createHash('sha512').update(body).digest('hex').toUpperCase()}"` };
      this.#aggregated.set(id, document);
    }
    return document;
  }

  #current(): ReadonlyMap<string, Group> {
    if (this.#generation === this.#resources.generation) return this.#groups;
    this.#generation = this.#resources.generation;
    this.#aggregated.clear();
    const found = new Map<string, Map<string, ServedResource[]>>();
    for (const served of this.#resources.all()) {
      if (served.unannounced) continue;
      const versions = found.get(served.info.group) ?? new Map<string, ServedResource[]>();
      found.set(served.info.group, versions);
      versions.set(served.info.version, [...(versions.get(served.info.version) ?? []), served]);
    }
    for (const { group, version } of this.#resources.delegates()) {
      const versions = found.get(group) ?? new Map<string, ServedResource[]>();
      found.set(group, versions);
      if (!versions.has(version)) versions.set(version, []);
    }
    const groups = [...found].map(([name, versions]) => groupOf(name, versions, this.#resources.delegates()));
    this.#groups = new Map(groups.toSorted((a, b) => b.priority - a.priority || (a.name < b.name ? -1 : 1)).map((group) => [group.name, group]));
    return this.#groups;
  }
}

/** Groups and versions come in the order of the priorities of their APIServices; of a group that of its highest counts. */
function groupOf(name: string, served: ReadonlyMap<string, readonly ServedResource[]>, all: readonly GroupDelegate[]): Group {
  const delegates = new Map(all.filter((d) => d.group === name).map((d) => [d.version, d]));
  const priorityOf = (version: string): Priority => delegates.get(version)?.priority ?? localPriority(name, version);
  const versions = [...served].sort(([a], [b]) => priorityOf(b).version - priorityOf(a).version || compareVersions(a, b));
  return { name, versions: new Map(versions), delegates, priority: Math.max(...versions.map(([version]) => priorityOf(version).group)) };
}

const byPlural = (a: ServedResource, b: ServedResource): number => (a.info.plural < b.info.plural ? -1 : 1);

function apiGroup(group: Group): metaV1.APIGroup {
  const versions = [...group.versions.keys()].map((version) => ({ groupVersion: apiVersionOf(group.name, version), version }));
  return { name: group.name, versions, preferredVersion: versions[0] };
}

function apiResources(served: ServedResource): metaV1.APIResource[] {
  const { info, storage } = served;
  const main: metaV1.APIResource = {
    name: info.plural,
    singularName: info.singular,
    namespaced: info.namespaced,
    kind: info.kind,
    verbs: info.verbs,
    ...(info.shortNames.length ? { shortNames: info.shortNames } : {}),
    ...(info.categories.length ? { categories: info.categories } : {}),
    ...(storage ? { storageVersionHash: storageVersionHash(...storedAs(info)) } : {}),
  };
  const subresources = info.subresources.map((sub): metaV1.APIResource => ({
    name: `${info.plural}/${sub.name}`,
    singularName: '',
    namespaced: info.namespaced,
    ...(sub.group === undefined ? {} : { group: sub.group }),
    ...(sub.version === undefined ? {} : { version: sub.version }),
    kind: sub.kind,
    verbs: sub.verbs,
  }));
  // Those of custom resources stand in the order of their definition.
  return [main, ...(served.openApiSchema ? subresources : subresources.toSorted((a, b) => (a.name < b.name ? -1 : 1)))];
}

function groupDiscovery(group: Group): discoveryV2.APIGroupDiscovery {
  const versions = [...group.versions].map(([version, served]) => {
    const delegate = group.delegates.get(version);
    if (delegate) return { version, resources: delegate.discovery?.resources ?? [], freshness: delegate.discovery?.freshness ?? 'Stale' };
    return { version, resources: served.toSorted(byPlural).map(resourceDiscovery), freshness: 'Current' };
  });
  return { metadata: group.name === '' ? {} : { name: group.name }, versions };
}
/** The group and version of built-in kinds are left empty where they are those that the list is of. */
function responseKind({ info, codec }: ServedResource, shown: { readonly group?: string; readonly version?: string; readonly kind: string }): metaV1.GroupVersionKind {
  const { group = info.group, version = info.version, kind } = shown;
  return codec.structType && group === info.group && version === info.version ? { group: '', version: '', kind } : { group, version, kind };
}
function resourceDiscovery(served: ServedResource): discoveryV2.APIResourceDiscovery {
  const { info } = served;
  const subresources = info.subresources.toSorted((a, b) => (a.name < b.name ? -1 : 1)).map((sub) => ({
    subresource: sub.name,
    responseKind: responseKind(served, sub),
    verbs: sub.verbs,
  }));
  return {
    resource: info.plural,
    responseKind: responseKind(served, info),
    scope: info.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: info.singular,
    verbs: info.verbs,
    ...(info.shortNames.length ? { shortNames: info.shortNames } : {}),
    ...(info.categories.length ? { categories: info.categories } : {}),
    ...(subresources.length ? { subresources } : {}),
  };
}
