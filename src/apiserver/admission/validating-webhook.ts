/** ValidatingAdmissionWebhook: webhooks that say yes or no to the final object, all at once. Source: the Kubernetes page "Dynamic Admission Control". */
import type { ValidatingWebhook as ValidatingWebhookConfig } from '#api/gen/admissionregistration-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { logger } from '#base/logger.ts';
import { internalError, timeout } from '#machinery/status-error.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../interfaces.ts';
import type { Question } from './equivalents.ts';
import { isExempt } from './matching.ts';
import { oneOf } from './refusal.ts';
import { callWebhook, concerns, measuredCall, WebhookFailure, type WebhookServices } from './webhook/call.ts';
import { HookList, type Hook } from './webhook/hooks.ts';

const log = logger('admission');
const CONFIGURATIONS = resourceOf('admissionregistration.k8s.io', 'v1', 'validatingwebhookconfigurations');
const FAILED_OPEN_PREFIX = 'failed-open.validating.webhook.admission.k8s.io/';

export class ValidatingWebhook implements AdmissionPlugin {
  readonly name = 'ValidatingAdmissionWebhook';
  readonly handles = oneOf('CREATE', 'UPDATE', 'DELETE', 'CONNECT');
  readonly #services: WebhookServices;
  readonly #list: HookList<ValidatingWebhookConfig>;
  constructor(options: WebhookServices) {
    this.#services = options;
    this.#list = new HookList(options.reader, CONFIGURATIONS);
  }
  stop(): void {
    this.#list.stop();
  }
  validate(a: AdmissionAttributes, signal: AbortSignal): void | Promise<void> {
    const { hooks } = this.#list;
    return hooks.length === 0 || isExempt(a) ? undefined : this.#all(hooks, a, signal);
  }
  async #all(hooks: readonly Hook<ValidatingWebhookConfig>[], a: AdmissionAttributes, signal: AbortSignal): Promise<void> {
    const concerned: { readonly hook: Hook<ValidatingWebhookConfig>; readonly question: Question }[] = [];
    for (const hook of hooks) {
      const question = await concerns(hook, 'validating', a, this.#services, signal);
      if (question) concerned.push({ hook, question });
    }
    if (concerned.length && signal.aborted) throw timeout('request did not complete within requested timeout', 0);
    const outcomes = await Promise.allSettled(concerned.map(({ hook, question }, index) => this.#one(hook, question, index, a, signal)));
    // The first in order, not in time: the same request is refused with the same words every time.
    const refused = outcomes.find((o) => o.status === 'rejected');
    if (refused) throw refused.reason;
  }
  async #one(hook: Hook<ValidatingWebhookConfig>, question: Question, index: number, a: AdmissionAttributes, signal: AbortSignal): Promise<void> {
    const { webhook } = hook;
    try {
      await measuredCall(hook, 'validating', a, this.#services, () => callWebhook(hook, question, a, 'validating', this.#services, signal));
    } catch (err) {
      if (!(err instanceof WebhookFailure)) throw err;
      if (webhook.failurePolicy !== 'Ignore') throw internalError(err.message, err);
      log.warn({ webhook: webhook.name, err: err.message }, 'failed calling webhook, failing open');
      a.annotate(`${FAILED_OPEN_PREFIX}round_0_index_${index}`, webhook.name);
    }
  }
}
