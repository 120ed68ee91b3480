import type { ServiceAccount } from '#api/gen/core-v1.ts';
import { defineStrategy } from '../define.ts';
import { AGE, age, NAME, text } from '../printing.ts';

export const serviceaccounts = defineStrategy<ServiceAccount>('', 'v1', 'serviceaccounts', {
  prepareForCreate(sa) {
    // References to token Secrets are the token controller's; what a client sends stays, as upstream keeps it for mountable secrets.
    sa.secrets = sa.secrets?.filter((ref) => (ref.name ?? '') !== '');
    if (!sa.secrets?.length) delete sa.secrets;
  },
  validate: () => [],
  columns: [NAME, text('Secrets'), AGE],
  row: (sa, now) => [sa.metadata.name ?? '', sa.secrets?.length ?? 0, age(sa.metadata, now)],
});
