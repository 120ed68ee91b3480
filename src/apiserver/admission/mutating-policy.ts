/** MutatingAdmissionPolicy: changes in CEL, as JSON patches or apply configurations. Source: KEP-3962; the Kubernetes page "Mutating Admission Policy". */
import type * as admissionregistrationV1 from '#api/gen/admissionregistration-v1.ts';
import { nameOf, namespaceOf, type KubeObject } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { applyJsonPatch } from '#machinery/patch/json-patch.ts';
import { REASON_CODES, StatusError } from '#machinery/status-error.ts';
import type { AdmissionAttributes, AdmissionPlugin, MutableAdmissionAttributes } from '../interfaces.ts';
import { matchResources, questionOf, type Match } from './equivalents.ts';
import { NO_VARIABLES, RUNTIME_COST_BUDGET, type ExpressionBudget } from './expressions.ts';
import { evaluateMatchConditions } from './match-conditions.ts';
import { isExempt } from './matching.ts';
import { policyErrorOf, UNMEASURED, type PolicyErrorType } from './metrics.ts';
import { replaceObject, type Normaliser } from './mutating-webhook.ts';
import { messageOf, policyActivation, type PolicyServices } from './policy/activation.ts';
import { PolicyList, type BoundPolicy } from './policy/bindings.ts';
import { collectParams, type ResourceResolver } from './policy/params.ts';
import { oneOf, refusal } from './refusal.ts';
import { reinvocationOf, scheduleAgain } from './reinvocation.ts';

type Policy = admissionregistrationV1.MutatingAdmissionPolicy;
type Binding = admissionregistrationV1.MutatingAdmissionPolicyBinding;
const GROUP = 'admissionregistration.k8s.io';
const RESOURCES = { policies: resourceOf(GROUP, 'v1', 'mutatingadmissionpolicies'), bindings: resourceOf(GROUP, 'v1', 'mutatingadmissionpolicybindings') };

export interface MutatingPolicyOptions extends PolicyServices {
  readonly resolve: ResourceResolver;
  readonly normalise?: Normaliser;
  /** Merges an apply configuration (an object with some fields) into the request's object by the rules of server-side apply. */
  readonly applyConfiguration: (object: KubeObject, configuration: unknown, a: AdmissionAttributes) => KubeObject;
}

export class MutatingPolicy implements AdmissionPlugin {
  readonly name = 'MutatingAdmissionPolicy';
  readonly handles = oneOf('CREATE', 'UPDATE', 'CONNECT');
  readonly #options: MutatingPolicyOptions;
  readonly #list: PolicyList<Policy, Binding>;
  constructor(options: MutatingPolicyOptions) {
    this.#options = options;
    this.#list = new PolicyList(options.reader, RESOURCES);
  }
  stop(): void {
    this.#list.stop();
  }
  admit(a: MutableAdmissionAttributes, signal: AbortSignal): void | Promise<void> {
    const { policies } = this.#list;
    return policies.length === 0 || isExempt(a) ? undefined : this.#all(policies, a, signal);
  }
  async #all(policies: readonly BoundPolicy<Policy, Binding>[], a: MutableAdmissionAttributes, signal: AbortSignal): Promise<void> {
    const { isReinvoke, state } = reinvocationOf(a, this.name);
    if (isReinvoke && state.output !== JSON.stringify(a.object)) scheduleAgain(state);
    for (const { policy, bindings } of policies) {
      const match = matchResources(policy.spec.matchConstraints, a, this.#options);
      if (!match) continue;
      for (const binding of bindings) {
        if (!matchResources(binding.spec.matchResources, a, this.#options)) continue;
        await this.#attempt(policy, binding, a, async () => {
          for (const param of await collectParams(policy.spec.paramKind, binding.spec.paramRef, a.namespace, this.#options)) await this.#invoke(policy, binding, param, { a, match }, signal);
        });
      }
    }
    state.output = JSON.stringify(a.object);
  }
  /** Failures of configuration and evaluation count unless the policy says otherwise; refusals always do. */
  async #attempt(policy: Policy, binding: Binding, a: AdmissionAttributes, run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (err) {
      if (err instanceof StatusError) throw err;
      if (policy.spec.failurePolicy === 'Ignore') return;
      const text = `policy '${nameOf(policy)}' with binding '${nameOf(binding)}' denied request: ${messageOf(err)}`;
      const { status } = refusal(a, text);
      throw new StatusError({ ...status, reason: 'Invalid', code: REASON_CODES.Invalid, details: { ...status.details, causes: [...(status.details?.causes ?? []), { message: text }] } }, err);
    }
  }
  async #invoke(policy: Policy, binding: Binding, param: KubeObject | null, { a, match }: { readonly a: MutableAdmissionAttributes; readonly match: Match }, signal: AbortSignal): Promise<void> {
    const { spec } = policy;
    const { isReinvoke, state, request } = reinvocationOf(a, this.name);
    const hasParams = spec.paramKind !== undefined;
    const { attributes: asked, converted, back } = await questionOf(a, match);
    const activate = (budget: ExpressionBudget) => policyActivation(asked, a, param, { variables: spec.variables, hasParams }, this.#options, budget, signal);
    if (spec.matchConditions?.length) {
      const outcome = await evaluateMatchConditions(spec.matchConditions, this.#options.compiler, activate({ remaining: RUNTIME_COST_BUDGET }), { params: hasParams, failurePolicy: spec.failurePolicy ?? 'Fail', name: nameOf(policy), kind: 'policy', type: 'admit', operation: a.operation, measured: this.#options.measured }, signal);
      if (outcome.error !== undefined) throw new Error(outcome.error);
      if (!outcome.matches) return;
    }
    const id = [nameOf(policy), nameOf(binding), param ? `${namespaceOf(param)}/${nameOf(param)}` : ''].join(' ');
    if (isReinvoke && !state.again.has(id)) return;
    let changed = false;
    for (const mutation of asked.object ? (spec.mutations ?? []) : []) {
      // Each mutation sees what the one before made of the object, so its variables are computed anew.
      const budget: ExpressionBudget = { remaining: RUNTIME_COST_BUDGET };
      const next = await this.#measured(policy, binding, () => this.#mutated(policy, mutation, asked, activate(budget), budget, signal));
      changed = replaceObject(asked, this.#options.normalise?.(next, asked) ?? next) || changed;
    }
    if (changed && converted) replaceObject(a, await back(asked.object!));
    if (changed) {
      scheduleAgain(state);
      request();
    }
    if (spec.reinvocationPolicy === 'IfNeeded') state.reinvocable.add(id);
  }
  async #measured<T>(policy: Policy, binding: Binding, run: () => Promise<T>): Promise<T> {
    const { clock, metrics } = this.#options.measured ?? UNMEASURED;
    const started = clock.monotonic();
    const ended = (error: PolicyErrorType): void => metrics.mutation({ policy: nameOf(policy), binding: nameOf(binding), error, seconds: (clock.monotonic() - started) / 1000 });
    try {
      const made = await run();
      ended('no_error');
      return made;
    } catch (err) {
      ended(policyErrorOf(messageOf(err)));
      throw err;
    }
  }
  async #mutated(policy: Policy, mutation: admissionregistrationV1.Mutation, a: MutableAdmissionAttributes, activation: ReturnType<typeof policyActivation>, budget: ExpressionBudget, signal: AbortSignal): Promise<KubeObject> {
    const scope = { params: policy.spec.paramKind !== undefined, authorizer: true, variables: policy.spec.variables ?? NO_VARIABLES };
    const { compiler, applyConfiguration } = this.#options;
    if (mutation.patchType === 'JSONPatch') {
      const patch = await compiler.compile(mutation.jsonPatch?.expression ?? '', { ...scope, returns: 'jsonPatch' }).evaluate(activation, budget, signal);
      return applyJsonPatch(a.object, patch) as KubeObject;
    }
    const configuration = await compiler.compile(mutation.applyConfiguration?.expression ?? '', { ...scope, returns: 'applyConfiguration' }).evaluate(activation, budget, signal);
    return applyConfiguration(a.object as KubeObject, configuration, a);
  }
}
