/** The webhook authorizer: asks another server with a SubjectAccessReview. Source: the Kubernetes page "Webhook Mode". */
import type * as authorizationV1 from '#api/gen/authorization-v1.ts';
import type { Clock } from '#base/clock.ts';
import { BoundedCache } from '../authentication/bounded-cache.ts';
import type { AuthorizationAttributes, AuthorizationResult, Authorizer, MaybePromise, RuleResolver, SubjectRules } from '../interfaces.ts';
import type { WebhookClient, WebhookTarget } from '../webhook/client.ts';

const MAX_REMEMBERED = 8192;
const TIMEOUT_MS = 30_000;

export interface WebhookAuthorizerOptions {
  readonly client: WebhookClient;
  readonly target: WebhookTarget;
  /** How long a yes is remembered. Default 5 minutes. */
  readonly authorizedTtlMs?: number;
  /** How long a no is remembered. Default 30 seconds. */
  readonly unauthorizedTtlMs?: number;
  /** What a webhook that does not answer means. Default `noOpinion`. */
  readonly onError?: 'noOpinion' | 'deny';
  readonly clock: Clock;
}

export class WebhookAuthorizer implements Authorizer, RuleResolver {
  readonly #options: WebhookAuthorizerOptions;
  readonly #yes: BoundedCache<AuthorizationResult>;
  readonly #no: BoundedCache<AuthorizationResult>;
  constructor(options: WebhookAuthorizerOptions) {
    this.#options = options;
    this.#yes = new BoundedCache({ max: MAX_REMEMBERED, ttlMs: options.authorizedTtlMs ?? 5 * 60_000, clock: options.clock });
    this.#no = new BoundedCache({ max: MAX_REMEMBERED, ttlMs: options.unauthorizedTtlMs ?? 30_000, clock: options.clock });
  }
  authorize(attributes: AuthorizationAttributes, signal: AbortSignal): MaybePromise<AuthorizationResult> {
    const spec = specOf(attributes);
    const key = JSON.stringify(spec);
    return this.#yes.get(key) ?? this.#no.get(key) ?? this.#ask(spec, key, signal);
  }
  rulesFor(): SubjectRules {
    return { resourceRules: [], nonResourceRules: [], incomplete: true, evaluationError: 'webhook authorizer does not support user rule resolution' };
  }
  async #ask(spec: authorizationV1.SubjectAccessReviewSpec, key: string, signal: AbortSignal): Promise<AuthorizationResult> {
    const { client, target, onError = 'noOpinion' } = this.#options;
    const body: authorizationV1.SubjectAccessReview = { kind: 'SubjectAccessReview', apiVersion: 'authorization.k8s.io/v1', metadata: {}, spec };
    let status: authorizationV1.SubjectAccessReviewStatus | undefined;
    try {
      status = ((await client.post(target, { body, timeoutMs: TIMEOUT_MS, signal })) as authorizationV1.SubjectAccessReview).status;
    } catch (err) {
      return { decision: onError, reason: '', error: err instanceof Error ? err.message : String(err) };
    }
    const { allowed = false, denied = false, reason = '' } = status ?? {};
    if (allowed && denied) return { decision: 'deny', reason, error: 'webhook subject access review returned both allow and deny response' };
    const result: AuthorizationResult = { decision: allowed ? 'allow' : denied ? 'deny' : 'noOpinion', reason };
    (allowed ? this.#yes : this.#no).set(key, result);
    return result;
  }
}
function specOf(a: AuthorizationAttributes): authorizationV1.SubjectAccessReviewSpec {
  const { user } = a;
  const what = a.isResourceRequest
    ? {
        resourceAttributes: {
          namespace: a.namespace, verb: a.verb, group: a.apiGroup, version: a.apiVersion, resource: a.resource, subresource: a.subresource, name: a.name,
          ...(a.fieldSelector ? { fieldSelector: { rawSelector: a.fieldSelector } } : {}), ...(a.labelSelector ? { labelSelector: { rawSelector: a.labelSelector } } : {}),
        },
      }
    : { nonResourceAttributes: { path: a.path, verb: a.verb } };
  return { ...what, user: user.name, groups: user.groups, ...(user.uid ? { uid: user.uid } : {}), ...(user.extra ? { extra: user.extra } : {}) };
}
