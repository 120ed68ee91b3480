/** What serves before any object exists, and comes back when somebody deletes it. */
import type { FlowSchema, PriorityLevelConfiguration } from '#api/gen/flowcontrol-v1.ts';
import { resourceOf } from '#api/resources.ts';
import { CATCH_ALL_LEVEL, MANDATORY_SCHEMAS } from '../strategies/flowcontrol/mandatory.ts';

export const FLOW_SCHEMAS = resourceOf('flowcontrol.apiserver.k8s.io', 'v1', 'flowschemas');
export const PRIORITY_LEVELS = resourceOf('flowcontrol.apiserver.k8s.io', 'v1', 'prioritylevelconfigurations');

export const MANDATORY_LEVELS: readonly PriorityLevelConfiguration[] = [
  { metadata: { name: 'exempt' }, spec: { type: 'Exempt', exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } } },
  { metadata: { name: 'catch-all' }, spec: CATCH_ALL_LEVEL },
];
export const BUILT_IN_SCHEMAS: readonly FlowSchema[] = Object.entries(MANDATORY_SCHEMAS).map(([name, spec]) => ({ metadata: { name }, spec }));
