/** Objects of any kind: made from the table of types, or from a valid one, and bent. */
import { structByKind, type Field, type StructType, type TypeRef } from '#api/schema.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { apiVersionOf } from '#api/object.ts';
import type { Random } from './random.ts';

type Json = Record<string, unknown>;
const NAMES = ['a', 'b', 'c', 'web', 'x-1', 'kube-root-ca.crt', 'n.example.com'];
const STRINGS = [
  ...NAMES, '', ' ', 'A_B', '*', '10.0.0.1', '10.0.0.0/8', '::1', 'fd00::/64', '0', '-1', '80', '50%', '1Gi', '100m', 'TCP', 'Always', 'ClusterIP', 'None', 'node-1', 'example.com/thing',
  'https://example.com/x', '/var/lib', '../..', '2026-01-02T03:04:05Z', '5s', 'self.spec.x == 1', 'a.b.c[0]', '{{x}}', '"', '\\', '\u0000', '\u202e', 'é', '😀', '\ud800', 'x'.repeat(64), 'y'.repeat(300), '__proto__', 'constructor', 'null',
];
const INTS = [0, 1, -1, 2, 3, 80, 443, 100, 65_535, 65_536, 2_147_483_647, -2_147_483_648, 2_147_483_648, 9_007_199_254_740_992, 1.5, 1e30];
const QUANTITIES = ['0', '1', '100m', '1Gi', '-5', '1e3', '1.5', '1e9999', 'x', '', '0.0000000001', '9999999999999999999999', 7];
export const JUNK: readonly unknown[] = [null, [], {}, '', 'x', 0, -1, true, [null], [[]], [{}], { a: null }, { '': '' }, { a: { b: { c: [] } } }, 1e308, 'y'.repeat(5000), { __proto__x: 1 }];

/** A value of a type: plausible most of the time. */
export function valueOf(type: TypeRef, random: Random, depth: number): unknown {
  if (random.chance(0.01)) return structuredClone(random.pick(JUNK));
  switch (type.kind) {
    case 'string':
      return type.values && random.chance(0.85) ? random.pick(type.values) : random.pick(STRINGS);
    case 'bool':
      return random.chance(0.5);
    case 'int':
    case 'float':
      return random.pick(INTS);
    case 'bytes':
      return random.pick(['', 'eA==', 'AAAA', '!', 'a']);
    case 'quantity':
      return random.pick(QUANTITIES);
    case 'time':
    case 'microTime':
      return random.pick([null, '2026-01-02T03:04:05Z', '2026-01-02T03:04:05.123456Z', '', 'yesterday', '9999-99-99T99:99:99Z']);
    case 'duration':
      return random.pick(['5s', '1h', '-1s', '', 'x', '1e9s']);
    case 'intOrString':
      return random.pick<unknown>([80, 'http', '50%', '101%', -1, '', 'x'.repeat(20)]);
    case 'any':
      return structuredClone(random.pick<unknown>([...JUNK, { apiVersion: 'v1', kind: 'Pod' }, { type: 'object', properties: { a: { type: 'string' } } }]));
    case 'struct':
      return depth > 7 ? {} : structOf(type.type, random, depth + 1);
    case 'list':
      return Array.from({ length: random.pick([0, 1, 1, 1, 2, 3]) }, () => valueOf(type.item, random, depth + 1));
    case 'map':
      return Object.fromEntries(Array.from({ length: random.pick([0, 1, 1, 2]) }, () => [random.pick(STRINGS), valueOf(type.value, random, depth + 1)]));
  }
}
/** Deeper structs have fewer fields, so that objects end. */
function wanted(field: Field, random: Random, depth: number): boolean {
  return field.required ? random.chance(0.9) : random.chance(depth <= 1 ? 0.8 : depth === 2 ? 0.25 : 0.12);
}
function structOf(type: StructType, random: Random, depth: number): Json {
  const out: Json = {};
  for (const [name, field] of type.fields) if (wanted(field, random, depth)) out[name] = valueOf(field.type, random, depth);
  return out;
}

const POD = { containers: [{ name: 'c', image: 'busybox', ports: [{ containerPort: 80, name: 'http' }], resources: { limits: { cpu: '1', memory: '1Gi' } }, env: [{ name: 'A', value: 'b' }], volumeMounts: [{ name: 'v', mountPath: '/v' }], livenessProbe: { httpGet: { path: '/', port: 'http' } } }], volumes: [{ name: 'v', emptyDir: {} }], tolerations: [{ operator: 'Exists' }] };
const TEMPLATE = { metadata: { labels: { app: 'a' } }, spec: POD };
const SELECTOR = { matchLabels: { app: 'a' } };
/** What validation lets through, to be bent a little: most of a server lies behind its validation. */
const SPECS: Readonly<Record<string, Json>> = {
  Pod: { spec: POD }, PodTemplate: { template: TEMPLATE }, Deployment: { spec: { selector: SELECTOR, template: TEMPLATE, replicas: 1 } }, ReplicaSet: { spec: { selector: SELECTOR, template: TEMPLATE } },
  DaemonSet: { spec: { selector: SELECTOR, template: TEMPLATE } }, StatefulSet: { spec: { serviceName: 'a', selector: SELECTOR, template: TEMPLATE } }, ReplicationController: { spec: { selector: { app: 'a' }, template: TEMPLATE } },
  Job: { spec: { template: { spec: { ...POD, restartPolicy: 'Never' } } } }, CronJob: { spec: { schedule: '*/5 * * * *', jobTemplate: { spec: { template: { spec: { ...POD, restartPolicy: 'OnFailure' } } } } } },
  Service: { spec: { ports: [{ port: 80, name: 'http' }], selector: { app: 'a' } } }, ConfigMap: { data: { a: 'b' }, binaryData: { c: 'eA==' } }, Secret: { data: { a: 'eA==' }, type: 'Opaque' },
  PersistentVolumeClaim: { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } }, PersistentVolume: { spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/x' } } },
  Ingress: { spec: { rules: [{ host: 'a.example', http: { paths: [{ path: '/', pathType: 'Prefix', backend: { service: { name: 'a', port: { number: 80 } } } }] } }] } }, NetworkPolicy: { spec: { podSelector: {}, ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }] } },
  Role: { rules: [{ verbs: ['get'], apiGroups: [''], resources: ['pods'] }] }, ClusterRole: { rules: [{ verbs: ['get'], nonResourceURLs: ['/x'] }] },
  RoleBinding: { roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'a' }, subjects: [{ kind: 'User', name: 'u', apiGroup: 'rbac.authorization.k8s.io' }] }, ClusterRoleBinding: { roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'a' } },
  HorizontalPodAutoscaler: { spec: { scaleTargetRef: { kind: 'Deployment', name: 'a', apiVersion: 'apps/v1' }, maxReplicas: 3 } }, PodDisruptionBudget: { spec: { minAvailable: 1, selector: SELECTOR } },
  StorageClass: { provisioner: 'x.example' }, PriorityClass: { value: 5 }, Lease: { spec: { holderIdentity: 'a', leaseDurationSeconds: 5 } }, Node: { spec: {} }, Namespace: {}, ServiceAccount: {}, LimitRange: { spec: { limits: [{ type: 'Pod', max: { cpu: '2' } }] } }, ResourceQuota: { spec: { hard: { 'count/secrets': '100' } } },
  EndpointSlice: { addressType: 'IPv4', endpoints: [{ addresses: ['10.1.1.1'] }], ports: [{ port: 80 }] }, Endpoints: { subsets: [{ addresses: [{ ip: '10.1.1.1' }], ports: [{ port: 80 }] }] }, RuntimeClass: { handler: 'runc' },
  CustomResourceDefinition: { metadata: { name: 'widgets.fuzz.example' }, spec: { group: 'fuzz.example', names: { plural: 'widgets', kind: 'Widget' }, scope: 'Namespaced', versions: [{ name: 'v1', served: true, storage: true, subresources: { status: {}, scale: { specReplicasPath: '.spec.r', statusReplicasPath: '.status.r' } }, additionalPrinterColumns: [{ name: 'A', type: 'string', jsonPath: '.spec.a' }], schema: { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: { a: { type: 'string', pattern: '^x', maxLength: 10 }, r: { type: 'integer', default: 1 } }, 'x-kubernetes-validations': [{ rule: 'self.r < 10' }] } } } } }] } },
  FlowSchema: { spec: { priorityLevelConfiguration: { name: 'a' }, rules: [{ subjects: [{ kind: 'Group', group: { name: 'g' } }], resourceRules: [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'] }] }] } }, PriorityLevelConfiguration: { spec: { type: 'Limited', limited: { limitResponse: { type: 'Reject' } } } },
  ValidatingAdmissionPolicy: { spec: { matchConstraints: { resourceRules: [{ apiGroups: ['apps'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['deployments'] }] }, validations: [{ expression: 'object.spec.replicas <= 5' }] } },
  ValidatingWebhookConfiguration: { webhooks: [{ name: 'a.b.example', sideEffects: 'None', admissionReviewVersions: ['v1'], clientConfig: { url: 'https://127.0.0.1:1/x' }, rules: [{ apiGroups: ['none.example'], apiVersions: ['v1'], operations: ['CREATE'], resources: ['x'] }] }] },
  SubjectAccessReview: { spec: { user: 'u', resourceAttributes: { verb: 'get', resource: 'pods' } } }, SelfSubjectAccessReview: { spec: { nonResourceAttributes: { verb: 'get', path: '/x' } } }, SelfSubjectRulesReview: { spec: { namespace: 'fuzz' } }, TokenReview: { spec: { token: 'x' } },
};

/** An object of the kind, named as the path says or as it likes. */
export function randomObject(info: ResourceInfo, name: string, namespace: string, random: Random): Json {
  const spec = SPECS[info.kind];
  const type = structByKind(info.group, info.version, info.kind);
  const object: Json = spec && random.chance(0.85) ? structuredClone(spec) : type ? structOf(type, random, 0) : {};
  const metadata = typeof object['metadata'] === 'object' && object['metadata'] !== null && !Array.isArray(object['metadata']) ? (object['metadata'] as Json) : {};
  if (random.chance(0.95)) Object.assign(object, { apiVersion: apiVersionOf(info.group, info.version), kind: info.kind });
  if (random.chance(0.95)) object['metadata'] = { ...(random.chance(0.2) ? metadata : { name: metadata['name'] }), name: info.kind === 'CustomResourceDefinition' ? 'widgets.fuzz.example' : name, ...(info.namespaced ? { namespace } : {}) };
  for (let i = random.pick([0, 0, 0, 1, 1, 2, 5]); i > 0; i--) bend(object, random);
  return object;
}

/** Changes one place of the object, anywhere. */
export function bend(object: Json, random: Random): void {
  let at: Json | unknown[] = object;
  for (;;) {
    const keys: (string | number)[] = Array.isArray(at) ? [...at.keys()] : Object.keys(at);
    if (keys.length === 0) return;
    const key = random.pick(keys) as never;
    const value: unknown = (at as Json)[key];
    if (typeof value === 'object' && value !== null && random.chance(0.8)) {
      at = value as Json;
      continue;
    }
    switch (random.below(6)) {
      case 0:
        if (Array.isArray(at)) at.splice(Number(key), 1);
        else delete at[key];
        return;
      case 1:
        if (Array.isArray(at)) at.push(structuredClone(value));
        else at[random.pick(STRINGS)] = value;
        return;
      case 2:
        (at as Json)[key] = random.pick(STRINGS);
        return;
      case 3:
        (at as Json)[key] = random.pick(INTS);
        return;
      case 4:
        (at as Json)[key] = [value];
        return;
      default:
        (at as Json)[key] = structuredClone(random.pick(JUNK));
        return;
    }
  }
}
export { NAMES, STRINGS };
