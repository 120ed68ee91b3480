import type { MutatingWebhookConfiguration } from '#api/gen/admissionregistration-v1.ts';
import { defineStrategy } from '../define.ts';
import { AGE, age, integer, NAME } from '../printing.ts';
import { defaultWebhook, validateWebhooks } from './webhooks.ts';

export const mutatingwebhookconfigurations = defineStrategy<MutatingWebhookConfiguration>('admissionregistration.k8s.io', 'v1', 'mutatingwebhookconfigurations', {
  default({ webhooks }) {
    for (const hook of webhooks ?? []) {
      defaultWebhook(hook);
      hook.reinvocationPolicy ??= 'Never';
    }
  },
  prepareForCreate({ metadata }) {
    metadata.generation = 1;
  },
  validate: ({ webhooks }) => validateWebhooks(webhooks),
  validateUpdate: ({ webhooks }, old) => validateWebhooks(webhooks, old.webhooks),
  generationFields: ['webhooks'],
  allowUnconditionalUpdate: false,
  columns: [NAME, integer('Webhooks', 'Webhooks indicates the number of webhooks registered in this configuration'), AGE],
  row: ({ metadata, webhooks }, now) => [metadata.name ?? '', webhooks?.length ?? 0, age(metadata, now)],
});
