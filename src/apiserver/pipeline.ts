/**
 * The way of every request, whatever carried it: authenticate → impersonate → authorise → route → admission, registry, store.
 * Adapters (HTTP, in process) make an {@link ApiRequest} and write out the {@link ApiResult}.
 */
import type { AuthenticationMetrics, AuthenticationOutcome } from './authentication/metrics.ts';
import { forbiddenError } from './authorization/forbidden.ts';
import type { AuthorizationMetrics } from './authorization/metrics.ts';
import { StatusError, unauthorized } from '#machinery/status-error.ts';
import type { Subresource } from '#api/resources.ts';
import { RequestContext, type Services } from './context.ts';
import { PageNotFound, pathNotFound, verbNotAllowed } from './generic-errors.ts';
import type { AuthenticationNotes, AuthenticationResult, Authenticator, AuthorizationResult, Impersonator, MaybePromise, UserInfo } from './interfaces.ts';
import { isPromise } from './maybe-promise.ts';
import { serveVerb } from './registry/verbs.ts';
import type { ServedResource } from './registry/resource-registry.ts';
import type { ApiRequest, ApiResult } from './request.ts';

/** Serves paths outside of the resources; undefined: there is nothing at that path. */
export type PathHandler = (request: ApiRequest, user: UserInfo) => MaybePromise<ApiResult | undefined>;

/** Hears who asks, as soon as it is known. */
export interface RequestGate {
  /** Whose credentials came with the request. Not called for calls in the process. */
  authenticated(user: UserInfo): void;
  /** Runs what comes after authentication: within the request's span, where there is one. */
  within?<T>(run: () => T): T;
  /** Whom the request acts as. May hold it back, or refuse it. */
  admit(user: UserInfo): MaybePromise<void>;
}

function note({ auditAnnotations, warnings }: ApiRequest, notes: AuthenticationNotes | undefined): void {
  if (!notes) return;
  for (const [key, value] of Object.entries(notes.annotations)) auditAnnotations.set(key, value);
  warnings.push(...(notes.warnings ?? []));
}

export interface PipelineOptions {
  readonly authenticator: Authenticator;
  readonly impersonator?: Impersonator | undefined;
  readonly services: Services;
  readonly paths: PathHandler;
  /** Of requests over the wire. */
  readonly metrics: { readonly authentication: AuthenticationMetrics; readonly authorization: AuthorizationMetrics };
}

export class Pipeline {
  readonly #options: PipelineOptions;
  readonly #services: Services;

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#services = options.services;
  }

  /** Rejects with a StatusError for every refusal. `gate` is for limits and the audit log. */
  async handle(request: ApiRequest, gate?: RequestGate): Promise<ApiResult> {
    const user = request.fixedUser ?? (await this.#authenticate(request, gate));
    return gate?.within ? gate.within(() => this.#serve(request, user, gate)) : this.#serve(request, user, gate);
  }
  #serve(request: ApiRequest, user: UserInfo, gate: RequestGate | undefined): MaybePromise<ApiResult> {
    const admitted = gate?.admit(user);
    return isPromise(admitted) ? admitted.then(() => this.#authorize(request, user)) : this.#authorize(request, user);
  }
  #authorize(request: ApiRequest, user: UserInfo): MaybePromise<ApiResult> {
    const measured = request.fixedUser ? undefined : this.#options.metrics.authorization;
    const { clock } = this.#services;
    const started = clock.monotonic();
    const decision = this.#services.authorizer.authorize({ ...request.info, user }, request.signal);
    const go = (result: AuthorizationResult): MaybePromise<ApiResult> => {
      measured?.ended(result.decision !== 'allow' && result.error !== undefined ? 'error' : result.decision, (clock.monotonic() - started) / 1000);
      this.#permit(request, user, result);
      return request.info.isResourceRequest ? this.#serveResource(request, user) : this.#servePath(request, user);
    };
    return isPromise(decision) ? decision.then(go) : go(decision);
  }

  async #authenticate(request: ApiRequest, gate: RequestGate | undefined): Promise<UserInfo> {
    const result = await this.#identify(request);
    note(request, result.notes);
    gate?.authenticated(result.user);
    const user = this.#options.impersonator?.impersonate(request.auth, result.user, request.signal, request.info) ?? result.user;
    return isPromise(user) ? await user : user;
  }

  async #identify(request: ApiRequest): Promise<AuthenticationResult> {
    const { authenticator, metrics: { authentication: metrics } } = this.#options;
    const { clock } = this.#services;
    const started = clock.monotonic();
    const ended = (outcome: AuthenticationOutcome): void => metrics.ended(outcome, (clock.monotonic() - started) / 1000);
    try {
      const answer = authenticator.authenticate(request.auth, request.signal);
      const result = isPromise(answer) ? await answer : answer;
      if (!result) throw unauthorized();
      ended('success');
      metrics.user(result.user.name);
      if (result.certificateEnds !== undefined) metrics.certificate((result.certificateEnds - clock.now()) / 1000);
      return result;
    } catch (err) {
      ended(err instanceof StatusError && (err.cause === undefined || err.cause instanceof StatusError) ? 'failure' : 'error');
      throw err;
    }
  }

  #permit({ info, auditAnnotations }: ApiRequest, user: UserInfo, result: AuthorizationResult): void {
    auditAnnotations.set('authorization.k8s.io/decision', result.decision === 'allow' ? 'allow' : 'forbid');
    auditAnnotations.set('authorization.k8s.io/reason', result.reason);
    if (result.decision !== 'allow') throw forbiddenError({ ...info, user }, result.reason);
  }

  async #servePath(request: ApiRequest, user: UserInfo): Promise<ApiResult> {
    const [, root, group = '', version = ''] = request.info.path.split('/');
    const delegate = root === 'apis' && version !== '' ? this.#services.resources.delegate(group, version) : undefined;
    if (delegate) return delegate.handle(request, { user });
    const answer = await this.#options.paths(request, user);
    if (!answer) throw root === 'api' || root === 'version' || (root === 'apis' && this.#hasGroup(group)) ? pathNotFound() : new PageNotFound();
    return answer;
  }

  #hasGroup(group: string): boolean {
    const { resources } = this.#services;
    return resources.all().some((r) => r.info.group === group) || resources.delegates().some((d) => d.group === group);
  }
  #serveResource(request: ApiRequest, user: UserInfo): MaybePromise<ApiResult> {
    const { info } = request;
    const { resources } = this.#services;
    const delegate = resources.delegate(info.apiGroup, info.apiVersion);
    if (delegate) return delegate.handle(request, { user });
    const served = resources.find(info.apiGroup, info.apiVersion, info.resource);
    if (!served) throw this.#hasGroup(info.apiGroup) ? pathNotFound() : new PageNotFound();
    const sub = checkRoute(request, served);
    request.checkAcceptable?.(served);
    const ctx = new RequestContext(request, user, served, this.#services);
    for (const warning of served.warnings ?? []) ctx.warn(warning);
    if (served.warnings?.length) ctx.annotate('k8s.io/deprecated', 'true');
    if (!sub) return served.virtual ? served.virtual(ctx) : serveVerb(ctx);
    const handler = served.subresources.get(sub.name);
    if (!handler) throw pathNotFound();
    return handler(ctx);
  }
}

/** Whether such a path and verb exist for the resource; the subresource's row where the path names one. */
function checkRoute(request: ApiRequest, served: ServedResource): Subresource | undefined {
  const { info } = request;
  const { info: resource } = served;
  if (request.method === 'HEAD' && info.subresource !== 'proxy') throw verbNotAllowed();
  const namesObject = info.verb !== 'list' && info.verb !== 'deletecollection' && info.name !== '' && info.verb !== 'watch';
  const isNamespace = resource.plural === 'namespaces' && resource.group === '';
  if (request.tooLong || (info.namespace !== '' && !resource.namespaced && !isNamespace)) throw pathNotFound();
  if (info.subresource !== '') {
    const sub = resource.subresources.find((s) => s.name === info.subresource);
    if (!sub || (resource.namespaced && info.namespace === '')) throw pathNotFound();
    // Every method passes the proxy; that of OPTIONS has no verb.
    if (!sub.verbs.includes(info.verb) && !(sub.name === 'proxy' && request.method === 'OPTIONS')) throw verbNotAllowed();
    return sub;
  }
  if (!resource.verbs.includes(info.verb)) throw verbNotAllowed();
  if (resource.namespaced && info.namespace === '' && namesObject) throw pathNotFound();
  // Only reads and collections may span namespaces; POST and PUT need the object's own path.
  if (info.verb === 'create' ? info.name !== '' || (resource.namespaced && info.namespace === '') : !namesObject && ['get', 'update', 'patch', 'delete'].includes(info.verb)) throw verbNotAllowed();
  return undefined;
}
