import type { ServiceAccount } from '#api/gen/core-v1.ts';
import { defineStrategy } from '../define.ts';
import { AGE, age, NAME } from '../printing.ts';
import type { Draft } from '#base/draft.ts';

const MOUNTABLE_ONLY = 'kubernetes.io/enforce-mountable-secrets';
const MOUNTABLE_WARNING = `metadata.annotations[${MOUNTABLE_ONLY}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets`;

/** Of the Secrets of a service account no more than their names is kept. */
function onlyNames(sa: Draft<ServiceAccount>): void {
  if (sa.secrets) sa.secrets = sa.secrets.map(({ name }) => (name === undefined ? {} : { name }));
}

export const serviceaccounts = defineStrategy<ServiceAccount>('', 'v1', 'serviceaccounts', {
  prepareForCreate(sa) {
    onlyNames(sa);
  },
  prepareForUpdate: onlyNames,
  validate: () => [],
  validateUpdate: () => [],
  warnings: ({ metadata }, old) => (metadata.annotations?.[MOUNTABLE_ONLY] !== undefined && old?.metadata.annotations?.[MOUNTABLE_ONLY] === undefined ? [MOUNTABLE_WARNING] : []),
  columns: [NAME, AGE],
  row: (sa, now) => [sa.metadata.name ?? '', age(sa.metadata, now)],
});
