/** Specs that nobody may change: what serves when all else is misconfigured. Source: "API Priority and Fairness", mandatory configuration objects. */
import type { FlowSchemaSpec, PriorityLevelConfigurationSpec } from '#api/gen/flowcontrol-v1.ts';

function everythingOf(...groups: string[]): FlowSchemaSpec['rules'] {
  return [
    {
      subjects: groups.map((name) => ({ kind: 'Group', group: { name } })),
      resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], clusterScope: true, namespaces: ['*'] }],
      nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }],
    },
  ];
}
export const MANDATORY_SCHEMAS: Readonly<Record<string, FlowSchemaSpec>> = {
  exempt: { priorityLevelConfiguration: { name: 'exempt' }, matchingPrecedence: 1, rules: everythingOf('system:masters') },
  'catch-all': {
    priorityLevelConfiguration: { name: 'catch-all' }, matchingPrecedence: 10_000, distinguisherMethod: { type: 'ByUser' },
    rules: everythingOf('system:unauthenticated', 'system:authenticated'),
  },
};
/** Of the level `exempt` only its type is fixed. */
export const CATCH_ALL_LEVEL: PriorityLevelConfigurationSpec = { type: 'Limited', limited: { nominalConcurrencyShares: 5, lendablePercent: 0, limitResponse: { type: 'Reject' } } };
