/**
 * What admission costs and refuses, under upstream's names. Series are found once by their labels; the text is made when somebody scrapes.
 * Source: the Kubernetes Metrics Reference; upstream's `admission/metrics` and `plugin/policy/…/metrics`.
 */
import type { Clock } from '#base/clock.ts';
import type { AdmissionOperation } from '../interfaces.ts';
import { Counters, Histograms } from '../http/metric-families.ts';
import type { Buckets } from '../http/request-metrics.ts';

/** `validating` is what upstream calls the phase where it counts webhooks. */
export type Phase = 'admit' | 'validate';
type WebhookPhase = 'admit' | 'validating';
export type WebhookErrorType = 'calling_webhook_error' | 'apiserver_internal_error' | 'no_error';
export type PolicyErrorType = 'no_error' | 'compile_error' | 'invalid_error' | 'out_of_budget';
export type EnforcementAction = 'allow' | 'deny' | 'audit' | 'warn';

const SECONDS = [0.005, 0.025, 0.1, 0.5, 1, 2.5];
const WEBHOOK_SECONDS = [...SECONDS, 10, 25];
const CHECK_SECONDS = [0.0000005, 0.001, 0.01, 0.1, 1];
/** Webhooks choose their codes: more than these are one. */
const MAX_CODE = 600;
const codeText = (code: number): string => String(Math.min(code, MAX_CODE));

/** What a webhook or policy with match conditions is called in metrics. */
export interface Conditioned {
  readonly name: string;
  readonly kind: 'webhook' | 'policy';
  readonly type: WebhookPhase | 'validate';
  readonly operation: AdmissionOperation;
}
export interface PolicyCheck {
  readonly policy: string;
  readonly binding: string;
  readonly error: PolicyErrorType;
  readonly seconds: number;
}

/** As metrics show it: the version is `latest`, `v1.25`, or `future` for one that is not known yet. */
export interface PodSecurityLevel {
  readonly level: string;
  readonly version: string;
}

export class AdmissionMetrics {
  readonly #steps = new Histograms('apiserver_admission_step_admission_duration_seconds', 'Admission sub-step latency histogram in seconds, broken out for each operation and API resource and step type (validate or admit).', SECONDS);
  readonly #controllers = new Histograms('apiserver_admission_controller_admission_duration_seconds', 'Admission controller latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).', SECONDS);
  readonly #webhooks = new Histograms('apiserver_admission_webhook_admission_duration_seconds', 'Admission webhook latency histogram in seconds, identified by name and broken out for each operation and API resource and type (validate or admit).', WEBHOOK_SECONDS);
  readonly #webhookRequests = new Counters('apiserver_admission_webhook_request_total', 'Admission webhook request total, identified by name and broken out for each admission type and operation, with the HTTP status code and whether the request was rejected.');
  readonly #webhookRejections = new Counters('apiserver_admission_webhook_rejection_count', 'Admission webhook rejection count, identified by name and broken out for each admission type and operation, with an error type and the rejection code.');
  readonly #failOpen = new Counters('apiserver_admission_webhook_fail_open_count', 'Admission webhook fail open count, identified by name and broken out for each admission type.');
  readonly #conditions = new Histograms('apiserver_admission_match_condition_evaluation_seconds', 'Admission match condition evaluation time in seconds, identified by name and broken out for each kind containing matchConditions (webhook or policy), operation and type.', SECONDS);
  readonly #conditionErrors = new Counters('apiserver_admission_match_condition_evaluation_errors_total', 'Admission match condition evaluation errors count, identified by name and broken out for each kind containing matchConditions (webhook or policy), operation and type.');
  readonly #exclusions = new Counters('apiserver_admission_match_condition_exclusions_total', 'Admission match condition evaluation exclusions count, identified by name and broken out for each kind containing matchConditions (webhook or policy), operation and type.');
  readonly #checks = new Counters('apiserver_validating_admission_policy_check_total', 'Validation admission policy check total, labeled by policy and further identified by binding and enforcement action taken.');
  readonly #checkSeconds = new Histograms('apiserver_validating_admission_policy_check_duration_seconds', 'Validation admission latency for individual validation expressions in seconds, labeled by policy and further including binding and enforcement action taken.', CHECK_SECONDS);
  readonly #mutations = new Counters('apiserver_mutating_admission_policy_check_total', 'Mutation admission policy check total, labeled by policy and further identified by binding.');
  readonly #mutationSeconds = new Histograms('apiserver_mutating_admission_policy_check_duration_seconds', 'Mutation admission latency for individual mutation expressions in seconds, labeled by policy and binding.', CHECK_SECONDS);
  readonly #podSecurity = new Counters('pod_security_evaluations_total', 'Number of policy evaluations that occurred, not counting ignored or exempt requests.');
  readonly #podSecurityExemptions = new Counters('pod_security_exemptions_total', 'Number of exempt requests, not counting ignored or out of scope requests.');

  step(type: Phase, operation: AdmissionOperation, rejected: boolean): Buckets {
    return this.#steps.of({ operation, rejected: String(rejected), type });
  }
  controller(name: string, type: Phase, operation: AdmissionOperation, rejected: boolean): Buckets {
    return this.#controllers.of({ name, operation, rejected: String(rejected), type });
  }
  /** `code`: of the webhook's answer; 200 where it allowed. */
  webhook(name: string, type: WebhookPhase, operation: AdmissionOperation, call: { readonly rejected: boolean; readonly code: number; readonly seconds: number }): void {
    const labels = { name, operation, rejected: String(call.rejected), type };
    this.#webhookRequests.inc({ code: codeText(call.code), ...labels });
    this.#webhooks.of(labels).observe(call.seconds);
  }
  webhookRejection(name: string, type: WebhookPhase, operation: AdmissionOperation, error: WebhookErrorType, code: number): void {
    this.#webhookRejections.inc({ error_type: error, name, operation, rejection_code: codeText(code), type });
  }
  failOpen(name: string, type: WebhookPhase): void {
    this.#failOpen.inc({ name, type });
  }
  conditions({ name, kind, type, operation }: Conditioned, outcome: 'match' | 'exclusion' | 'error', seconds: number): void {
    const labels = { kind, name, operation, type };
    this.#conditions.of(labels).observe(seconds);
    if (outcome === 'exclusion') this.#exclusions.inc(labels);
    if (outcome === 'error') this.#conditionErrors.inc(labels);
  }
  check({ policy, binding, error, seconds }: PolicyCheck, action: EnforcementAction): void {
    const labels = { enforcement_action: action, error_type: error, policy, policy_binding: binding };
    this.#checks.inc(labels);
    this.#checkSeconds.of(labels).observe(seconds);
  }
  mutation({ policy, binding, error, seconds }: PolicyCheck): void {
    const labels = { error_type: error, policy, policy_binding: binding };
    this.#mutations.inc(labels);
    this.#mutationSeconds.of(labels).observe(seconds);
  }
  podSecurity(decision: 'allow' | 'deny', { level, version }: PodSecurityLevel, mode: string, request: Readonly<Record<'operation' | 'resource' | 'subresource', string>>): void {
    this.#podSecurity.inc({ decision, mode, policy_level: level, policy_version: version, request_operation: request.operation, resource: request.resource, subresource: request.subresource });
  }
  podSecurityExemption({ operation, resource, subresource }: Readonly<Record<'operation' | 'resource' | 'subresource', string>>): void {
    this.#podSecurityExemptions.inc({ request_operation: operation, resource, subresource });
  }
  text(): string {
    const all = [
      this.#steps, this.#controllers, this.#webhooks, this.#webhookRequests, this.#webhookRejections, this.#failOpen, this.#conditions, this.#conditionErrors, this.#exclusions, this.#checks, this.#checkSeconds,
      this.#mutations, this.#mutationSeconds, this.#podSecurity, this.#podSecurityExemptions,
    ];
    return all.map((family) => family.text()).filter((text) => text !== '').join('\n');
  }
}

/** What measures, and where it is counted. */
export interface Measured {
  readonly clock: Pick<Clock, 'monotonic'>;
  readonly metrics: AdmissionMetrics;
}
/** For plugins that are used alone: nobody reads what they count. */
export const UNMEASURED: Measured = { clock: { monotonic: () => 0 }, metrics: new AdmissionMetrics() };

/** What kind of error the message of a failed expression tells of, as upstream reads it too. */
export function policyErrorOf(message: string): PolicyErrorType {
  if (message.startsWith('compilation')) return 'compile_error';
  return message.startsWith('validation failed due to running out of cost budget') ? 'out_of_budget' : 'invalid_error';
}
