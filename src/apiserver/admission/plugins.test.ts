import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type * as coreV1 from '#api/gen/core-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { resourceOf } from '#api/resources.ts';
import { notFound, StatusError } from '#machinery/status-error.ts';
import { FakeReader } from '../authentication/testing/fakes.ts';
import type { AdmissionPlugin, Authorizer } from '../interfaces.ts';
import { ADMISSION_TABLE } from './admission.ts';
import { CertificateApproval } from './certificate-approval.ts';
import { CertificateSigning } from './certificate-signing.ts';
import { ClusterTrustBundleAttest } from './cluster-trust-bundle-attest.ts';
import { DefaultIngressClass } from './default-ingress-class.ts';
import { DefaultStorageClass } from './default-storage-class.ts';
import { DefaultTolerationSeconds } from './default-toleration-seconds.ts';
import { LimitRanger } from './limit-ranger.ts';
import { NamespaceLifecycle } from './namespace-lifecycle.ts';
import { NodeDeclaredFeatures } from './node-declared-features.ts';
import { NodeRestriction } from './node-restriction.ts';
import { PersistentVolumeClaimResize } from './persistent-volume-claim-resize.ts';
import { PodCertificateSigning } from './pod-certificate-signing.ts';
import { PodTopologyLabels } from './pod-topology-labels.ts';
import { Priority } from './priority.ts';
import { RuntimeClass } from './runtime-class.ts';
import { ServiceAccount, TOKEN_MOUNT_PATH } from './service-account.ts';
import { StorageObjectInUseProtection } from './storage-object-in-use-protection.ts';
import { TaintNodesByCondition } from './taint-nodes-by-condition.ts';
import { attributes, type TestAttributes } from './testing/attributes.ts';

const signal = new AbortController().signal;
const pod = (spec: object = {}, metadata: object = {}) => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'default', ...metadata }, spec: { containers: [{ name: 'c', image: 'i' }], ...spec } });
const namespace = (name: string, phase = 'Active', labels = {}) => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels }, spec: {}, status: { phase } }) as unknown as KubeObject;
const object = (apiVersion: string, kind: string, metadata: object, more: object = {}) => ({ apiVersion, kind, metadata, ...more }) as unknown as KubeObject;
const specOf = (a: TestAttributes) => (a.object as unknown as coreV1.Pod).spec!;

async function message(plugin: AdmissionPlugin, a: TestAttributes, phase: 'admit' | 'validate' = plugin.admit ? 'admit' : 'validate'): Promise<string> {
  try {
    await plugin[phase]!(a, signal);
    return '';
  } catch (err) {
    assert.ok(err instanceof StatusError, String(err));
    return err.message;
  }
}

describe('NamespaceLifecycle', () => {
  const reader = new FakeReader(namespace('default'), namespace('going', 'Terminating'));
  const plugin = new NamespaceLifecycle({ reader, loopback: { call: (c) => (c.name === 'fresh' ? Promise.resolve(namespace('fresh')) : Promise.reject(notFound({ group: '', resource: 'namespaces' }, c.name ?? ''))) } });
  it('refuses new objects in a namespace that is being terminated, with the cause', async () => {
    const a = attributes(pod({}, { namespace: 'going' }));
    assert.equal(await message(plugin, a), 'pods "p" is forbidden: unable to create new content in namespace going because it is being terminated');
    assert.throws(() => plugin.admit(a, signal), (err: StatusError) => {
      assert.deepEqual(err.status.details!.causes, [{ reason: 'NamespaceTerminating', message: 'namespace going is being terminated', field: 'metadata.namespace' }]);
      return err.code === 403;
    });
  });
  it('refuses a missing namespace by its own name, after a look at the store', async () => {
    assert.equal(await message(plugin, attributes(pod({}, { namespace: 'x' }))), 'namespaces "x" not found');
    assert.equal(await message(plugin, attributes(pod({}, { namespace: 'fresh' }))), '');
  });
  it('keeps the immortal namespaces, and lets updates and deletions pass', async () => {
    assert.equal(await message(plugin, attributes(undefined, { oldObject: namespace('kube-system') })), 'namespaces "kube-system" is forbidden: this namespace may not be deleted');
    assert.equal(await message(plugin, attributes(undefined, { oldObject: namespace('kube-node-lease') })), '');
    assert.equal(await message(plugin, attributes(undefined, { oldObject: pod({}, { namespace: 'going' }) as KubeObject })), '');
  });
});

describe('ServiceAccount', () => {
  const account = (name: string, more: object = {}, metadata: object = {}) => object('v1', 'ServiceAccount', { name, namespace: 'default', ...metadata }, more);
  const reader = new FakeReader(account('default', { imagePullSecrets: [{ name: 'pull' }] }), account('quiet', { automountServiceAccountToken: false }), account('strict', { secrets: [{ name: 'mine' }] }, { annotations: { 'kubernetes.io/enforce-mountable-secrets': 'true' } }));
  const plugin = new ServiceAccount({ reader, random: () => 0.5 });
  it('gives Pods the default account, its token and its pull secrets', async () => {
    const a = attributes(pod({ initContainers: [{ name: 'i' }], containers: [{ name: 'c' }, { name: 'own', volumeMounts: [{ name: 'x', mountPath: TOKEN_MOUNT_PATH }] }] }));
    assert.equal(await message(plugin, a), '');
    const spec = specOf(a);
    assert.equal(spec.serviceAccountName, 'default');
    assert.deepEqual(spec.imagePullSecrets, [{ name: 'pull' }]);
    const [volume] = spec.volumes!;
    assert.match(volume!.name, /^kube-api-access-[a-z0-9]{5}$/);
    assert.deepEqual(volume!.projected, {
      sources: [
        { serviceAccountToken: { path: 'token', expirationSeconds: 3607 } }, { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
        { downwardAPI: { items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }] } },
      ],
      defaultMode: 420,
    });
    const mount = [{ name: volume!.name, readOnly: true, mountPath: TOKEN_MOUNT_PATH }];
    assert.deepEqual([spec.initContainers![0]!.volumeMounts, spec.containers[0]!.volumeMounts, spec.containers[1]!.volumeMounts!.length], [mount, mount, 1]);
    assert.equal(await message(plugin, a, 'validate'), '');
  });
  it('mounts nothing where the account or the Pod says no', async () => {
    for (const spec of [{ serviceAccountName: 'quiet' }, { automountServiceAccountToken: false }]) {
      const a = attributes(pod(spec));
      await plugin.admit(a);
      assert.equal(specOf(a).volumes, undefined);
    }
    const loud = attributes(pod({ serviceAccountName: 'quiet', automountServiceAccountToken: true }));
    plugin.admit(loud);
    assert.equal(specOf(loud).volumes!.length, 1);
  });
  it('refuses Pods whose account is missing, in upstream\'s words', async () => {
    assert.equal(await message(plugin, attributes(pod({ serviceAccountName: 'x' }))), 'pods "p" is forbidden: error looking up service account default/x: serviceaccount "x" not found');
    assert.equal(await message(plugin, attributes(pod({}, { name: undefined, generateName: 'web-', namespace: 'other' }))), 'pods "web-" is forbidden: error looking up service account other/default: serviceaccount "default" not found');
  });
  it('holds annotated accounts to their secrets and mirror Pods to nothing', async () => {
    assert.equal(await message(plugin, attributes(pod({ serviceAccountName: 'strict', volumes: [{ name: 'v', secret: { secretName: 'other' } }] })), 'validate'), 'pods "p" is forbidden: volume with secret.secretName="other" is not allowed because service account strict does not reference that secret');
    const mirror = { annotations: { 'kubernetes.io/config.mirror': 'x' } };
    const a = attributes(pod({}, mirror));
    assert.equal(await message(plugin, a), '');
    assert.equal(specOf(a).serviceAccountName, undefined);
    assert.equal(await message(plugin, attributes(pod({ serviceAccountName: 'default' }, mirror)), 'validate'), 'pods "p" is forbidden: a mirror pod may not reference service accounts');
  });
});

describe('LimitRanger', () => {
  const range = (limits: object[]) => object('v1', 'LimitRange', { name: 'l', namespace: 'default' }, { spec: { limits } });
  it('fills in defaults and says so in an annotation', async () => {
    const plugin = new LimitRanger({ reader: new FakeReader(range([{ type: 'Container', default: { cpu: '1', memory: '1Gi' }, defaultRequest: { cpu: '100m' } }])) });
    const a = attributes(pod({ containers: [{ name: 'c', resources: { limits: { cpu: '2' } } }], initContainers: [{ name: 'i' }] }));
    assert.equal(await message(plugin, a), '');
    assert.deepEqual(specOf(a).containers[0]!.resources, { limits: { cpu: '2', memory: '1Gi' }, requests: { cpu: '100m' } });
    assert.equal(a.object!.metadata.annotations!['kubernetes.io/limit-ranger'], 'LimitRanger plugin set: cpu request for container c; memory limit for container c; cpu request for init container i; cpu, memory limit for init container i');
  });
  const cases: [string, object, object, string][] = [
    ['too large a limit', { type: 'Container', max: { memory: '1Gi' } }, { limits: { memory: '2Gi' }, requests: { memory: '1Gi' } }, 'maximum memory usage per Container is 1Gi, but limit is 2Gi'],
    ['no limit', { type: 'Container', max: { memory: '1Gi' } }, {}, 'maximum memory usage per Container is 1Gi.  No limit is specified'],
    ['too small a request', { type: 'Container', min: { cpu: '100m' } }, { requests: { cpu: '50m' } }, 'minimum cpu usage per Container is 100m, but request is 50m'],
    ['no request', { type: 'Container', min: { cpu: '100m' } }, {}, 'minimum cpu usage per Container is 100m.  No request is specified'],
    ['too wide a ratio', { type: 'Container', maxLimitRequestRatio: { cpu: '2' } }, { requests: { cpu: '100m' }, limits: { cpu: '300m' } }, 'cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000'],
    ['too large a Pod', { type: 'Pod', max: { cpu: '1' } }, { limits: { cpu: '1500m' } }, 'maximum cpu usage per Pod is 1, but limit is 1500m'],
    ['several findings', { type: 'Container', min: { cpu: '1' }, max: { cpu: '2' } }, {}, '[minimum cpu usage per Container is 1.  No request is specified, maximum cpu usage per Container is 2.  No limit is specified]'],
  ];
  for (const [name, item, resources, why] of cases) {
    it(`refuses ${name}`, async () => {
      const plugin = new LimitRanger({ reader: new FakeReader(range([item])) });
      assert.equal(await message(plugin, attributes(pod({ containers: [{ name: 'c', resources }] })), 'validate'), `pods "p" is forbidden: ${why}`);
    });
  }
  it('bounds claims', async () => {
    const plugin = new LimitRanger({ reader: new FakeReader(range([{ type: 'PersistentVolumeClaim', max: { storage: '1Gi' } }])) });
    const claim = object('v1', 'PersistentVolumeClaim', { name: 'd', namespace: 'default' }, { spec: { resources: { requests: { storage: '2Gi' } } } });
    assert.equal(await message(plugin, attributes(claim), 'validate'), 'persistentvolumeclaims "d" is forbidden: maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi');
  });
});

describe('Priority', () => {
  const cls = (name: string, value: number, more: object = {}) => object('scheduling.k8s.io/v1', 'PriorityClass', { name }, { value, ...more });
  const reader = new FakeReader(cls('high', 1000, { preemptionPolicy: 'Never' }), cls('standard', 10, { globalDefault: true }));
  const plugin = new Priority({ reader });
  it('computes value and policy from the class, or from the default one', () => {
    const [high, none] = [attributes(pod({ priorityClassName: 'high' })), attributes(pod())];
    plugin.admit(high);
    plugin.admit(none);
    assert.deepEqual([specOf(high).priority, specOf(high).preemptionPolicy], [1000, 'Never']);
    assert.deepEqual([specOf(none).priority, specOf(none).priorityClassName, specOf(none).preemptionPolicy], [10, 'standard', 'PreemptLowerPriority']);
  });
  it('refuses unknown classes, other values, and a second default', async () => {
    assert.equal(await message(plugin, attributes(pod({ priorityClassName: 'x' }))), 'pods "p" is forbidden: no PriorityClass with name x was found');
    assert.equal(await message(plugin, attributes(pod({ priorityClassName: 'high', priority: 5 }))), 'pods "p" is forbidden: the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name');
    assert.equal(await message(plugin, attributes(cls('second', 1, { globalDefault: true })), 'validate'), 'priorityclasses.scheduling.k8s.io "second" is forbidden: PriorityClass standard is already marked as default. Only one default can exist');
  });
});

describe('small plugins', () => {
  it('TaintNodesByCondition taints new nodes once', () => {
    const a = attributes(object('v1', 'Node', { name: 'n' }));
    new TaintNodesByCondition().admit(a);
    new TaintNodesByCondition().admit(a);
    assert.deepEqual((a.object as unknown as coreV1.Node).spec!.taints, [{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }]);
  });
  it('DefaultTolerationSeconds adds what is not tolerated', () => {
    const a = attributes(pod({ tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 }] }));
    new DefaultTolerationSeconds().admit(a);
    assert.deepEqual(specOf(a).tolerations!.map((t) => [t.key, t.tolerationSeconds]), [['node.kubernetes.io/not-ready', 5], ['node.kubernetes.io/unreachable', 300]]);
    const all = attributes(pod({ tolerations: [{ operator: 'Exists' }] }));
    new DefaultTolerationSeconds().admit(all);
    assert.equal(specOf(all).tolerations!.length, 1);
  });
  it('DefaultStorageClass and DefaultIngressClass take the newest default', () => {
    const sc = (name: string, at: string) => object('storage.k8s.io/v1', 'StorageClass', { name, creationTimestamp: at, annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } }, { provisioner: 'p' });
    const ic = object('networking.k8s.io/v1', 'IngressClass', { name: 'nginx', annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' } });
    const reader = new FakeReader(sc('old', '2026-01-01T00:00:00Z'), sc('new', '2026-01-02T00:00:00Z'), ic);
    const claim = attributes(object('v1', 'PersistentVolumeClaim', { name: 'd', namespace: 'default' }, { spec: {} }));
    new DefaultStorageClass({ reader }).admit(claim);
    assert.equal((claim.object as unknown as coreV1.PersistentVolumeClaim).spec!.storageClassName, 'new');
    const none = attributes(object('v1', 'PersistentVolumeClaim', { name: 'd', namespace: 'default' }, { spec: { storageClassName: '' } }));
    new DefaultStorageClass({ reader }).admit(none);
    assert.equal((none.object as unknown as coreV1.PersistentVolumeClaim).spec!.storageClassName, '');
    const ingress = attributes(object('networking.k8s.io/v1', 'Ingress', { name: 'i', namespace: 'default' }, { spec: {} }));
    new DefaultIngressClass({ reader }).admit(ingress);
    assert.equal((ingress.object as unknown as { spec: { ingressClassName: string } }).spec.ingressClassName, 'nginx');
  });
  it('StorageObjectInUseProtection adds its finalizers', () => {
    const a = attributes(object('v1', 'PersistentVolumeClaim', { name: 'd', namespace: 'default' }));
    new StorageObjectInUseProtection().admit(a);
    assert.deepEqual(a.object!.metadata.finalizers, ['kubernetes.io/pvc-protection']);
  });
  it('PersistentVolumeClaimResize lets claims grow where the class allows it', async () => {
    const reader = new FakeReader(object('storage.k8s.io/v1', 'StorageClass', { name: 'fixed' }, { provisioner: 'p' }), object('storage.k8s.io/v1', 'StorageClass', { name: 'elastic' }, { provisioner: 'p', allowVolumeExpansion: true }));
    const claim = (size: string, cls: string, phase = 'Bound') => object('v1', 'PersistentVolumeClaim', { name: 'd', namespace: 'default' }, { spec: { storageClassName: cls, resources: { requests: { storage: size } } }, status: { phase } });
    const attempt = (size: string, cls: string, phase?: string) => message(new PersistentVolumeClaimResize({ reader }), attributes(claim(size, cls), { oldObject: claim('1Gi', cls, phase) }));
    assert.equal(await attempt('2Gi', 'elastic'), '');
    assert.equal(await attempt('1024Mi', 'fixed'), '');
    assert.equal(await attempt('2Gi', 'fixed'), 'persistentvolumeclaims "d" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize');
    assert.equal(await attempt('2Gi', 'elastic', 'Pending'), 'persistentvolumeclaims "d" is forbidden: Only bound persistent volume claims can be expanded');
  });
  it('RuntimeClass gives Pods its overhead and scheduling', async () => {
    const reader = new FakeReader(object('node.k8s.io/v1', 'RuntimeClass', { name: 'kata' }, { handler: 'kata', overhead: { podFixed: { memory: '120Mi' } }, scheduling: { nodeSelector: { kata: 'yes' }, tolerations: [{ key: 'kata', operator: 'Exists' }] } }));
    const plugin = new RuntimeClass({ reader });
    const a = attributes(pod({ runtimeClassName: 'kata' }));
    plugin.admit(a);
    assert.deepEqual([specOf(a).overhead, specOf(a).nodeSelector, specOf(a).tolerations], [{ memory: '120Mi' }, { kata: 'yes' }, [{ key: 'kata', operator: 'Exists' }]]);
    assert.equal(await message(plugin, a, 'validate'), '');
    assert.equal(await message(plugin, attributes(pod({ runtimeClassName: 'x' }))), 'pods "p" is forbidden: pod rejected: RuntimeClass "x" not found');
    assert.equal(await message(plugin, attributes(pod({ overhead: { memory: '1Mi' } })), 'validate'), 'pods "p" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead');
    assert.equal(await message(plugin, attributes(pod({ runtimeClassName: 'kata', nodeSelector: { kata: 'no' } }))), 'pods "p" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[kata] = yes; pod.spec.nodeSelector[kata] = no');
  });
  it('PodTopologyLabels copies zone and region to bindings', () => {
    const reader = new FakeReader(object('v1', 'Node', { name: 'n', labels: { 'topology.kubernetes.io/zone': 'a', 'topology.kubernetes.io/rack': 'r' } }));
    const a = attributes({ apiVersion: 'v1', kind: 'Binding', metadata: { name: 'p', namespace: 'default' }, target: { kind: 'Node', name: 'n' } }, { resource: resourceOf('', 'v1', 'pods'), subresource: 'binding' });
    new PodTopologyLabels({ reader }).admit(a);
    assert.deepEqual(a.object!.metadata.labels, { 'topology.kubernetes.io/zone': 'a' });
  });
  it('NodeDeclaredFeatureValidator lets Pods be resized as their node says that it can', async () => {
    const plugin = new NodeDeclaredFeatures({ reader: new FakeReader(object('v1', 'Node', { name: 'old' }), object('v1', 'Node', { name: 'new' }, { status: { declaredFeatures: ['InPlacePodLevelResourcesVerticalScaling', 'InPlacePodVerticalScalingInitContainers'] } })) });
    const of = (nodeName: string | undefined, cpu: string) => pod({ ...(nodeName ? { nodeName } : {}), resources: { limits: { cpu } }, initContainers: [{ name: 'i', resources: { limits: { cpu } } }, { name: 's', restartPolicy: 'Always', resources: { limits: { cpu } } }] });
    const resize = (nodeName: string | undefined, to = '2') => message(plugin, attributes(of(nodeName, to), { oldObject: of(nodeName, '1') as KubeObject, subresource: 'resize' }));
    assert.deepEqual(await Promise.all([resize('new'), resize(undefined), resize('old', '1'), resize('gone'), resize('old')]), [
      '', '', '', 'pods "p" is forbidden: node "gone" not found',
      'pods "p" is forbidden: pod update requires features InPlacePodLevelResourcesVerticalScaling, InPlacePodVerticalScalingInitContainers which are not available on node "old"',
    ]);
  });
  it('CertificateApproval and CertificateSigning ask for the signer', async () => {
    const asked: string[] = [];
    const authorizer = (allowed: string): Authorizer => ({ authorize: (a) => (asked.push(`${a.verb} ${a.name}`), { decision: a.name === allowed ? 'allow' : 'noOpinion', reason: '' }) });
    const csr = (more: object = {}) => object('certificates.k8s.io/v1', 'CertificateSigningRequest', { name: 'r' }, { spec: { request: '', signerName: 'example.com/x', usages: [] }, ...more });
    const approval = attributes(csr(), { oldObject: csr(), subresource: 'approval' });
    assert.equal(await message(new CertificateApproval({ authorizer: authorizer('no') }), approval), 'certificatesigningrequests.certificates.k8s.io "r" is forbidden: user not permitted to approve requests with signerName "example.com/x"');
    assert.deepEqual(asked, ['approve example.com/x', 'approve example.com/*']);
    assert.equal(await message(new CertificateApproval({ authorizer: authorizer('example.com/*') }), approval), '');
    const signing = new CertificateSigning({ authorizer: authorizer('no') });
    assert.equal(await message(signing, attributes(csr({ status: { certificate: 'x' } }), { oldObject: csr(), subresource: 'status' })), 'certificatesigningrequests.certificates.k8s.io "r" is forbidden: user not permitted to sign requests with signerName "example.com/x"');
    assert.equal(await message(signing, attributes(csr(), { oldObject: csr(), subresource: 'status' })), '');
  });
});

describe('signers of beta kinds', () => {
  const asked: string[] = [];
  const authorizer = (allowed: string): Authorizer => ({ authorize: (a) => (asked.push(`${a.verb} ${a.name}`), { decision: a.name === allowed ? 'allow' : 'noOpinion', reason: '' }) });
  it('ClusterTrustBundleAttest asks who may vouch for a signer', async () => {
    const bundle = (signerName?: string, metadata: object = {}, trustBundle = 'x') => object('certificates.k8s.io/v1beta1', 'ClusterTrustBundle', { name: 'b', ...metadata }, { spec: { trustBundle, ...(signerName ? { signerName } : {}) } });
    const mine = bundle('example.com/x');
    const plugin = new ClusterTrustBundleAttest({ authorizer: authorizer('no') });
    const refused = 'clustertrustbundles.certificates.k8s.io "b" is forbidden: user not permitted to attest for signerName "example.com/x"';
    assert.equal(await message(plugin, attributes(mine)), refused);
    assert.deepEqual(asked.splice(0), ['attest example.com/x', 'attest example.com/*']);
    assert.equal(await message(plugin, attributes(bundle())), '', 'a bundle without a signer is anybody\'s who may write it');
    assert.equal(await message(plugin, attributes(bundle('example.com/x', { ownerReferences: [{ uid: 'u' }] }), { oldObject: mine })), '', 'the garbage collector');
    assert.equal(await message(plugin, attributes(bundle('example.com/x', {}, 'y'), { oldObject: mine })), refused);
    assert.equal(await message(plugin, attributes(bundle('example.com/x', { labels: { a: 'b' } }), { oldObject: mine })), refused);
    assert.equal(await message(new ClusterTrustBundleAttest({ authorizer: authorizer('example.com/x') }), attributes(mine)), '');
  });
  it('PodCertificateSigning asks who may answer for a signer', async () => {
    const request = (status?: object) => object('certificates.k8s.io/v1beta1', 'PodCertificateRequest', { name: 'r', namespace: 'default' }, { spec: { signerName: 'example.com/x' }, ...(status ? { status } : {}) });
    const answer = attributes(request({ certificateChain: 'x' }), { oldObject: request(), subresource: 'status' });
    assert.equal(await message(new PodCertificateSigning({ authorizer: authorizer('no') }), answer), 'PodCertificateRequest.certificates.k8s.io "r" is invalid: spec.signerName: Forbidden: User "jane" is not permitted to "sign" for signer "example.com/x"');
    assert.equal(await message(new PodCertificateSigning({ authorizer: authorizer('example.com/*') }), answer), '');
    assert.equal(await message(new PodCertificateSigning({ authorizer: authorizer('no') }), attributes(request({}), { oldObject: request(), subresource: 'status' })), '');
  });
});

describe('NodeRestriction', () => {
  const node = (labels = {}, more: object = {}) => object('v1', 'Node', { name: 'n1', uid: 'u1', labels }, { spec: {}, ...more });
  const bound = object('v1', 'Pod', { name: 'mine', namespace: 'default', uid: 'p1' }, { spec: { nodeName: 'n1', containers: [], volumes: [{ name: 't', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }] } });
  const other = object('v1', 'Pod', { name: 'other', namespace: 'default', uid: 'p2' }, { spec: { nodeName: 'n2', containers: [] } });
  const plugin = new NodeRestriction({ reader: new FakeReader(node(), bound, other), authorizer: { authorize: (a) => ({ decision: a.resource === 'vault' ? 'allow' : 'noOpinion', reason: '' }) } });
  const user = { name: 'system:node:n1', groups: ['system:nodes'] };
  it('does not concern anybody else', async () => assert.equal(await message(plugin, attributes(pod())), ''));
  it('lets nodes create mirror Pods alone', async () => {
    assert.equal(await message(plugin, attributes(pod(), { user })), 'pods "p" is forbidden: pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods');
    const mirror = (spec: object, owner = 'u1') => attributes(pod({ nodeName: 'n1', ...spec }, { annotations: { 'kubernetes.io/config.mirror': 'x' }, ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n1', uid: owner, controller: true }] }), { user });
    assert.equal(await message(plugin, mirror({})), '');
    assert.equal(await message(plugin, mirror({ volumes: [{ name: 's', secret: { secretName: 's' } }] })), 'pods "p" is forbidden: node "n1" can not create pods that reference secrets');
    assert.equal(await message(plugin, mirror({}, 'old')), 'pods "p" is forbidden: node n1 UID mismatch: expected old got u1');
  });
  it('lets nodes touch their own Pods, node object and leases alone', async () => {
    assert.equal(await message(plugin, attributes(undefined, { oldObject: other, user })), 'pods "other" is forbidden: node "n1" can only delete pods with spec.nodeName set to itself');
    assert.equal(await message(plugin, attributes(undefined, { oldObject: bound, user })), '');
    assert.equal(await message(plugin, attributes(object('v1', 'Node', { name: 'n2' }), { user })), 'nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"');
    assert.equal(await message(plugin, attributes(object('coordination.k8s.io/v1', 'Lease', { name: 'n2', namespace: 'kube-node-lease' }), { user })), 'leases.coordination.k8s.io "n2" is forbidden: can only access node lease with the same name as the requesting node');
  });
  it('lets nodes publish and remove their own resource slices, and keeps them from saying which claims Pods use', async () => {
    const slice = (nodeName: string) => object('resource.k8s.io/v1', 'ResourceSlice', { name: 's' }, { spec: { nodeName, driver: 'd' } });
    assert.deepEqual(await Promise.all([attributes(slice('n1'), { user }), attributes(undefined, { oldObject: slice('n1'), user }), attributes(slice('n2'), { user }), attributes(undefined, { oldObject: slice('n2'), user })].map((a) => message(plugin, a))), [
      '', '',
      'resourceslices.resource.k8s.io "s" is forbidden: can only create ResourceSlice with the same NodeName as the requesting node',
      'resourceslices.resource.k8s.io "s" is forbidden: can only delete ResourceSlice with the same NodeName as the requesting node',
    ]);
    const update = (status: object) => message(plugin, attributes({ ...bound, status } as KubeObject, { oldObject: bound, subresource: 'status', user }));
    assert.equal(await update({ phase: 'Running' }), '');
    assert.equal(await update({ resourceClaimStatuses: [{ name: 'a', resourceClaimName: 'b' }] }), 'pods "mine" is forbidden: node "n1" cannot update resource claim statues');
    assert.equal(await update({ extendedResourceClaimStatus: { resourceClaimName: 'b', requestMappings: [] } }), 'pods "mine" is forbidden: node "n1" cannot update extended resource claim status');
  });
  it('guards labels and taints', async () => {
    assert.equal(await message(plugin, attributes(node({ 'kubernetes.io/hostname': 'n1', 'node.kubernetes.io/x': '', 'example.com/a': '' }), { user })), '');
    assert.equal(await message(plugin, attributes(node({ 'node-restriction.kubernetes.io/a': '', 'node-role.kubernetes.io/control-plane': '' }), { user })), 'nodes "n1" is forbidden: node "n1" is not allowed to set the following labels: node-restriction.kubernetes.io/a, node-role.kubernetes.io/control-plane');
    assert.equal(await message(plugin, attributes(node({ 'foo.k8s.io/x': '' }), { oldObject: node(), user })), 'nodes "n1" is forbidden: is not allowed to modify labels: foo.k8s.io/x');
    assert.equal(await message(plugin, attributes(node({}, { spec: { taints: [{ key: 'a', effect: 'NoSchedule' }] } }), { oldObject: node(), user })), 'nodes "n1" is forbidden: node "n1" is not allowed to modify taints');
  });
  it('lets nodes ask for certificates of their own Pods alone', async () => {
    const account = object('v1', 'ServiceAccount', { name: 'sa', namespace: 'default', uid: 's1' });
    const serving = object('v1', 'Pod', { name: 'serving', namespace: 'default', uid: 'p3' }, { spec: { nodeName: 'n1', serviceAccountName: 'sa', containers: [] } });
    const mirror = object('v1', 'Pod', { name: 'mirror', namespace: 'default', uid: 'p4', annotations: { 'kubernetes.io/config.mirror': 'x' } }, { spec: { nodeName: 'n1', serviceAccountName: 'sa', containers: [] } });
    const certificates = new NodeRestriction({ reader: new FakeReader(node(), account, serving, mirror, bound, other), authorizer: { authorize: () => ({ decision: 'noOpinion', reason: '' }) } });
    const good = { nodeName: 'n1', nodeUID: 'u1', podName: 'serving', podUID: 'p3', serviceAccountName: 'sa', serviceAccountUID: 's1' };
    const ask = (spec: object) => message(certificates, attributes(object('certificates.k8s.io/v1beta1', 'PodCertificateRequest', { name: 'r', namespace: 'default' }, { spec: { ...good, ...spec } }), { user }));
    const refused = 'podcertificaterequests.certificates.k8s.io "r" is forbidden: ';
    const table: readonly (readonly [spec: object, message: string])[] = [
      [{}, ''],
      [{ nodeName: 'n2' }, `${refused}PodCertificateRequest.Spec.NodeName="n2", which is not the requesting node "n1"`],
      [{ nodeUID: 'x' }, 'PodCertificateRequest for pod "default/serving" names node UID "x", inconsistent with the running node ("u1")'],
      [{ podName: 'nobody' }, 'while retrieving pod "default/nobody" named in the PodCertificateRequest: pods "nobody" not found'],
      [{ podUID: 'x' }, 'PodCertificateRequest for pod "default/serving" contains pod UID ("x") which differs from running pod "p3"'],
      [{ podName: 'other', podUID: 'p2' }, `${refused}pod "default/other" is not running on node "n1" named in the PodCertificateRequest`],
      [{ podName: 'mirror', podUID: 'p4' }, `${refused}pod "default/mirror" is a mirror pod`],
      [{ serviceAccountName: 'x' }, `${refused}PodCertificateRequest for pod "default/serving" contains serviceAccountName ("x") that differs from running pod ("sa")`],
      [{ serviceAccountUID: 'x' }, 'PodCertificateRequest for pod "default/serving" names service account UID "x", which differs from the running service account ("s1")'],
    ];
    for (const [spec, expected] of table) assert.equal(await ask(spec), expected);
  });
  it('gives tokens for its own Pods alone', async () => {
    const token = (boundObjectRef: object | undefined, audiences?: string[]) => attributes({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', metadata: { name: 'default', namespace: 'default' }, spec: { boundObjectRef, audiences } }, { resource: resourceOf('', 'v1', 'serviceaccounts'), subresource: 'token', user });
    assert.equal(await message(plugin, token({ kind: 'Pod', apiVersion: 'v1', name: 'mine', uid: 'p1' })), '');
    const mine = { kind: 'Pod', apiVersion: 'v1', name: 'mine', uid: 'p1' };
    assert.equal(await message(plugin, token(mine, ['vault'])), '');
    assert.equal(await message(plugin, token(mine, ['other'])), 'serviceaccounts "default" is forbidden: audience "other" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience');
    assert.equal(await message(plugin, token(undefined)), 'serviceaccounts "default" is forbidden: node requested token not bound to a pod');
    assert.equal(await message(plugin, token({ kind: 'Pod', apiVersion: 'v1', name: 'other', uid: 'p2' })), 'serviceaccounts "default" is forbidden: node requested token bound to a pod scheduled on a different node');
  });
});

describe('the table of plugins', () => {
  it('runs webhooks after the built-in plugins, and quota last', () => {
    const names = ADMISSION_TABLE.map(([name]) => name);
    assert.equal(names[0], 'NamespaceLifecycle');
    assert.equal(names.at(-1), 'ResourceQuota');
    assert.ok(names.indexOf('NodeRestriction') > names.indexOf('ServiceAccount'));
    assert.deepEqual(names.filter((n) => n.endsWith('Webhook') || n.endsWith('Policy')), ['MutatingAdmissionPolicy', 'MutatingAdmissionWebhook', 'ValidatingAdmissionPolicy', 'ValidatingAdmissionWebhook']);
  });
});
