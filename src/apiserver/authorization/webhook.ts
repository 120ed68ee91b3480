/** The webhook authorizer: asks another server with a SubjectAccessReview. Source: the Kubernetes page "Webhook Mode". */
import type * as authorizationV1 from '#api/gen/authorization-v1.ts';
import type { Clock } from '#base/clock.ts';
import { BoundedCache } from '../authentication/bounded-cache.ts';
import type { AuthorizationAttributes, AuthorizationResult, Authorizer, MaybePromise, RuleResolver, SubjectRules } from '../interfaces.ts';
import type { RemoteWebhook } from '../webhook/kubeconfig.ts';
import { matches } from './match.ts';
import { reviewSpec, v1beta1Spec } from './review-spec.ts';
import type { Expression } from '../configuration/expressions.ts';

const MAX_REMEMBERED = 8192;
/** Longer questions are not remembered: whoever asks them chooses how long they are. */
const MAX_REMEMBERED_LENGTH = 10_000;

export interface WebhookAuthorizerOptions {
  readonly webhook: RemoteWebhook;
  readonly clock: Clock;
  /** Of each try. Default 30 s. */
  readonly timeoutMs?: number;
  /** How long a yes is remembered; 0: not at all. Default 5 minutes. */
  readonly authorizedTtlMs?: number;
  /** How long a no is remembered; 0: not at all. Default 30 seconds. */
  readonly unauthorizedTtlMs?: number;
  /** What a webhook that does not answer means. Default `noOpinion`. */
  readonly onError?: 'noOpinion' | 'deny';
  /** The webhook is asked only when all are true. */
  readonly matchConditions?: readonly Expression[];
  /** Of the SubjectAccessReview. Default `v1`. */
  readonly version?: 'v1' | 'v1beta1';
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
    const { matchConditions = [], onError = 'noOpinion' } = this.#options;
    const spec = reviewSpec(attributes);
    const match = matches(matchConditions, spec);
    if (match.error !== undefined) return { decision: onError, reason: '', error: match.error };
    if (!match.matches) return { decision: 'noOpinion', reason: '' };
    const key = JSON.stringify(spec);
    return this.#yes.get(key) ?? this.#no.get(key) ?? this.#ask(spec, key, signal);
  }
  close(): void {
    this.#options.webhook.close();
  }
  rulesFor(): SubjectRules {
    return { resourceRules: [], nonResourceRules: [], incomplete: true, evaluationError: 'webhook authorizer does not support user rule resolution' };
  }
  async #ask(spec: authorizationV1.SubjectAccessReviewSpec, key: string, signal: AbortSignal): Promise<AuthorizationResult> {
    const { webhook, onError = 'noOpinion', timeoutMs = 30_000, version = 'v1' } = this.#options;
    const body = { kind: 'SubjectAccessReview', apiVersion: `authorization.k8s.io/${version}`, metadata: {}, spec: version === 'v1' ? spec : v1beta1Spec(spec) };
    let status: authorizationV1.SubjectAccessReviewStatus | undefined;
    try {
      status = ((await webhook.post(body, { timeoutMs, signal })) as authorizationV1.SubjectAccessReview).status;
    } catch (err) {
      return { decision: onError, reason: '', error: err instanceof Error ? err.message : String(err) };
    }
    const { allowed = false, denied = false, reason = '' } = status ?? {};
    if (allowed && denied) return { decision: 'deny', reason, error: 'webhook subject access review returned both allow and deny response' };
    const result: AuthorizationResult = { decision: allowed ? 'allow' : denied ? 'deny' : 'noOpinion', reason };
    if (key.length <= MAX_REMEMBERED_LENGTH) (allowed ? this.#yes : this.#no).set(key, result);
    return result;
  }
}
