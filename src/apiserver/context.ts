/** What the handlers of one request share. */
import { resourceOf } from '#api/resources.ts';
import type { Clock } from '#base/clock.ts';
import { warningText } from './warnings.ts';
import type { AdmissionChain } from './admission-chain.ts';
import type { Authorizer, ObjectReader, RuleResolver, TokenAuthenticator, TokenIssuer, UserInfo } from './interfaces.ts';
import type { ComponentHealth } from './subresources/component-statuses.ts';
import type { NodeProxy } from './subresources/node-proxy.ts';
import type { ApiRequest } from './request.ts';
import type { KeptRevisions } from './registry/kept-revisions.ts';
import type { ListMemo } from './registry/list-memo.ts';
import type { ResourceRegistry, ServedResource } from './registry/resource-registry.ts';
import type { StrategyContext } from './registry/strategy.ts';

const NAMESPACES = resourceOf('', 'v1', 'namespaces');

/** What is there once per server. */
export interface Services {
  readonly clock: Clock;
  readonly resources: ResourceRegistry;
  readonly admission: AdmissionChain;
  readonly authorizer: Authorizer;
  readonly reader: ObjectReader;
  /** Fresh UUIDs. */
  readonly uid: () => string;
  /** In [0, 1). */
  readonly random: () => number;
  readonly rules?: RuleResolver | undefined;
  /** The API server's own token audiences. */
  readonly audiences: readonly string[];
  /** What `componentstatuses` shows. */
  readonly components: readonly ComponentHealth[];
  readonly tokenAuthenticator?: TokenAuthenticator | undefined;
  readonly tokenIssuer?: TokenIssuer | undefined;
  readonly nodeProxy?: NodeProxy | undefined;
  readonly lists: ListMemo;
  readonly kept: KeptRevisions;
  /** Seconds a watch lasts at least when the client names none. */
  readonly minRequestTimeoutSeconds: number;
}

export class RequestContext {
  readonly request: ApiRequest;
  readonly user: UserInfo;
  readonly served: ServedResource;
  readonly services: Services;
  readonly #namespace: string | undefined;

  constructor(request: ApiRequest, user: UserInfo, served: ServedResource, services: Services, namespace?: string) {
    this.#namespace = namespace;
    this.request = request;
    this.user = user;
    this.served = served;
    this.services = services;
  }
  /** Namespace of the object; '' for cluster-scoped resources and for requests over all namespaces. */
  get namespace(): string {
    return this.served.info.namespaced ? (this.#namespace ?? this.request.info.namespace) : '';
  }
  get name(): string {
    return this.request.info.name;
  }
  get signal(): AbortSignal {
    return this.request.signal;
  }
  warn(message: string): void {
    const text = warningText(message);
    if (!this.request.warnings.includes(text)) this.request.warnings.push(text);
  }
  annotate(key: string, value: string): void {
    this.request.auditAnnotations.set(key, value);
  }
  strategyContext(subresource: string): StrategyContext {
    const { clock, resources, reader } = this.services;
    return {
      user: this.user, now: clock.now(), subresource, serves: (...id) => resources.find(...id) !== undefined, warn: (message) => this.warn(message),
      namespaceLabels: () => reader.get(NAMESPACES, '', this.namespace)?.metadata.labels ?? {},
    };
  }
  /** The same request for an object of another namespace: deletecollection over all of them. */
  inNamespace(namespace: string): RequestContext {
    return new RequestContext(this.request, this.user, this.served, this.services, namespace);
  }
  /** The same request seen as one for another resource: subresources that read a second kind. */
  for(served: ServedResource): RequestContext {
    return new RequestContext(this.request, this.user, served, this.services);
  }
}
