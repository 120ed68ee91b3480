import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type * as rbacV1 from '#api/gen/rbac-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { StatusError } from '#machinery/status-error.ts';
import { FakeReader, resourceOfObject } from '../authentication/testing/fakes.ts';
import type { AdmissionAttributes, AuthorizationAttributes, AuthorizationResult, UserInfo } from '../interfaces.ts';
import { createAuthorization } from './authorization.ts';
import { forbiddenError } from './forbidden.ts';
import { reviewLocalSubjectAccess, reviewSelfSubjectAccess, reviewSelfSubjectRules, reviewSubjectAccess } from './reviews.ts';
import { RbacAuthorizer } from './rbac.ts';
import { compactRules, rulesAllow, ruleText, uncovered } from './rules.ts';

const signal = new AbortController().signal;
const API = 'rbac.authorization.k8s.io/v1';
const jane: UserInfo = { name: 'jane', groups: ['dev', 'system:authenticated'] };

function ask(user: UserInfo, verb: string, resource: string, more: Partial<AuthorizationAttributes> = {}): AuthorizationAttributes {
  const [plural = '', subresource = ''] = resource.split('/');
  return { isResourceRequest: true, verb, path: '', apiGroup: '', apiVersion: 'v1', namespace: 'default', resource: plural, subresource, name: '', user, ...more };
}
const path = (user: UserInfo, p: string, verb = 'get'): AuthorizationAttributes => ({ ...ask(user, verb, ''), isResourceRequest: false, path: p, namespace: '' });
const rule = (verbs: string, resources: string, more: Partial<rbacV1.PolicyRule> = {}): rbacV1.PolicyRule => ({ verbs: verbs.split(' '), apiGroups: [''], resources: resources.split(' '), ...more });
const clusterRole = (name: string, ...rules: rbacV1.PolicyRule[]): rbacV1.ClusterRole => ({ apiVersion: API, kind: 'ClusterRole', metadata: { name }, rules });
const role = (namespace: string, name: string, ...rules: rbacV1.PolicyRule[]): rbacV1.Role => ({ apiVersion: API, kind: 'Role', metadata: { name, namespace }, rules });
const ref = (kind: string, name: string): rbacV1.RoleRef => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name });
const clusterBinding = (name: string, roleName: string, ...subjects: rbacV1.Subject[]): rbacV1.ClusterRoleBinding => ({ apiVersion: API, kind: 'ClusterRoleBinding', metadata: { name }, roleRef: ref('ClusterRole', roleName), subjects });
const binding = (namespace: string, name: string, roleRef: rbacV1.RoleRef, ...subjects: rbacV1.Subject[]): rbacV1.RoleBinding => ({ apiVersion: API, kind: 'RoleBinding', metadata: { name, namespace }, roleRef, subjects });
const user = (name: string): rbacV1.Subject => ({ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name });
const group = (name: string): rbacV1.Subject => ({ kind: 'Group', apiGroup: 'rbac.authorization.k8s.io', name });

describe('rulesAllow', () => {
  const cases: [string, rbacV1.PolicyRule, AuthorizationAttributes, boolean][] = [
    ['a verb and resource by name', rule('get list', 'pods'), ask(jane, 'list', 'pods'), true],
    ['no other verb', rule('get', 'pods'), ask(jane, 'delete', 'pods'), false],
    ['no other group', rule('get', 'pods'), ask(jane, 'get', 'pods', { apiGroup: 'metrics.k8s.io' }), false],
    ['everything by stars', { verbs: ['*'], apiGroups: ['*'], resources: ['*'] }, ask(jane, 'x', 'y/z', { apiGroup: 'q' }), true],
    ['no subresource through its parent', rule('get', 'pods'), ask(jane, 'get', 'pods/log'), false],
    ['a subresource by its name', rule('get', 'pods/log'), ask(jane, 'get', 'pods/log'), true],
    ['a subresource of every resource', rule('get', '*/scale', { apiGroups: ['*'] }), ask(jane, 'get', 'deployments/scale', { apiGroup: 'apps' }), true],
    ['not the resource itself by */sub', rule('get', '*/scale'), ask(jane, 'get', 'scale'), false],
    ['only the named objects', rule('get', 'pods', { resourceNames: ['a'] }), ask(jane, 'get', 'pods', { name: 'b' }), false],
    ['the named object', rule('get', 'pods', { resourceNames: ['a', 'b'] }), ask(jane, 'get', 'pods', { name: 'b' }), true],
    ['no list by resourceNames', rule('list', 'pods', { resourceNames: ['a'] }), ask(jane, 'list', 'pods'), false],
    ['a path', { verbs: ['get'], nonResourceURLs: ['/healthz'] }, path(jane, '/healthz'), true],
    ['paths under a star', { verbs: ['get'], nonResourceURLs: ['/apis/*'] }, path(jane, '/apis/apps/v1'), true],
    ['no path beside the star', { verbs: ['get'], nonResourceURLs: ['/apis/*'] }, path(jane, '/api'), false],
    ['no path through resources', { verbs: ['*'], apiGroups: ['*'], resources: ['*'] }, path(jane, '/metrics'), false],
  ];
  for (const [name, r, a, wanted] of cases) it(`allows ${name}`, () => assert.equal(rulesAllow([r], a), wanted));
});

describe('uncovered', () => {
  it('is empty when the owner holds at least as much', () => {
    assert.deepEqual(uncovered([rule('*', 'pods secrets')], [rule('get list', 'pods'), rule('delete', 'secrets', { resourceNames: ['x'] })]), []);
    assert.deepEqual(uncovered([rule('get', 'pods'), rule('list', 'pods')], [rule('get list', 'pods')]), []);
    assert.deepEqual(uncovered([rule('get', '*/scale', { apiGroups: ['*'] })], [rule('get', 'deployments/scale', { apiGroups: ['apps'] })]), []);
    assert.deepEqual(uncovered([{ verbs: ['get'], nonResourceURLs: ['/a/*'] }], [{ verbs: ['get'], nonResourceURLs: ['/a/b', '/a/*'] }]), []);
  });
  it('lists what goes beyond, compacted as upstream prints it', () => {
    const beyond = uncovered([rule('get', 'pods'), rule('get', 'secrets', { resourceNames: ['mine'] })], [rule('get list watch', 'pods'), rule('get', 'secrets')]);
    assert.deepEqual(compactRules(beyond).map(ruleText), ['{APIGroups:[""], Resources:["pods"], Verbs:["list" "watch"]}', '{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}']);
    assert.equal(uncovered([rule('*', '*')], [{ verbs: ['get'], nonResourceURLs: ['*'] }]).length, 1);
  });
});

describe('RbacAuthorizer', () => {
  const reader = new FakeReader(
    clusterRole('reader', rule('get list', 'pods')), role('default', 'writer', rule('create', 'pods')),
    clusterBinding('devs-read', 'reader', group('dev')),
    binding('default', 'jane-writes', ref('Role', 'writer'), user('jane')),
    binding('default', 'bot-reads', ref('ClusterRole', 'reader'), { kind: 'ServiceAccount', name: 'bot' }),
  );
  const rbac = new RbacAuthorizer(reader);
  it('allows through cluster role bindings in every namespace, and says why', () => {
    assert.deepEqual(rbac.authorize(ask(jane, 'list', 'pods', { namespace: 'other' })), { decision: 'allow', reason: 'RBAC: allowed by ClusterRoleBinding "devs-read" of ClusterRole "reader" to Group "dev"' });
  });
  it('allows through role bindings in their own namespace alone', () => {
    assert.deepEqual(rbac.authorize(ask(jane, 'create', 'pods')), { decision: 'allow', reason: 'RBAC: allowed by RoleBinding "jane-writes/default" of Role "writer" to User "jane"' });
    assert.equal(rbac.authorize(ask(jane, 'create', 'pods', { namespace: 'other' })).decision, 'noOpinion');
    assert.equal(rbac.authorize(ask(jane, 'create', 'pods', { namespace: '' })).decision, 'noOpinion');
  });
  it('takes the namespace of a service account from the binding when it names none', () => {
    const bot = { name: 'system:serviceaccount:default:bot', groups: [] };
    assert.equal(rbac.authorize(ask(bot, 'get', 'pods')).reason, 'RBAC: allowed by RoleBinding "bot-reads/default" of ClusterRole "reader" to ServiceAccount "bot/default"');
    assert.equal(rbac.authorize(ask({ name: 'system:serviceaccount:other:bot', groups: [] }, 'get', 'pods')).decision, 'noOpinion');
  });
  it('follows changes of bindings and roles', () => {
    const eve = { name: 'eve', groups: [] };
    assert.equal(rbac.authorize(ask(eve, 'get', 'secrets')).decision, 'noOpinion');
    const late = clusterBinding('late', 'secrets', user('eve'));
    reader.put(late);
    assert.deepEqual(rbac.authorize(ask(eve, 'get', 'secrets')), { decision: 'noOpinion', reason: 'RBAC: clusterrole.rbac.authorization.k8s.io "secrets" not found' });
    reader.put(clusterRole('secrets', rule('get', 'secrets')));
    assert.equal(rbac.authorize(ask(eve, 'get', 'secrets')).decision, 'allow');
    reader.put(clusterBinding('late', 'secrets', user('mallory')));
    assert.equal(rbac.authorize(ask(eve, 'get', 'secrets')).decision, 'noOpinion');
    assert.equal(rbac.authorize(ask({ name: 'mallory', groups: [] }, 'get', 'secrets')).decision, 'allow');
    reader.remove(late);
    assert.equal(rbac.authorize(ask({ name: 'mallory', groups: [] }, 'get', 'secrets')).decision, 'noOpinion');
  });
  it('looks at the bindings of the caller only', () => {
    const many = new FakeReader(clusterRole('reader', rule('get', 'pods')), ...Array.from({ length: 2000 }, (_, i) => clusterBinding(`b${i}`, `r${i}`, user(`u${i}`))));
    const indexed = new RbacAuthorizer(many);
    let gets = 0;
    const get = many.get.bind(many);
    many.get = ((...args: Parameters<FakeReader['get']>) => (gets++, get(...args))) as FakeReader['get'];
    const lists = many.lists;
    indexed.authorize(ask({ name: 'u1999', groups: ['system:authenticated'] }, 'get', 'pods'));
    assert.deepEqual([gets, many.lists - lists], [1, 0]);
  });
});

describe('forbiddenError', () => {
  it('reads as upstream\'s', () => {
    assert.equal(forbiddenError(ask(jane, 'list', 'pods'), '').message, 'pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default"');
    assert.equal(forbiddenError(ask(jane, 'get', 'pods/log', { name: 'p' }), '').message, 'pods "p" is forbidden: User "jane" cannot get resource "pods/log" in API group "" in the namespace "default"');
    assert.equal(forbiddenError(ask(jane, 'list', 'deployments', { apiGroup: 'apps', namespace: '' }), 'RBAC: x').message, 'deployments.apps is forbidden: User "jane" cannot list resource "deployments" in API group "apps" at the cluster scope: RBAC: x');
    assert.equal(forbiddenError(path({ name: 'system:anonymous', groups: [] }, '/<b>'), '').message, 'forbidden: User "system:anonymous" cannot get path "/&lt;b&gt;"');
  });
});

describe('the Node authorizer', () => {
  const n1: UserInfo = { name: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] };
  const pod = (name: string, node: string, spec: object = {}, metadata: object = {}): KubeObject => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'default', ...metadata }, spec: { nodeName: node, containers: [], ...spec } }) as KubeObject;
  const web = pod('web', 'n1', {
    serviceAccountName: 'web', imagePullSecrets: [{ name: 'pull' }], containers: [{ name: 'c', envFrom: [{ secretRef: { name: 'env' } }], env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cm', key: 'k' } } }] }],
    volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }, { name: 'p', projected: { sources: [{ configMap: { name: 'kube-root-ca.crt' } }] } }],
  });
  const volume = { apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name: 'pv1' }, spec: { claimRef: { namespace: 'default', name: 'data' }, csi: { driver: 'd', volumeHandle: 'h', nodeStageSecretRef: { name: 'stage', namespace: 'csi' } } } } as unknown as KubeObject;
  const reader = new FakeReader(web, pod('other', 'n2', { volumes: [{ name: 's', secret: { secretName: 'theirs' } }] }), volume);
  const { authorizer } = createAuthorization({ reader });
  const answer = (verb: string, resource: string, more: Partial<AuthorizationAttributes> = {}): AuthorizationResult => authorizer.authorize(ask(n1, verb, resource, more), signal) as AuthorizationResult;

  it('lets a node read what its Pods name', () => {
    for (const [resource, name] of [['secrets', 'pull'], ['secrets', 'env'], ['configmaps', 'cm'], ['configmaps', 'kube-root-ca.crt'], ['persistentvolumeclaims', 'data'], ['pods', 'web']] as const) assert.equal(answer('get', resource, { name }).decision, 'allow', `${resource}/${name}`);
    assert.equal(answer('watch', 'secrets', { name: 'env' }).decision, 'allow');
    assert.equal(answer('get', 'persistentvolumes', { name: 'pv1', namespace: '' }).decision, 'allow');
    assert.equal(answer('get', 'secrets', { name: 'stage', namespace: 'csi' }).decision, 'allow');
    assert.equal(answer('create', 'serviceaccounts/token', { name: 'web' }).decision, 'allow');
  });
  it('keeps it from everything else, with upstream\'s reasons', () => {
    assert.deepEqual(answer('get', 'secrets', { name: 'theirs' }), { decision: 'noOpinion', reason: 'no relationship found between node \'n1\' and this object' });
    assert.equal(answer('list', 'secrets').reason, 'No Object name found');
    assert.equal(answer('delete', 'secrets', { name: 'env' }).reason, 'can only read resources of this type');
    assert.equal(answer('get', 'nodes', { name: 'n2', namespace: '' }).reason, 'node \'n1\' cannot read \'n2\', only its own Node object');
    assert.equal(answer('list', 'pods', { namespace: '' }).reason, 'can only list/watch pods with spec.nodeName field selector');
    assert.equal(answer('list', 'pods', { namespace: '', fieldSelector: 'spec.nodeName=n1' }).decision, 'allow');
    assert.equal(answer('list', 'pods', { namespace: '', fieldSelector: 'spec.nodeName!=n1' }).decision, 'noOpinion');
    assert.equal(answer('update', 'leases', { apiGroup: 'coordination.k8s.io', namespace: 'kube-node-lease', name: 'n2' }).reason, 'can only access node lease with the same name as the requesting node');
    assert.equal(answer('update', 'leases', { apiGroup: 'coordination.k8s.io', namespace: 'kube-node-lease', name: 'n1' }).decision, 'allow');
    assert.equal(answer('list', 'services', { namespace: '' }).decision, 'allow');
  });
  it('lets a node follow the certificate requests of its own Pods', () => {
    const request = (name: string, nodeName: string): KubeObject => ({ apiVersion: 'certificates.k8s.io/v1beta1', kind: 'PodCertificateRequest', metadata: { name, namespace: 'default' }, spec: { nodeName } }) as unknown as KubeObject;
    reader.put(request('mine', 'n1'));
    reader.put(request('theirs', 'n2'));
    const of = (verb: string, more: Partial<AuthorizationAttributes>) => answer(verb, 'podcertificaterequests', { apiGroup: 'certificates.k8s.io', ...more });
    assert.deepEqual([of('get', { name: 'mine' }), of('create', {}), of('watch', { fieldSelector: 'spec.nodeName=n1' })].map((r) => r.decision), ['allow', 'allow', 'allow']);
    assert.equal(of('get', { name: 'theirs' }).decision, 'noOpinion');
    assert.equal(of('list', {}).reason, 'can only list/watch podcertificaterequests with nodeName field selector');
    assert.equal(of('delete', { name: 'mine' }).reason, 'nodes may not delete podcertificaterequests');
    assert.equal(of('get', { name: 'mine', subresource: 'status' }).reason, 'nodes may not access the status subresource of PodCertificateRequests');
  });
  it('lets a node read the resource claims of its own Pods, and handle its own resource slices', () => {
    const dra = { apiGroup: 'resource.k8s.io' };
    const using = (name: string, node: string, status: object, spec: object = {}) => ({ ...pod(name, node, spec), status }) as KubeObject;
    reader.put(using('gpu', 'n1', { resourceClaimStatuses: [{ name: 'made', resourceClaimName: 'gpu-made-x' }, { name: 'none' }], extendedResourceClaimStatus: { resourceClaimName: 'gpu-extended', requestMappings: [] } }, { resourceClaims: [{ name: 'shared', resourceClaimName: 'shared' }, { name: 'made', resourceClaimTemplateName: 't' }, { name: 'none', resourceClaimTemplateName: 't' }] }));
    reader.put(using('far', 'n2', {}, { resourceClaims: [{ name: 'shared', resourceClaimName: 'theirs' }] }));
    const claim = (name: string, verb = 'get') => answer(verb, 'resourceclaims', { ...dra, name }).decision;
    assert.deepEqual(['shared', 'gpu-made-x', 'gpu-extended', 'theirs', 'nobodys'].map((name) => claim(name)), ['allow', 'allow', 'allow', 'noOpinion', 'noOpinion']);
    assert.deepEqual([claim('shared', 'update'), claim('shared', 'watch'), answer('list', 'resourceclaims', dra).decision], ['noOpinion', 'noOpinion', 'noOpinion']);
    for (const name of ['n1', 'n2']) reader.put({ apiVersion: 'resource.k8s.io/v1', kind: 'ResourceSlice', metadata: { name: `slice-${name}` }, spec: { nodeName: name, driver: 'd' } } as unknown as KubeObject);
    const slices = (verb: string, more: Partial<AuthorizationAttributes> = {}) => answer(verb, 'resourceslices', { ...dra, namespace: '', ...more });
    assert.deepEqual([slices('create'), slices('update', { name: 'slice-n1' }), slices('delete', { name: 'slice-n1' }), slices('deletecollection', { fieldSelector: 'spec.driver=d,spec.nodeName=n1' })].map((r) => r.decision), ['allow', 'allow', 'allow', 'allow']);
    assert.equal(slices('delete', { name: 'slice-n2' }).decision, 'noOpinion');
    assert.equal(slices('deletecollection', { fieldSelector: 'spec.driver=d' }).reason, 'can only list/watch/deletecollection resourceslices with nodeName field selector');
  });
  it('forgets a Pod\'s needs when it goes, unless another has them', () => {
    reader.put(pod('second', 'n1', { imagePullSecrets: [{ name: 'pull' }] }));
    reader.remove(web);
    assert.equal(answer('get', 'secrets', { name: 'pull' }).decision, 'allow');
    assert.equal(answer('get', 'secrets', { name: 'env' }).decision, 'noOpinion');
    assert.equal(answer('get', 'secrets', { name: 'stage', namespace: 'csi' }).decision, 'noOpinion');
    reader.remove(pod('second', 'n1'));
    assert.equal(answer('get', 'secrets', { name: 'pull' }).decision, 'noOpinion');
  });
  it('learns nothing from mirror Pods', () => {
    reader.put(pod('mirror', 'n1', { imagePullSecrets: [{ name: 'root' }] }, { annotations: { 'kubernetes.io/config.mirror': 'x' } }));
    assert.equal(answer('get', 'secrets', { name: 'root' }).decision, 'noOpinion');
  });
});

describe('the escalation check', () => {
  const reader = new FakeReader(
    clusterRole('pods', rule('get list', 'pods')), clusterRole('rbac', rule('*', 'roles rolebindings clusterroles', { apiGroups: ['rbac.authorization.k8s.io'] })), clusterRole('admin', rule('*', '*', { apiGroups: ['*'] })),
    clusterRole('binder', rule('bind', 'clusterroles', { apiGroups: ['rbac.authorization.k8s.io'], resourceNames: ['admin'] })),
    clusterBinding('jane-pods', 'pods', user('jane')), clusterBinding('bob', 'binder', user('bob')),
  );
  const { escalation, authorizer } = createAuthorization({ reader });
  const attempt = async (object: KubeObject, who: UserInfo, oldObject?: KubeObject): Promise<string> => {
    const resource = resourceOfObject(object);
    const a: AdmissionAttributes = {
      operation: oldObject ? 'UPDATE' : 'CREATE', resource, subresource: '', kind: resource, namespace: object.metadata.namespace ?? '', name: object.metadata.name ?? '', object, oldObject, options: {}, dryRun: false, user: who, warn() {}, annotate() {},
    };
    try {
      await escalation.validate!(a, signal);
      return 'allowed';
    } catch (err) {
      assert.ok(err instanceof StatusError);
      return err.message;
    }
  };
  it('lets people write roles within what they hold', async () => {
    assert.equal(await attempt(role('default', 'r', rule('get', 'pods')), jane), 'allowed');
  });
  it('refuses roles beyond that, word for word', async () => {
    assert.equal(await attempt(role('default', 'r', rule('get delete', 'pods'), rule('get', 'secrets')), jane),
      'roles.rbac.authorization.k8s.io "r" is forbidden: user "jane" (groups=["dev" "system:authenticated"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["pods"], Verbs:["delete"]}\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}');
  });
  it('refuses bindings to roles beyond that, unless the verb bind is held', async () => {
    assert.match(await attempt(binding('default', 'b', ref('ClusterRole', 'admin'), user('jane')), jane), /^rolebindings.rbac.authorization.k8s.io "b" is forbidden: user "jane" .*not currently held:\n\{APIGroups:\["\*"\], Resources:\["\*"\], Verbs:\["\*"\]\}$/s);
    assert.equal(await attempt(binding('default', 'b', ref('ClusterRole', 'admin'), user('x')), { name: 'bob', groups: [] }), 'allowed');
    assert.equal(await attempt(binding('default', 'b', ref('ClusterRole', 'nope'), user('x')), jane), 'clusterrole.rbac.authorization.k8s.io "nope" not found');
  });
  it('lets system:masters and the garbage collector\'s changes pass', async () => {
    assert.equal(await attempt(clusterRole('all', rule('*', '*')), { name: 'root', groups: ['system:masters'] }), 'allowed');
    const old = role('default', 'r', rule('*', 'secrets'));
    assert.equal(await attempt({ ...old, metadata: { ...old.metadata, ownerReferences: [{ apiVersion: 'v1', kind: 'X', name: 'x', uid: 'u' }] } }, jane, old), 'allowed');
  });
  it('keeps aggregation rules for cluster admins', async () => {
    assert.equal(await attempt({ ...clusterRole('agg'), aggregationRule: { clusterRoleSelectors: [{ matchLabels: { a: 'b' } }] } } as KubeObject, jane), 'clusterroles.rbac.authorization.k8s.io "agg" is forbidden: must have cluster-admin privileges to use the aggregationRule');
  });
  it('answers the reviews', async () => {
    const answer = await reviewSubjectAccess({ metadata: {}, spec: { user: 'jane', resourceAttributes: { verb: 'get', resource: 'pods', namespace: 'x' } } }, authorizer, signal);
    assert.deepEqual(answer.status, { allowed: true, reason: 'RBAC: allowed by ClusterRoleBinding "jane-pods" of ClusterRole "pods" to User "jane"' });
    assert.deepEqual((await reviewSelfSubjectAccess({ metadata: {}, spec: { nonResourceAttributes: { path: '/metrics', verb: 'get' } } }, jane, authorizer, signal)).status, { allowed: false });
    await assert.rejects(reviewSubjectAccess({ metadata: {}, spec: { resourceAttributes: {} } }, authorizer, signal), /spec.user: Invalid value: "": at least one of user or group must be specified/);
    await assert.rejects(reviewLocalSubjectAccess({ metadata: {}, spec: { user: 'x', resourceAttributes: { namespace: 'b' } } }, 'a', authorizer, signal), /must match metadata.namespace/);
    const rules = await reviewSelfSubjectRules({ metadata: {}, spec: { namespace: 'default' } }, jane, authorizer, signal);
    assert.deepEqual(rules.status, { resourceRules: [{ verbs: ['get', 'list'], apiGroups: [''], resources: ['pods'] }], nonResourceRules: [], incomplete: false });
  });
});
