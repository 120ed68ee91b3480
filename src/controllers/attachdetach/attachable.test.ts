import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod } from '#api/gen/core-v1.ts';
import { attachableVolumes, isExclusive, maySnatch, multiAttachMessage, wantedOn, type Known } from './attachable.ts';

const pod = (name: string, namespace = 'default', phase = 'Running'): Pod => ({ metadata: { name, namespace, uid: name }, spec: { nodeName: 'n', containers: [], volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] }, status: { phase: phase as 'Running' } });
const volume = (accessModes: string[] = ['ReadWriteOnce']): PersistentVolume => ({ metadata: { name: 'pv' }, spec: { accessModes: accessModes as never, claimRef: { uid: 'claim' }, csi: { driver: 'd', volumeHandle: 'h' } } });
const claim = (uid = 'claim'): PersistentVolumeClaim => ({ metadata: { name: 'data', namespace: 'default', uid }, spec: { volumeName: 'pv' } });
const known = (more: Partial<Known> = {}): Known => ({ claim: () => claim(), volume: () => volume(), driver: () => undefined, ...more });

const CASES: readonly [string, Known, number][] = [
  ['a bound CSI volume, even without a CSIDriver object', known(), 1],
  ['one of a driver that needs no attaching', known({ driver: () => ({ metadata: {}, spec: { attachRequired: false } }) }), 0],
  ['a claim that another volume is bound to', known({ claim: () => claim('other') }), 0],
  ['a volume of another kind', known({ volume: () => ({ metadata: { name: 'pv' }, spec: { claimRef: { uid: 'claim' }, hostPath: { path: '/x' } } }) }), 0],
];
for (const [name, given, count] of CASES) test(`attachableVolumes: ${name}`, () => assert.equal(attachableVolumes(pod('p'), given).length, count));

test('wantedOn: Pods share an attachment, Pods that have ended want none', () => {
  const wanted = [...wantedOn('n', [pod('a'), pod('b'), pod('c', 'default', 'Succeeded')], known()).values()];
  assert.deepEqual(wanted.map((w) => [w.uniqueName, w.pods.map((p) => p.metadata.name)]), [['kubernetes.io/csi/d^h', ['a', 'b']]]);
});
for (const [modes, exclusive] of [[['ReadWriteOnce'], true], [['ReadWriteOncePod'], true], [['ReadWriteOnce', 'ReadOnlyMany'], false], [['ReadWriteMany'], false]] as const) {
  test(`isExclusive: ${modes.join()}`, () => assert.equal(isExclusive(volume([...modes])), exclusive));
}
const MULTI: readonly [string, Pod[], string][] = [
  ['nobody known', [], "exclusively attached to one node and can't be attached to another"],
  ['Pods of the namespace', [pod('a'), pod('b')], 'used by pod(s) a, b'],
  ['Pods here and elsewhere', [pod('a'), pod('b', 'x')], 'used by pod(s) a and 1 pod(s) in different namespaces'],
  ['Pods elsewhere', [pod('b', 'x')], 'used by 1 pod(s) in different namespaces'],
];
for (const [name, others, want] of MULTI) test(`multiAttachMessage: ${name}`, () => assert.equal(multiAttachMessage('pv', pod('p'), others), `Multi-Attach error for volume "pv" Volume is already ${want}`));

const node = (ready: string, taints: { key: string; effect: string }[] = []): Node => ({ metadata: { name: 'n' }, spec: { taints: taints as never }, status: { conditions: [{ type: 'Ready', status: ready } as never] } });
for (const [name, given, want] of [['a node that is well', node('True'), 'no'], ['a node that is not', node('Unknown'), 'later'], ['no node', undefined, 'later'], ['a node out of service', node('Unknown', [{ key: 'node.kubernetes.io/out-of-service', effect: 'NoExecute' }]), 'now']] as const) {
  test(`maySnatch: ${name}`, () => assert.equal(maySnatch(given), want));
}
