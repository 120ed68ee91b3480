import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { load } from 'js-yaml';
import type * as rbacV1 from '#api/gen/rbac-v1.ts';
import { nameOf, namespaceOf, type KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import { rulesAllow } from '#apiserver/authorization/rules.ts';
import type { ApiCall, Transport } from '#client/transport.ts';
import { alreadyExists, notFound } from '#machinery/status-error.ts';
import { bootstrapObjects, ensureExtensionAuthentication, ensureJoining, ensureKubernetesService } from './bootstrap.ts';
import { CLUSTER_ROLES } from './cluster-roles.ts';
import { CONTROLLER_ROLE_BINDINGS, CONTROLLER_ROLES } from './controller-roles.ts';
import { planRbac } from './reconcile-rbac.ts';
import { CLUSTER_ROLE_BINDINGS, JOIN_BINDINGS, JOIN_ROLE_BINDINGS, JOIN_ROLES, NAMESPACE_ROLE_BINDINGS, NAMESPACE_ROLES } from './role-bindings.ts';

/** A server of the bare verbs, over a map. */
function bareServer() {
  const objects = new Map<string, KubeObject>();
  const calls: string[] = [];
  let revision = 0;
  const transport: Transport = {
    async call(call: ApiCall): Promise<unknown> {
      const body = call.body as KubeObject;
      const prefix = `${call.resource.group}/${call.resource.plural}`;
      const gr = { group: call.resource.group, resource: call.resource.plural };
      const name = call.name ?? (call.verb === 'create' ? nameOf(body) : '');
      const key = `${prefix}/${call.namespace ?? ''}/${name}`;
      if (call.verb !== 'list' && call.verb !== 'get') calls.push(`${call.verb} ${call.resource.plural} ${name}`);
      switch (call.verb) {
        case 'list':
          return { items: [...objects].filter(([k]) => k.startsWith(`${prefix}/`)).map(([, o]) => o) };
        case 'get':
          if (!objects.has(key)) throw notFound(gr, name);
          return objects.get(key);
        case 'create':
          if (objects.has(key)) throw alreadyExists(gr, name);
          if (call.resource.namespaced && !objects.has(`/namespaces//${call.namespace}`)) throw notFound({ group: '', resource: 'namespaces' }, call.namespace ?? '');
          break;
        case 'delete':
          objects.delete(key);
          return {};
        default:
          if (!objects.has(key)) throw notFound(gr, name);
      }
      assert.equal(namespaceOf(body), call.namespace ?? '');
      const stored = { ...body, metadata: { ...body.metadata, resourceVersion: String(++revision) } };
      objects.set(key, stored);
      return stored;
    },
    watch() {
      throw new Error('not needed');
    },
  };
  return { transport, objects, calls };
}

describe('bootstrapObjects', () => {
  it('makes everything once and then leaves it alone', async () => {
    const server = bareServer();
    await bootstrapObjects(server.transport);
    for (const key of ['/namespaces//kube-node-lease', 'rbac.authorization.k8s.io/clusterroles//system:controller:job-controller', 'rbac.authorization.k8s.io/rolebindings/kube-public/system:controller:bootstrap-signer', 'scheduling.k8s.io/priorityclasses//system-node-critical', 'flowcontrol.apiserver.k8s.io/flowschemas//catch-all']) assert.ok(server.objects.has(key), key);
    server.calls.length = 0;
    await bootstrapObjects(server.transport);
    assert.deepEqual(server.calls, []);
  });
  it('repairs roles and makes bindings to other roles again', async () => {
    const server = bareServer();
    await bootstrapObjects(server.transport);
    const put = (plural: string, o: KubeObject): void => void server.objects.set(`rbac.authorization.k8s.io/${plural}//${nameOf(o)}`, o);
    put('clusterroles', { ...CLUSTER_ROLES.find((r) => nameOf(r) === 'system:basic-user')!, rules: [] } as KubeObject);
    put('clusterrolebindings', { ...CLUSTER_ROLE_BINDINGS[0]!, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'view' } } as KubeObject);
    server.calls.length = 0;
    await bootstrapObjects(server.transport);
    assert.deepEqual(server.calls.toSorted(), ['create clusterrolebindings cluster-admin', 'delete clusterrolebindings cluster-admin', 'update clusterroles system:basic-user']);
  });
  it('leaves out what the server does not have', async () => {
    const server = bareServer();
    await bootstrapObjects(server.transport, { serves: (r) => r.group === '' });
    assert.deepEqual(server.calls.filter((c) => !c.startsWith('create namespaces')), []);
  });
  it('leaves out what is of use with a kind alone that is not served', async () => {
    const made = async (serves: (r: ResourceInfo) => boolean): Promise<string> => {
      const server = bareServer();
      await bootstrapObjects(server.transport, { serves });
      return JSON.stringify([...server.objects]);
    };
    const onDemand = /clustertrustbundles?|cluster-trust-bundle|podcertificaterequest/;
    assert.match(await made(() => true), onDemand);
    const without = await made((r) => r.version === 'v1');
    assert.doesNotMatch(without, onDemand);
    assert.match(without, /"name":"system:node".*"certificatesigningrequests"/);
  });
});

describe('planRbac', () => {
  const wanted = CLUSTER_ROLES.find((r) => nameOf(r) === 'system:basic-user')!;
  it('adds what is missing and keeps what people added', () => {
    const extra = { verbs: ['get'], nonResourceURLs: ['/mine'] };
    const plan = planRbac({ ...wanted, rules: [wanted.rules![0]!, extra] }, wanted);
    assert.equal(plan.action, 'update');
    const { rules } = (plan as { object: rbacV1.ClusterRole }).object;
    assert.deepEqual(rules, [wanted.rules![0]!, extra, wanted.rules![1]!]);
  });
  it('respects autoupdate: "false"', () => {
    const kept = { ...wanted, rules: [], metadata: { ...wanted.metadata, annotations: { 'rbac.authorization.kubernetes.io/autoupdate': 'false' } } };
    assert.deepEqual(planRbac(kept, wanted), { action: 'none' });
  });
  it('keeps rules that the aggregation controller made', () => {
    const admin = CLUSTER_ROLES.find((r) => nameOf(r) === 'admin')!;
    assert.deepEqual(planRbac({ ...admin, rules: [{ verbs: ['*'], apiGroups: ['x'], resources: ['y'] }] }, admin), { action: 'none' });
  });
  it('adds subjects that a binding lost', () => {
    const binding = CLUSTER_ROLE_BINDINGS.find((b) => nameOf(b) === 'system:public-info-viewer')!;
    const plan = planRbac({ ...binding, subjects: [binding.subjects![0]!] }, binding);
    assert.deepEqual((plan as { object: rbacV1.ClusterRoleBinding }).object.subjects, binding.subjects);
  });
});

describe('the tables', () => {
  const roles = [...CLUSTER_ROLES, ...CONTROLLER_ROLES];
  it('name each role once, and every binding names a role', () => {
    const names = roles.map(nameOf);
    assert.equal(new Set(names).size, names.length);
    for (const b of [...CLUSTER_ROLE_BINDINGS, ...CONTROLLER_ROLE_BINDINGS, ...JOIN_BINDINGS]) assert.ok(names.includes(b.roleRef.name), nameOf(b));
    for (const b of [...NAMESPACE_ROLE_BINDINGS, ...JOIN_ROLE_BINDINGS]) assert.ok([...NAMESPACE_ROLES, ...JOIN_ROLES].some((r) => nameOf(r) === b.roleRef.name && r.metadata.namespace === b.metadata.namespace), nameOf(b));
  });
  it('let anonymous requests see health, version and how to join, and nothing else', () => {
    const anonymous = { name: 'system:anonymous', groups: ['system:unauthenticated'] };
    const boundBy = (bindings: readonly (rbacV1.ClusterRoleBinding | rbacV1.RoleBinding)[]): string[] => bindings.filter((b) => b.subjects?.some((s) => s.name === anonymous.name || anonymous.groups.includes(s.name))).map((b) => b.roleRef.name);
    const bound = boundBy([...CLUSTER_ROLE_BINDINGS, ...CONTROLLER_ROLE_BINDINGS, ...JOIN_BINDINGS]);
    assert.deepEqual(bound, ['system:public-info-viewer']);
    assert.deepEqual(boundBy([...NAMESPACE_ROLE_BINDINGS, ...JOIN_ROLE_BINDINGS]), ['podyard:cluster-info']);
    assert.deepEqual(JOIN_ROLES.find((r) => nameOf(r) === 'podyard:cluster-info')!.rules, [{ verbs: ['get'], apiGroups: [''], resources: ['configmaps'], resourceNames: ['cluster-info'] }]);
    const ask = (path: string): boolean => rulesAllow(roles.find((r) => nameOf(r) === bound[0])!.rules!, { isResourceRequest: false, verb: 'get', path, apiGroup: '', apiVersion: '', namespace: '', resource: '', subresource: '', name: '', user: anonymous });
    assert.deepEqual(['/healthz', '/livez', '/readyz', '/version', '/api', '/metrics'].map(ask), [true, true, true, true, false, false]);
  });
});

describe('ensureKubernetesService', () => {
  it('makes the Service and follows the addresses of the servers', async () => {
    const server = bareServer();
    await bootstrapObjects(server.transport);
    const options = { serviceIp: '10.96.0.1', addresses: ['192.0.2.7'], port: 6443 };
    await ensureKubernetesService(server.transport, options);
    const slice = (): unknown => (server.objects.get('discovery.k8s.io/endpointslices/default/kubernetes') as unknown as { endpoints: { addresses: string[] }[] }).endpoints[0]?.addresses;
    assert.deepEqual(slice(), ['192.0.2.7']);
    await ensureKubernetesService(server.transport, { ...options, addresses: ['192.0.2.8', '192.0.2.7'] });
    assert.deepEqual(slice(), ['192.0.2.7', '192.0.2.8']);
    assert.equal(server.calls.filter((c) => c === 'create services kubernetes').length, 1);
  });
});

describe('ensureExtensionAuthentication', () => {
  it('makes the config map, and writes it again only for another authority', async () => {
    const server = bareServer();
    await bootstrapObjects(server.transport);
    server.calls.length = 0;
    const options = { clientCa: 'A', requestHeaderCa: 'B', allowedNames: ['front-proxy-client'] };
    for (const clientCa of ['A', 'A', 'C']) await ensureExtensionAuthentication(server.transport, { ...options, clientCa });
    assert.deepEqual(server.calls, ['create configmaps extension-apiserver-authentication', 'update configmaps extension-apiserver-authentication']);
    const { data } = server.objects.get('/configmaps/kube-system/extension-apiserver-authentication') as unknown as { data: Record<string, string> };
    assert.deepEqual([data['client-ca-file'], data['requestheader-allowed-names']], ['C', '["front-proxy-client"]']);
  });
});

describe('ensureJoining', () => {
  const options = { server: 'https://192.0.2.7:6443', ca: 'PEM', clusterCIDR: '10.244.0.0/16', dnsIP: '10.96.0.10', clusterDomain: 'cluster.local', podNetwork: 'vxlan' };
  const started = async () => {
    const server = bareServer();
    await bootstrapObjects(server.transport);
    server.calls.length = 0;
    const keyOf = (name: string): string => `/configmaps/${name}`;
    const dataOf = (name: string) => (server.objects.get(keyOf(name)) as unknown as { data: Record<string, string> }).data;
    const add = (name: string, data: Record<string, string>): void => void server.objects.set(keyOf(name), { ...server.objects.get(keyOf(name))!, data: { ...dataOf(name), ...data } } as KubeObject);
    return { ...server, dataOf, add };
  };
  it('makes a kubeconfig as kubeadm\'s and what a node must know, once', async () => {
    const { transport, calls, dataOf } = await started();
    for (let i = 0; i < 2; i++) await ensureJoining(transport, options);
    assert.deepEqual(calls, ['create configmaps cluster-info', 'create configmaps podyard-node']);
    assert.deepEqual(load(dataOf('kube-public/cluster-info')['kubeconfig']!), {
      apiVersion: 'v1', kind: 'Config', clusters: [{ name: '', cluster: { server: options.server, 'certificate-authority-data': 'UEVN' } }],
      contexts: null, 'current-context': '', preferences: {}, users: null,
    });
    assert.deepEqual(dataOf('kube-system/podyard-node'), { clusterCIDR: '10.244.0.0/16', clusterDNS: '10.96.0.10', clusterDomain: 'cluster.local', podNetwork: 'vxlan' });
  });
  it('keeps what others added, and no signature of another address', async () => {
    const { transport, calls, dataOf, add } = await started();
    await ensureJoining(transport, options);
    add('kube-public/cluster-info', { 'jws-kubeconfig-abcdef': 'old', note: 'mine' });
    add('kube-system/podyard-node', { clusterDomain: 'wrong', note: 'mine' });
    calls.length = 0;
    await ensureJoining(transport, { ...options, server: 'https://192.0.2.8:6443' });
    assert.deepEqual(calls, ['update configmaps cluster-info', 'update configmaps podyard-node']);
    const { kubeconfig, ...rest } = dataOf('kube-public/cluster-info');
    assert.match(kubeconfig!, /server: https:\/\/192\.0\.2\.8:6443/);
    assert.deepEqual(rest, { note: 'mine' });
    assert.deepEqual(dataOf('kube-system/podyard-node'), { clusterCIDR: '10.244.0.0/16', clusterDNS: '10.96.0.10', clusterDomain: 'cluster.local', podNetwork: 'vxlan', note: 'mine' });
  });
  it('leaves signatures where nothing changed', async () => {
    const { transport, calls, dataOf, add } = await started();
    await ensureJoining(transport, options);
    add('kube-public/cluster-info', { 'jws-kubeconfig-abcdef': 'signed' });
    calls.length = 0;
    await ensureJoining(transport, options);
    assert.deepEqual(calls, []);
    assert.equal(dataOf('kube-public/cluster-info')['jws-kubeconfig-abcdef'], 'signed');
  });
});
