/** MutatingAdmissionWebhook: webhooks that may change the object, one after another. Source: the Kubernetes page "Dynamic Admission Control". */
import { isDeepStrictEqual } from 'node:util';
import type { MutatingWebhook as MutatingWebhookConfig } from '#api/gen/admissionregistration-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { draftOf } from '#base/draft.ts';
import { logger } from '#base/logger.ts';
import { readJson } from '#machinery/json.ts';
import { printedObject } from '#machinery/object-text.ts';
import { applyJsonPatch, JsonPatchError } from '#machinery/patch/json-patch.ts';
import { internalError, timeout } from '#machinery/status-error.ts';
import type { AdmissionPlugin, MutableAdmissionAttributes } from '../interfaces.ts';
import type { Question } from './equivalents.ts';
import { isExempt } from './matching.ts';
import { oneOf } from './refusal.ts';
import { reinvocationOf, scheduleAgain } from './reinvocation.ts';
import type { Normaliser } from './mutations.ts';
import { callWebhook, concerns, measuredCall, WebhookFailure, type WebhookServices } from './webhook/call.ts';
import { HookList, type Hook } from './webhook/hooks.ts';

const log = logger('admission');
const CONFIGURATIONS = resourceOf('admissionregistration.k8s.io', 'v1', 'mutatingwebhookconfigurations');
const PREFIX = 'mutation.webhook.admission.k8s.io/';
const PATCH_PREFIX = 'patch.webhook.admission.k8s.io/';
const FAILED_OPEN_PREFIX = 'failed-open.mutating.webhook.admission.k8s.io/';

/** Puts `next` in the place of the request's object, which others hold by reference. True when it differs. */
export function replaceObject(a: MutableAdmissionAttributes, next: KubeObject): boolean {
  const object = a.object as Record<string, unknown>;
  const plain = draftOf(next) as Record<string, unknown>;
  // Through JSON: members that are undefined are no members.
  if (isDeepStrictEqual(readJson(JSON.stringify(object)), readJson(JSON.stringify(plain)))) return false;
  for (const key of Object.keys(object)) delete object[key];
  Object.assign(object, plain);
  return true;
}

export class MutatingWebhook implements AdmissionPlugin {
  readonly name = 'MutatingAdmissionWebhook';
  readonly handles = oneOf('CREATE', 'UPDATE', 'DELETE', 'CONNECT');
  readonly #services: WebhookServices;
  readonly #normalise: Normaliser;
  readonly #list: HookList<MutatingWebhookConfig>;
  constructor(options: WebhookServices & { readonly normalise?: Normaliser }) {
    this.#services = options;
    this.#normalise = options.normalise ?? ((object) => object);
    this.#list = new HookList(options.reader, CONFIGURATIONS);
  }
  stop(): void {
    this.#list.stop();
  }
  admit(a: MutableAdmissionAttributes, signal: AbortSignal): void | Promise<void> {
    const { hooks } = this.#list;
    return hooks.length === 0 || isExempt(a) ? undefined : this.#all(hooks, a, signal);
  }
  async #all(hooks: readonly Hook<MutatingWebhookConfig>[], a: MutableAdmissionAttributes, signal: AbortSignal): Promise<void> {
    const { isReinvoke, state, request } = reinvocationOf(a, this.name);
    if (isReinvoke && state.output !== JSON.stringify(a.object)) scheduleAgain(state);
    for (const [index, hook] of hooks.entries()) {
      if (isReinvoke && !state.again.has(hook.id)) continue;
      const question = await concerns(hook, 'admit', a, this.#services, signal);
      if (!question) continue;
      const at = `round_${isReinvoke ? 1 : 0}_index_${index}`;
      const changed = await this.#one(hook, question, a, at, signal);
      if (changed) {
        scheduleAgain(state);
        request();
      }
      if (hook.webhook.reinvocationPolicy === 'IfNeeded') state.reinvocable.add(hook.id);
    }
    state.output = JSON.stringify(a.object);
  }
  async #one(hook: Hook<MutatingWebhookConfig>, question: Question, a: MutableAdmissionAttributes, at: string, signal: AbortSignal): Promise<boolean> {
    const { configuration, webhook } = hook;
    let changed = false;
    try {
      changed = await measuredCall(hook, 'admit', a, this.#services, () => this.#call(hook, question, a, at, signal));
    } catch (err) {
      if (!(err instanceof WebhookFailure)) throw err;
      if (webhook.failurePolicy !== 'Ignore') throw internalError(err.message, err);
      if (signal.aborted) throw timeout('request did not complete within requested timeout', 0);
      log.warn({ webhook: webhook.name, err: err.message }, 'failed calling webhook, failing open');
      a.annotate(`${FAILED_OPEN_PREFIX}${at}`, webhook.name);
    } finally {
      a.annotate(`${PREFIX}${at}`, JSON.stringify({ configuration, webhook: webhook.name, mutated: changed }));
    }
    return changed;
  }
  async #call(hook: Hook<MutatingWebhookConfig>, question: Question, a: MutableAdmissionAttributes, at: string, signal: AbortSignal): Promise<boolean> {
    const { configuration, webhook } = hook;
    const { patch } = await callWebhook(hook, question, a, 'mutating', this.#services, signal);
    if (patch.length === 0) return false;
    if (!a.object) throw internalError(`admission webhook ${JSON.stringify(webhook.name)} attempted to modify the object, which is not supported for this operation`);
    const patched = this.#patched(question.attributes.object, patch);
    const changed = replaceObject(a, await question.back(this.#normalise(patched, question.attributes)));
    a.annotate(`${PATCH_PREFIX}${at}`, JSON.stringify({ configuration, webhook: webhook.name, patch, patchType: 'JSONPatch' }));
    return changed;
  }
  #patched(object: KubeObject | undefined, patch: readonly unknown[]): KubeObject {
    try {
      return applyJsonPatch(object && printedObject(object), patch) as KubeObject;
    } catch (err) {
      // What clients are not told of their own patches, whoever runs a webhook must know.
      const why = err instanceof Error && err.cause instanceof JsonPatchError ? err.cause : err;
      throw internalError(why instanceof Error ? why.message : String(why), err);
    }
  }
}
