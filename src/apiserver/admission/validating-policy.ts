/** ValidatingAdmissionPolicy: rules in CEL that say yes or no. Source: KEP-3488; the Kubernetes page "Validating Admission Policy". */
import type * as admissionregistrationV1 from '#api/gen/admissionregistration-v1.ts';
import { nameOf, type KubeObject } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { REASON_CODES, StatusError, type StatusReason } from '#machinery/status-error.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../interfaces.ts';
import { matchResources, questionOf, type Match } from './equivalents.ts';
import { NO_VARIABLES, RUNTIME_COST_BUDGET, type ExpressionActivation, type ExpressionBudget, type ExpressionScope } from './expressions.ts';
import { evaluateMatchConditions } from './match-conditions.ts';
import { isExempt } from './matching.ts';
import { policyErrorOf, UNMEASURED, type AdmissionMetrics, type EnforcementAction } from './metrics.ts';
import { messageOf, policyActivation, type PolicyServices } from './policy/activation.ts';
import { PolicyList, type BoundPolicy } from './policy/bindings.ts';
import { collectParams, paramKindFault, type ResourceResolver } from './policy/params.ts';
import { oneOf, refusal } from './refusal.ts';

type Policy = admissionregistrationV1.ValidatingAdmissionPolicy;
type Binding = admissionregistrationV1.ValidatingAdmissionPolicyBinding;
const GROUP = 'admissionregistration.k8s.io';
const RESOURCES = { policies: resourceOf(GROUP, 'v1', 'validatingadmissionpolicies'), bindings: resourceOf(GROUP, 'v1', 'validatingadmissionpolicybindings') };
const MAX_MESSAGE_BYTES = 5 * 1024;
const MAX_ANNOTATION_BYTES = 10 * 1024;
const MAX_FAILURES = 50;

interface Denial {
  readonly policy: string;
  readonly binding?: string;
  readonly message: string;
  readonly reason?: string | undefined;
}
interface Decision {
  readonly index: number;
  readonly message: string;
  readonly seconds: number;
  readonly reason?: string | undefined;
}
interface Failure {
  readonly message: string;
  readonly policy: string;
  readonly binding: string;
  readonly expressionIndex: number;
  readonly validationActions: readonly string[];
}
/** A request, and the same as the policy's constraints name it. */
interface Matched {
  readonly a: AdmissionAttributes;
  readonly asked: AdmissionAttributes;
}
interface Names {
  readonly policy: string;
  readonly binding: string;
}
/** What one request gathers. */
interface Findings {
  readonly denials: Denial[];
  readonly failures: Failure[];
}

export class ValidatingPolicy implements AdmissionPlugin {
  readonly name = 'ValidatingAdmissionPolicy';
  readonly handles = oneOf('CREATE', 'UPDATE', 'DELETE', 'CONNECT');
  readonly #services: PolicyServices & { readonly resolve: ResourceResolver };
  readonly #list: PolicyList<Policy, Binding>;
  constructor(options: PolicyServices & { readonly resolve: ResourceResolver }) {
    this.#services = options;
    this.#list = new PolicyList(options.reader, RESOURCES);
  }
  stop(): void {
    this.#list.stop();
  }
  validate(a: AdmissionAttributes, signal: AbortSignal): void | Promise<void> {
    const { policies } = this.#list;
    return policies.length === 0 || isExempt(a) ? undefined : this.#all(policies, a, signal);
  }
  async #all(policies: readonly BoundPolicy<Policy, Binding>[], a: AdmissionAttributes, signal: AbortSignal): Promise<void> {
    const findings: Findings = { denials: [], failures: [] };
    for (const { policy, bindings } of policies) {
      const match = matchResources(policy.spec.matchConstraints, a, this.#services);
      if (!match) continue;
      const fault = paramKindFault(policy.spec.paramKind, this.#services);
      if (fault !== undefined) {
        if (policy.spec.failurePolicy !== 'Ignore') findings.denials.push({ policy: nameOf(policy), message: fault });
        continue;
      }
      const bound = bindings.filter((binding) => matchResources(binding.spec.matchResources, a, this.#services));
      const asked = bound.length ? await this.#asked(policy, a, match, findings) : undefined;
      if (!asked) continue;
      const annotations = new Map<string, Set<string>>();
      for (const binding of bound) await this.#binding(policy, binding, { a, asked }, findings, annotations, signal);
      for (const [key, values] of annotations) a.annotate(`${nameOf(policy)}/${key}`, [...values].join(', '));
    }
    if (findings.failures.length) a.annotate('validation.policy.admission.k8s.io/validation_failure', JSON.stringify(findings.failures.slice(0, MAX_FAILURES)));
    const [first] = findings.denials;
    if (first) throw denied(a, first);
  }
  /** undefined: the object cannot be shown in the version that the policy knows. */
  async #asked(policy: Policy, a: AdmissionAttributes, match: Match, findings: Findings): Promise<AdmissionAttributes | undefined> {
    try {
      return (await questionOf(a, match)).attributes;
    } catch (err) {
      if (policy.spec.failurePolicy !== 'Ignore') findings.denials.push({ policy: nameOf(policy), message: `failed to configure policy: failed to convert object version: ${messageOf(err)}` });
      return undefined;
    }
  }
  async #binding(policy: Policy, binding: Binding, { a, asked }: Matched, findings: Findings, annotations: Map<string, Set<string>>, signal: AbortSignal): Promise<void> {
    const fails = policy.spec.failurePolicy !== 'Ignore';
    const names = { policy: nameOf(policy), binding: nameOf(binding) };
    let params: readonly (KubeObject | null)[];
    try {
      params = await collectParams(policy.spec.paramKind, binding.spec.paramRef, a.namespace, this.#services);
    } catch (err) {
      if (fails) findings.denials.push({ ...names, message: `failed to configure binding: ${messageOf(err)}` });
      return;
    }
    const { metrics } = this.#services.measured ?? UNMEASURED;
    for (const param of params) {
      const budget: ExpressionBudget = { remaining: RUNTIME_COST_BUDGET };
      const activation = policyActivation(asked, a, param, { variables: policy.spec.variables, hasParams: policy.spec.paramKind !== undefined }, this.#services, budget, signal);
      const decisions = await this.#decide(policy, names, a.operation, activation, budget, signal);
      if (decisions === 'does not match') continue;
      for (const decision of decisions) act(binding, decision, names, a, findings, metrics);
      await this.#annotations(policy, activation, annotations, (message, seconds) => {
        if (!fails) return;
        findings.denials.push({ ...names, message });
        metrics.check({ ...names, error: policyErrorOf(message), seconds }, 'deny');
      }, signal);
    }
  }
  async #decide(policy: Policy, names: Names, operation: AdmissionAttributes['operation'], activation: ExpressionActivation, budget: ExpressionBudget, signal: AbortSignal): Promise<readonly Decision[] | 'does not match'> {
    const { spec } = policy;
    const fails = spec.failurePolicy !== 'Ignore';
    const params = spec.paramKind !== undefined;
    if (spec.matchConditions?.length) {
      const outcome = await evaluateMatchConditions(spec.matchConditions, this.#services.compiler, activation, { params, failurePolicy: fails ? 'Fail' : 'Ignore', name: names.policy, kind: 'policy', type: 'validate', operation, measured: this.#services.measured }, signal);
      if (outcome.error !== undefined) return [{ index: 0, message: outcome.error, seconds: 0 }];
      if (!outcome.matches) return 'does not match';
    }
    const variables = spec.variables ?? NO_VARIABLES;
    const decisions: Decision[] = [];
    const { clock, metrics } = this.#services.measured ?? UNMEASURED;
    for (const [index, validation] of (spec.validations ?? []).entries()) {
      const started = clock.monotonic();
      const seconds = (): number => (clock.monotonic() - started) / 1000;
      try {
        const value = await this.#services.compiler.compile(validation.expression, { params, authorizer: true, variables, returns: 'bool' }).evaluate(activation, budget, signal);
        if (value !== true) decisions.push({ index, message: await this.#message(validation, activation, { params, variables }, budget, signal), seconds: seconds(), reason: validation.reason ?? 'Invalid' });
      } catch (err) {
        const message = messageOf(err);
        if (fails) decisions.push({ index, message, seconds: seconds() });
        else metrics.check({ ...names, error: policyErrorOf(message), seconds: seconds() }, 'allow');
      }
    }
    return decisions;
  }
  async #message(validation: admissionregistrationV1.Validation, activation: ExpressionActivation, scope: Pick<ExpressionScope, 'params' | 'variables'>, budget: ExpressionBudget, signal: AbortSignal): Promise<string> {
    let message = '';
    if (validation.messageExpression) {
      try {
        const value = await this.#services.compiler.compile(validation.messageExpression, { ...scope, authorizer: false, returns: 'string' }).evaluate(activation, budget, signal);
        const text = typeof value === 'string' ? value.trim() : '';
        if (!text.includes('\n') && Buffer.byteLength(text) <= MAX_MESSAGE_BYTES) message = text;
      } catch (err) {
        // The fixed message, or the expression itself, says it as well; a budget that is spent is told.
        if (policyErrorOf(messageOf(err)) === 'out_of_budget') throw new Error(`failed messageExpression: ${messageOf(err)}`, { cause: err });
      }
    }
    return message || (validation.message ?? '').trim() || `failed expression: ${validation.expression.trim()}`;
  }
  async #annotations(policy: Policy, activation: ExpressionActivation, annotations: Map<string, Set<string>>, failed: (message: string, seconds: number) => void, signal: AbortSignal): Promise<void> {
    const budget: ExpressionBudget = { remaining: RUNTIME_COST_BUDGET };
    const scope = { params: policy.spec.paramKind !== undefined, authorizer: false, variables: policy.spec.variables ?? NO_VARIABLES, returns: 'stringOrNull' } as const;
    const { clock } = this.#services.measured ?? UNMEASURED;
    for (const { key, valueExpression } of policy.spec.auditAnnotations ?? []) {
      const started = clock.monotonic();
      try {
        const value = await this.#services.compiler.compile(valueExpression, scope).evaluate(activation, budget, signal);
        const text = typeof value === 'string' ? value.trim().slice(0, MAX_ANNOTATION_BYTES) : '';
        if (text !== '') annotations.getOrInsertComputed(key, () => new Set()).add(text);
      } catch (err) {
        failed(messageOf(err), (clock.monotonic() - started) / 1000);
      }
    }
  }
}
function act(binding: Binding, decision: Decision, names: Names, a: AdmissionAttributes, findings: Findings, metrics: AdmissionMetrics): void {
  const { message, reason, index, seconds } = decision;
  for (const action of binding.spec.validationActions) {
    metrics.check({ ...names, error: policyErrorOf(message), seconds }, action.toLowerCase() as EnforcementAction);
    if (action === 'Deny') findings.denials.push({ ...names, message, reason });
    else if (action === 'Warn') a.warn(`Validation failed for ValidatingAdmissionPolicy '${names.policy}' with binding '${names.binding}': ${message}`);
    else if (action === 'Audit') findings.failures.push({ message, ...names, expressionIndex: index, validationActions: binding.spec.validationActions });
  }
}
function denied(a: AdmissionAttributes, { policy, binding, message, reason = 'Invalid' }: Denial): StatusError {
  const text = `ValidatingAdmissionPolicy '${policy}'${binding === undefined ? '' : ` with binding '${binding}'`} denied request: ${message}`;
  const { status } = refusal(a, text);
  const code = REASON_CODES[reason as StatusReason] ?? REASON_CODES.Invalid;
  return new StatusError({ ...status, reason, code, details: { ...status.details, causes: [...(status.details?.causes ?? []), { message: text }] } });
}
