import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { SecurityContext } from '#api/gen/core-v1.ts';
import { makePod } from '../testing/make-pod.ts';
import { containerSecurity, requiresAppArmor, sandboxSecurity, verifyRunAsNonRoot } from './security.ts';

const of = (container: SecurityContext, pod: NonNullable<ReturnType<ReturnType<typeof makePod>['build']>['spec']['securityContext']> = {}, image: { uid?: number; username?: string } = { uid: 0 }) => {
  const p = makePod().spec({ securityContext: pod }).container('c', { securityContext: container }).build();
  return containerSecurity(p, p.spec.containers[0]!, { seccompRoot: '/seccomp', appArmor: true, image });
};
const ROWS: readonly { name: string; got: () => object; want: object }[] = [
  { name: 'the container\'s user comes before the Pod\'s', got: () => of({ runAsUser: 1 }, { runAsUser: 2, runAsGroup: 3 }), want: { runAsUser: { value: 1 }, runAsGroup: { value: 3 } } },
  { name: 'a named user of the image goes by name', got: () => of({}, {}, { username: 'nginx' }), want: { runAsUsername: 'nginx', runAsUser: undefined } },
  { name: 'privileged: no profile, nothing masked', got: () => of({ privileged: true, allowPrivilegeEscalation: false, seccompProfile: { type: 'RuntimeDefault' } }), want: { privileged: true, noNewPrivs: false, maskedPaths: [], readonlyPaths: [], seccomp: { profileType: 'Unconfined' } } },
  { name: 'no new privileges', got: () => of({ allowPrivilegeEscalation: false }), want: { noNewPrivs: true } },
  { name: 'capabilities', got: () => of({ capabilities: { add: ['NET_ADMIN'], drop: ['ALL'] } }), want: { capabilities: { addCapabilities: ['NET_ADMIN'], dropCapabilities: ['ALL'] } } },
  { name: 'groups: fsGroup first, each once', got: () => of({}, { fsGroup: 7, supplementalGroups: [8, 7] }), want: { supplementalGroups: [7, 8] } },
  { name: 'seccomp from a file of the node', got: () => of({ seccompProfile: { type: 'Localhost', localhostProfile: 'p.json' } }), want: { seccomp: { profileType: 'Localhost', localhostRef: '/seccomp/p.json' } } },
  { name: 'AppArmor as the runtime has it, unless the Pod says how', got: () => of({}), want: { apparmor: undefined } },
  { name: 'AppArmor as the Pod says', got: () => of({ appArmorProfile: { type: 'Localhost', localhostProfile: 'p' } }), want: { apparmor: { profileType: 'Localhost', localhostRef: 'p' } } },
  { name: 'procMount Unmasked', got: () => of({ procMount: 'Unmasked' }), want: { maskedPaths: [], readonlyPaths: [] } },
  { name: 'SELinux', got: () => of({ seLinuxOptions: { level: 's0' } }), want: { selinuxOptions: { user: '', role: '', type: '', level: 's0' } } },
  { name: 'a read-only root', got: () => of({ readOnlyRootFilesystem: true }), want: { readonlyRootfs: true } },
];
for (const { name, got, want } of ROWS) {
  test(`containerSecurity: ${name}`, () => {
    const all = got() as Record<string, unknown>;
    assert.deepEqual(Object.fromEntries(Object.keys(want).map((k) => [k, all[k]])), want);
  });
}
test('containerSecurity: an ephemeral container joins the processes of its target', () => {
  const pod = makePod().container('c').ephemeral('d', { targetContainerName: 'c' }).build();
  const got = containerSecurity(pod, pod.spec.ephemeralContainers![0]!, { seccompRoot: '', appArmor: false, image: {}, targetId: 'id' });
  assert.deepEqual(got.namespaceOptions, { network: 'POD', ipc: 'POD', pid: 'TARGET', targetId: 'id' });
});
test('sandboxSecurity is privileged when one of the containers is', () => {
  assert.equal(sandboxSecurity(makePod().container('a').container('b', { securityContext: { privileged: true } }).build()).privileged, true);
  assert.equal(sandboxSecurity(makePod().container('a').build()).privileged, false);
});

const NON_ROOT: readonly { context: SecurityContext; image: { uid?: number; username?: string }; want: string | undefined }[] = [
  { context: {}, image: { uid: 0 }, want: undefined },
  { context: { runAsNonRoot: true, runAsUser: 1 }, image: { uid: 0 }, want: undefined },
  { context: { runAsNonRoot: true, runAsUser: 0 }, image: {}, want: 'container\'s runAsUser breaks non-root policy (pod: "web_default(uid-web)", container: c)' },
  { context: { runAsNonRoot: true }, image: { uid: 1000 }, want: undefined },
  { context: { runAsNonRoot: true }, image: { uid: 0 }, want: 'container has runAsNonRoot and image will run as root (pod: "web_default(uid-web)", container: c)' },
  { context: { runAsNonRoot: true }, image: {}, want: 'container has runAsNonRoot and image will run as root (pod: "web_default(uid-web)", container: c)' },
  { context: { runAsNonRoot: true }, image: { username: 'nginx' }, want: 'container has runAsNonRoot and image has non-numeric user (nginx), cannot verify user is non-root (pod: "web_default(uid-web)", container: c)' },
];
for (const { context, image, want } of NON_ROOT) {
  test(`verifyRunAsNonRoot: ${JSON.stringify(context)} on ${JSON.stringify(image)}`, () => {
    const pod = makePod().container('c', { securityContext: context }).build();
    const check = () => verifyRunAsNonRoot(pod, pod.spec.containers[0]!, image);
    if (want === undefined) check();
    else assert.throws(check, { reason: 'CreateContainerConfigError', message: want });
  });
}
test('requiresAppArmor: a profile of the Pod or of any container, but Unconfined', () => {
  assert.equal(requiresAppArmor(makePod().container('c').build()), false);
  assert.equal(requiresAppArmor(makePod().container('c', { securityContext: { appArmorProfile: { type: 'Unconfined' } } }).build()), false);
  assert.equal(requiresAppArmor(makePod().container('c').init('i', { securityContext: { appArmorProfile: { type: 'RuntimeDefault' } } }).build()), true);
  assert.equal(requiresAppArmor(makePod().spec({ securityContext: { appArmorProfile: { type: 'Localhost', localhostProfile: 'p' } } }).build()), true);
});
