/** MutatingAdmissionPolicy: changes in CEL, as JSON patches or apply configurations. Source: KEP-3962; the Kubernetes page "Mutating Admission Policy". */
import type * as admissionregistrationV1 from '#api/gen/admissionregistration-v1.ts';
import { nameOf, namespaceOf, type KubeObject } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import type { JsonObject } from '#machinery/patch/json.ts';
import { JsonPatchError, runJsonPatch } from '#machinery/patch/json-patch.ts';
import { StatusError } from '#machinery/status-error.ts';
import type { AdmissionAttributes, AdmissionPlugin, MutableAdmissionAttributes } from '../interfaces.ts';
import { matchResources, questionOf, type Match } from './equivalents.ts';
import { NO_VARIABLES, RUNTIME_COST_BUDGET, type ExpressionBudget } from './expressions.ts';
import { evaluateMatchConditions } from './match-conditions.ts';
import { isExempt } from './matching.ts';
import { policyErrorOf, UNMEASURED, type PolicyErrorType } from './metrics.ts';
import { replaceObject } from './mutating-webhook.ts';
import type { Normaliser } from './mutations.ts';
import { messageOf, policyActivation, type PolicyServices } from './policy/activation.ts';
import { PolicyList, type BoundPolicy } from './policy/bindings.ts';
import { collectParams, paramKindFault, type ResourceResolver } from './policy/params.ts';
import { oneOf, refusal } from './refusal.ts';
import { reinvocationOf, scheduleAgain } from './reinvocation.ts';

type Policy = admissionregistrationV1.MutatingAdmissionPolicy;
type Binding = admissionregistrationV1.MutatingAdmissionPolicyBinding;
const GROUP = 'admissionregistration.k8s.io';
const RESOURCES = { policies: resourceOf(GROUP, 'v1', 'mutatingadmissionpolicies'), bindings: resourceOf(GROUP, 'v1', 'mutatingadmissionpolicybindings') };

/** A policy that is to be evaluated for a request, by one of its bindings with one object of parameters. */
interface Invocation {
  readonly policy: Policy;
  readonly binding: Binding;
  readonly param: KubeObject | null;
  readonly match: Match;
}
/** Why a policy could not be evaluated. It counts unless the policy says otherwise. */
interface Failure {
  readonly policy: Policy;
  /** Absent: the policy itself is at fault. */
  readonly binding?: Binding;
  readonly why: string;
  /** Of the answer, where it is not `Forbidden`. */
  readonly reason?: 'Invalid';
}
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
    const failures: Failure[] = [];
    const invocations = await this.#invocations(policies, a, failures);
    if (invocations.length > 0) await this.#run(invocations, a, failures, signal);
    const counted = failures.filter(({ policy }) => policy.spec.failurePolicy !== 'Ignore');
    if (counted.length > 0) throw denied(a, counted);
  }
  /** Every policy with each of its bindings and their parameters, as far as they concern the request. */
  async #invocations(policies: readonly BoundPolicy<Policy, Binding>[], a: AdmissionAttributes, failures: Failure[]): Promise<Invocation[]> {
    const found: Invocation[] = [];
    for (const { policy, bindings } of policies) {
      const match = matchResources(policy.spec.matchConstraints, a, this.#options);
      if (!match) continue;
      const fault = paramKindFault(policy.spec.paramKind, this.#options);
      if (fault !== undefined) failures.push({ policy, why: fault });
      for (const binding of fault === undefined ? bindings : []) {
        if (!matchResources(binding.spec.matchResources, a, this.#options)) continue;
        try {
          const params = await collectParams(policy.spec.paramKind, binding.spec.paramRef, a.namespace, this.#options);
          found.push(...params.map((param) => ({ policy, binding, param, match })));
        } catch (err) {
          failures.push({ policy, binding, why: `failed to configure binding: ${messageOf(err)}` });
        }
      }
    }
    return found;
  }
  async #run(invocations: readonly Invocation[], a: MutableAdmissionAttributes, failures: Failure[], signal: AbortSignal): Promise<void> {
    const { isReinvoke, state, request } = reinvocationOf(a, this.name);
    if (isReinvoke && state.output !== JSON.stringify(a.object)) scheduleAgain(state);
    let mutated = false;
    for (const invocation of invocations) mutated = (await this.#invoke(invocation, a, failures, signal)) || mutated;
    // Who asked for it is called once more, whatever came of the first time.
    if (mutated) {
      scheduleAgain(state);
      request();
    }
    state.output = JSON.stringify(a.object);
  }
  /** True when a mutation was evaluated and its outcome put in place. A mutation that fails is left out; those after it go on. */
  async #invoke({ policy, binding, param, match }: Invocation, a: MutableAdmissionAttributes, failures: Failure[], signal: AbortSignal): Promise<boolean> {
    const { spec } = policy;
    const { isReinvoke, state, request } = reinvocationOf(a, this.name);
    const failed = (why: string): void => void failures.push({ policy, binding, why, reason: 'Invalid' });
    const hasParams = spec.paramKind !== undefined;
    const { attributes: asked, converted, back } = await questionOf(a, match);
    const activate = (budget: ExpressionBudget) => policyActivation(asked, a, param, { variables: spec.variables, hasParams }, this.#options, budget, signal);
    if (spec.matchConditions?.length) {
      const outcome = await evaluateMatchConditions(spec.matchConditions, this.#options.compiler, activate({ remaining: RUNTIME_COST_BUDGET }), { params: hasParams, failurePolicy: spec.failurePolicy ?? 'Fail', name: nameOf(policy), kind: 'policy', type: 'admit', operation: a.operation, measured: this.#options.measured }, signal);
      if (outcome.error !== undefined) failed(outcome.error);
      if (outcome.error !== undefined || !outcome.matches) return false;
    }
    const id = [nameOf(policy), nameOf(binding), param ? `${namespaceOf(param)}/${nameOf(param)}` : ''].join(' ');
    if (isReinvoke && !state.again.has(id)) return false;
    let [mutated, changed] = [false, false];
    for (const mutation of asked.object ? (spec.mutations ?? []) : []) {
      // Each mutation sees what the one before made of the object, so its variables are computed anew.
      const budget: ExpressionBudget = { remaining: RUNTIME_COST_BUDGET };
      try {
        const next = await this.#measured(policy, binding, () => this.#mutated(policy, mutation, asked, activate(budget), budget, signal));
        changed = replaceObject(asked, next) || changed;
        mutated = true;
      } catch (err) {
        if (err instanceof StatusError) throw err;
        failed(messageOf(err));
      }
    }
    if (changed && converted) replaceObject(a, await back(asked.object!));
    if (changed) {
      scheduleAgain(state);
      request();
    }
    if (spec.reinvocationPolicy === 'IfNeeded') state.reinvocable.add(id);
    return mutated;
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
    const { compiler, applyConfiguration, normalise = (object) => object } = this.#options;
    if (mutation.patchType === 'JSONPatch') {
      const patch = await compiler.compile(mutation.jsonPatch?.expression ?? '', { ...scope, returns: 'jsonPatch' }).evaluate(activation, budget, signal);
      return normalise(patched(a.object as KubeObject, patch), a, true);
    }
    const configuration = await compiler.compile(mutation.applyConfiguration?.expression ?? '', { ...scope, returns: 'applyConfiguration' }).evaluate(activation, budget, signal);
    return normalise(applyConfiguration(a.object as KubeObject, configuration, a), a);
  }
}

/** The object after the operations; as it was where one of them tests it and finds it another one. */
function patched(object: KubeObject, operations: unknown): KubeObject {
  try {
    return runJsonPatch(object, operations as readonly JsonObject[]) as KubeObject;
  } catch (err) {
    if (!(err instanceof JsonPatchError)) throw err;
    if (err.testFailed) return object;
    throw new Error(`JSON Patch: ${err.message}`, { cause: err });
  }
}
/** 403 with the reason and the message of the first failure, and all of them as its causes. */
function denied(a: AdmissionAttributes, failures: readonly Failure[]): StatusError {
  const causes = failures.map(({ policy, binding, why }) => ({ message: `policy '${nameOf(policy)}'${binding ? ` with binding '${nameOf(binding)}'` : ''} denied request: ${why}` }));
  const { status } = refusal(a, 'admission request denied by policy');
  const reason = failures[0]!.reason ?? status.reason!;
  return new StatusError({ ...status, message: causes[0]!.message, reason, details: { ...status.details, causes: [...(status.details?.causes ?? []), ...causes] } });
}
