/** Priority levels and flow schemas that every API server has. Source: the Kubernetes page "API Priority and Fairness", mandatory and suggested objects. */
import type * as flowcontrolV1 from '#api/gen/flowcontrol-v1.ts';

type Level = flowcontrolV1.PriorityLevelConfiguration;
type Schema = flowcontrolV1.FlowSchema;
type Rules = NonNullable<NonNullable<Schema['spec']>['rules']>[number];
type Subject = Rules['subjects'][number];
const API = 'flowcontrol.apiserver.k8s.io/v1';
const metadata = (name: string): Level['metadata'] => ({ name, annotations: { 'apf.kubernetes.io/autoupdate-spec': 'true' } });

function level(name: string, shares: number, lendable: number, queues: number, handSize: number): Level {
  return {
    apiVersion: API, kind: 'PriorityLevelConfiguration', metadata: metadata(name),
    spec: { type: 'Limited', limited: { nominalConcurrencyShares: shares, lendablePercent: lendable, limitResponse: { type: 'Queue', queuing: { queues, handSize, queueLengthLimit: 50 } } } },
  };
}
export const PRIORITY_LEVELS: readonly Level[] = [
  { apiVersion: API, kind: 'PriorityLevelConfiguration', metadata: metadata('exempt'), spec: { type: 'Exempt', exempt: { nominalConcurrencyShares: 0, lendablePercent: 0 } } },
  { apiVersion: API, kind: 'PriorityLevelConfiguration', metadata: metadata('catch-all'), spec: { type: 'Limited', limited: { nominalConcurrencyShares: 5, lendablePercent: 0, limitResponse: { type: 'Reject' } } } },
  level('system', 30, 33, 64, 6),
  level('node-high', 40, 25, 64, 6),
  level('leader-election', 10, 0, 16, 4),
  level('workload-high', 40, 50, 128, 6),
  level('workload-low', 100, 90, 128, 6),
  level('global-default', 20, 50, 128, 6),
];

const groups = (...names: string[]): Subject[] => names.map((name) => ({ kind: 'Group', group: { name } }));
const users = (...names: string[]): Subject[] => names.map((name) => ({ kind: 'User', user: { name } }));
const KUBE_SYSTEM_ACCOUNTS: Subject[] = [{ kind: 'ServiceAccount', serviceAccount: { namespace: 'kube-system', name: '*' } }];
const EVERYBODY = groups('system:unauthenticated', 'system:authenticated');
const resources = (verbs: string[], apiGroups: string[], plurals: string[], clusterScope: boolean) => ({ verbs, apiGroups, resources: plurals, ...(clusterScope ? { clusterScope } : {}), namespaces: ['*'] });
const everything = (subjects: Subject[]): Rules => ({ subjects, resourceRules: [resources(['*'], ['*'], ['*'], true)], nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }] });

function schema(name: string, levelName: string, precedence: number, by: 'ByUser' | 'ByNamespace' | undefined, ...rules: Rules[]): Schema {
  return {
    apiVersion: API, kind: 'FlowSchema', metadata: metadata(name),
    spec: { priorityLevelConfiguration: { name: levelName }, matchingPrecedence: precedence, ...(by ? { distinguisherMethod: { type: by } } : {}), rules },
  };
}
export const FLOW_SCHEMAS: readonly Schema[] = [
  schema('exempt', 'exempt', 1, undefined, everything(groups('system:masters'))),
  schema('catch-all', 'catch-all', 10000, 'ByUser', everything(EVERYBODY)),
  schema('probes', 'exempt', 2, undefined, { subjects: EVERYBODY, nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/healthz', '/readyz', '/livez'] }] }),
  schema('system-leader-election', 'leader-election', 100, 'ByUser', {
    subjects: [...users('system:kube-controller-manager', 'system:kube-scheduler'), ...KUBE_SYSTEM_ACCOUNTS],
    resourceRules: [resources(['get', 'create', 'update'], ['coordination.k8s.io'], ['leases'], false)],
  }),
  schema('system-node-high', 'node-high', 400, 'ByUser', {
    subjects: groups('system:nodes'), resourceRules: [resources(['*'], [''], ['nodes', 'nodes/status'], true), resources(['*'], ['coordination.k8s.io'], ['leases'], false)],
  }),
  schema('system-nodes', 'system', 500, 'ByUser', everything(groups('system:nodes'))),
  schema('kube-controller-manager', 'workload-high', 800, 'ByNamespace', everything(users('system:kube-controller-manager'))),
  schema('kube-scheduler', 'workload-high', 800, 'ByNamespace', everything(users('system:kube-scheduler'))),
  schema('kube-system-service-accounts', 'workload-high', 900, 'ByNamespace', everything(KUBE_SYSTEM_ACCOUNTS)),
  schema('service-accounts', 'workload-low', 9000, 'ByUser', everything(groups('system:serviceaccounts'))),
  schema('global-default', 'global-default', 9900, 'ByUser', everything(EVERYBODY)),
];
