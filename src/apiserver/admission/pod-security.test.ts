import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type * as coreV1 from '#api/gen/core-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { StatusError } from '#machinery/status-error.ts';
import { FakeReader } from '../authentication/testing/fakes.ts';
import { AdmissionMetrics } from './metrics.ts';
import { PodSecurity, type PodSecurityOptions } from './pod-security.ts';
import { evaluate, findingsText, levelText, policyOf, PRIVILEGED_POLICY, type LevelVersion } from './pod-security/policy.ts';
import { attributes, type TestAttributes } from './testing/attributes.ts';

const LABEL = 'pod-security.kubernetes.io/';
const RESTRICTED: LevelVersion = { level: 'restricted', version: 'latest' };
const BASELINE: LevelVersion = { level: 'baseline', version: 'latest' };
const spec = (more: object = {}, container: object = {}): coreV1.PodSpec => ({ containers: [{ name: 'c', ...container }], ...more }) as coreV1.PodSpec;
const hardened = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] }, runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } };
const text = (at: LevelVersion, s: coreV1.PodSpec, annotations = {}): string => findingsText(evaluate(at, { annotations }, s));

describe('evaluate', () => {
  const baseline: [string, coreV1.PodSpec, string][] = [
    ['nothing', spec(), ''],
    ['host namespaces', spec({ hostNetwork: true, hostPID: true }), 'host namespaces (hostNetwork=true, hostPID=true)'],
    ['privileged containers', spec({ initContainers: [{ name: 'i', securityContext: { privileged: true } }] }, { securityContext: { privileged: true } }), 'privileged (containers "i", "c" must not set securityContext.privileged=true)'],
    ['capabilities', spec({}, { securityContext: { capabilities: { add: ['SYS_ADMIN', 'CHOWN', 'NET_RAW'] } } }), 'non-default capabilities (container "c" must not include "NET_RAW", "SYS_ADMIN" in securityContext.capabilities.add)'],
    ['hostPath volumes', spec({ volumes: [{ name: 'a', hostPath: { path: '/' } }, { name: 'b', hostPath: { path: '/' } }] }), 'hostPath volumes (volumes "a", "b")'],
    ['host ports', spec({}, { ports: [{ containerPort: 1, hostPort: 9090 }, { containerPort: 2, hostPort: 8080 }] }), 'hostPort (container "c" uses hostPorts 8080, 9090)'],
    ['probe hosts', spec({}, { livenessProbe: { httpGet: { host: '127.0.0.1', port: 1 } } }), 'probe or lifecycle host (container "c" uses probe or lifecycle host "127.0.0.1")'],
    ['procMount', spec({}, { securityContext: { procMount: 'Unmasked' } }), 'procMount (container "c" must not set securityContext.procMount to "Unmasked")'],
    ['procMount in a user namespace', spec({ hostUsers: false }, { securityContext: { procMount: 'Unmasked' } }), ''],
    ['SELinux options', spec({ securityContext: { seLinuxOptions: { type: 'spc_t' } } }, { securityContext: { seLinuxOptions: { user: 'u' } } }), 'seLinuxOptions (pod and container "c" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)'],
    ['seccomp', spec({}, { securityContext: { seccompProfile: { type: 'Unconfined' } } }), 'seccompProfile (container "c" must not set securityContext.seccompProfile.type to "Unconfined")'],
    ['sysctls', spec({ securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }, { name: 'net.ipv4.tcp_rmem', value: '1' }] } }), 'forbidden sysctls (kernel.msgmax)'],
    ['AppArmor', spec({}, { securityContext: { appArmorProfile: { type: 'Unconfined' } } }), 'forbidden AppArmor profile (container "c" must not set AppArmor profile type to "Unconfined")'],
    ['host processes', spec({ securityContext: { windowsOptions: { hostProcess: true } } }), 'hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)'],
  ];
  for (const [name, s, wanted] of baseline) it(`finds ${name} at baseline`, () => assert.equal(text(BASELINE, s), wanted));

  it('finds everything that restricted wants of a plain Pod, word for word', () => {
    assert.equal(text(RESTRICTED, spec()),
      'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")');
  });
  const restricted: [string, coreV1.PodSpec, string][] = [
    ['nothing in a hardened Pod', spec({}, { securityContext: hardened }), ''],
    ['root', spec({}, { securityContext: { ...hardened, runAsUser: 0 } }), 'runAsUser=0 (container "c" must not set runAsUser=0)'],
    ['volumes', spec({ volumes: [{ name: 'h', hostPath: { path: '/' } }, { name: 'n', nfs: {} }, { name: 'e', emptyDir: {} }] }, { securityContext: hardened }), 'restricted volume types (volumes "h", "n" use restricted volume types "hostPath", "nfs")'],
    ['capabilities', spec({}, { securityContext: { ...hardened, capabilities: { drop: ['ALL'], add: ['CHOWN', 'NET_BIND_SERVICE'] } } }), 'unrestricted capabilities (container "c" must not include "CHOWN" in securityContext.capabilities.add)'],
    ['less on Windows', spec({ os: { name: 'windows' } }, { securityContext: { runAsNonRoot: true } }), ''],
    ['what is set for the whole Pod', spec({ securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } } }, { securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } } }), ''],
  ];
  for (const [name, s, wanted] of restricted) it(`finds ${name} at restricted`, () => assert.equal(text(RESTRICTED, s), wanted));

  it('follows the version of the policy', () => {
    const probes = spec({}, { livenessProbe: { tcpSocket: { host: 'h', port: 1 } } });
    assert.equal(text({ level: 'baseline', version: 33 }, probes), '');
    assert.notEqual(text({ level: 'baseline', version: 34 }, probes), '');
    assert.equal(text({ level: 'restricted', version: 21 }, spec({}, { securityContext: { ...hardened, capabilities: undefined } })), '');
    assert.equal(text({ level: 'baseline', version: 18 }, spec(), { 'seccomp.security.alpha.kubernetes.io/pod': 'unconfined' }), 'seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod="unconfined")');
    assert.equal(text({ level: 'baseline', version: 999 }, probes), text(BASELINE, probes));
  });
});

describe('policyOf', () => {
  it('takes warn from enforce when warn is not set', () => {
    const { policy } = policyOf({ [`${LABEL}enforce`]: 'baseline', [`${LABEL}enforce-version`]: 'v1.25' }, PRIVILEGED_POLICY);
    assert.deepEqual([levelText(policy.enforce), levelText(policy.warn), levelText(policy.audit)], ['baseline:v1.25', 'baseline:v1.25', 'privileged:latest']);
  });
  it('enforces the strictest for labels it cannot read', () => {
    const { policy, errors } = policyOf({ [`${LABEL}enforce`]: 'x', [`${LABEL}warn`]: 'y', [`${LABEL}audit-version`]: '1.2' }, PRIVILEGED_POLICY);
    assert.deepEqual([policy.enforce.level, policy.warn.level], ['restricted', 'privileged']);
    assert.deepEqual(errors.map((e) => `${e.field}: ${e.body}`), [
      `metadata.labels[${LABEL}enforce]: Invalid value: "x": must be one of privileged, baseline, restricted`,
      `metadata.labels[${LABEL}audit-version]: Invalid value: "1.2": must be "latest" or "v1.x"`,
      `metadata.labels[${LABEL}warn]: Invalid value: "y": must be one of privileged, baseline, restricted`,
    ]);
  });
});

describe('PodSecurity', () => {
  const namespace = (name: string, labels: Record<string, string>): KubeObject => ({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: Object.fromEntries(Object.entries(labels).map(([k, v]) => [LABEL + k, v])) } });
  const pod = (ns: string, s: coreV1.PodSpec = spec(), name = 'p') => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: ns }, spec: s }) as unknown as KubeObject;
  const reader = new FakeReader(namespace('open', {}), namespace('strict', { enforce: 'restricted' }), namespace('watched', { audit: 'baseline', warn: 'restricted' }));
  const check = (a: TestAttributes, more: Partial<PodSecurityOptions> = {}): string => {
    try {
      new PodSecurity({ reader, clock: new FakeClock(), ...more }).validate(a);
      return '';
    } catch (err) {
      assert.ok(err instanceof StatusError);
      return err.message;
    }
  };
  it('refuses Pods that violate the enforced level', () => {
    const a = attributes(pod('strict', spec({ hostNetwork: true }, { securityContext: hardened })));
    assert.equal(check(a), 'pods "p" is forbidden: violates PodSecurity "restricted:latest": host namespaces (hostNetwork=true)');
    assert.equal(a.annotations[`${LABEL}enforce-policy`], 'restricted:latest');
    assert.equal(check(attributes(pod('open', spec({ hostNetwork: true })))), '');
  });
  it('warns and annotates where it does not enforce', () => {
    const a = attributes(pod('watched', spec({ hostPID: true }, { securityContext: hardened })));
    assert.equal(check(a), '');
    assert.deepEqual(a.warnings, ['would violate PodSecurity "restricted:latest": host namespaces (hostPID=true)']);
    assert.equal(a.annotations[`${LABEL}audit-violations`], 'would violate PodSecurity "baseline:latest": host namespaces (hostPID=true)');
  });
  it('warns about templates of controllers and never refuses them', () => {
    const deployment = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'd', namespace: 'strict' }, spec: { template: { metadata: {}, spec: spec({ hostIPC: true }, { securityContext: hardened }) } } };
    const a = attributes(deployment);
    assert.equal(check(a), '');
    assert.deepEqual(a.warnings, ['would violate PodSecurity "restricted:latest": host namespaces (hostIPC=true)']);
  });
  it('leaves updates that change no image alone, and exempt users', () => {
    const old = pod('strict');
    assert.equal(check(attributes({ ...old, metadata: { ...old.metadata, labels: { a: 'b' } } }, { oldObject: old })), '');
    const exempt = attributes(pod('strict'));
    assert.equal(check(exempt, { exemptions: { usernames: ['jane'] } }), '');
    assert.equal(exempt.annotations[`${LABEL}exempt`], 'user');
  });
  it('counts what it decides, and whom it leaves out', () => {
    const metrics = new AdmissionMetrics();
    const old = new FakeReader(namespace('old', { enforce: 'baseline', 'enforce-version': 'v1.25' }), namespace('new', { enforce: 'baseline', 'enforce-version': 'v1.99' }));
    for (const ns of ['open', 'strict', 'watched']) check(attributes(pod(ns, spec({ hostPID: true }))), { metrics });
    for (const ns of ['old', 'new']) check(attributes(pod(ns)), { metrics, reader: old });
    check(attributes(pod('strict')), { metrics, exemptions: { usernames: ['jane'] } });
    const lines = metrics.text().split('\n').filter((line) => line.startsWith('pod_security'));
    const counted = (decision: string, mode: string, level: string, version: string, count = 1): string => `pod_security_evaluations_total{decision="${decision}",mode="${mode}",policy_level="${level}",policy_version="${version}",request_operation="create",resource="pod",subresource=""} ${count}`;
    assert.deepEqual(lines.toSorted(), [
      counted('allow', 'enforce', 'privileged', 'latest', 2), counted('deny', 'enforce', 'restricted', 'latest'), counted('deny', 'audit', 'baseline', 'latest'), counted('deny', 'warn', 'restricted', 'latest'),
      counted('allow', 'enforce', 'baseline', 'v1.25'), counted('allow', 'enforce', 'baseline', 'future'), 'pod_security_exemptions_total{request_operation="create",resource="pod",subresource=""} 1',
    ].toSorted());
  });
  it('refuses wrong labels on namespaces and warns of Pods that would not pass', () => {
    assert.equal(check(attributes(namespace('x', { enforce: 'y' }))), `Namespace "x" is invalid: metadata.labels[${LABEL}enforce]: Invalid value: "y": must be one of privileged, baseline, restricted`);
    reader.put(pod('open', spec({ hostNetwork: true }), 'b'));
    reader.put(pod('open', spec({ hostNetwork: true }), 'a'));
    const a = attributes(namespace('open', { enforce: 'baseline' }), { oldObject: namespace('open', {}) });
    assert.equal(check(a), '');
    assert.deepEqual(a.warnings, ['existing pods in namespace "open" violate the new PodSecurity enforce level "baseline:latest"', 'a (and 1 other pod): host namespaces']);
  });
});
