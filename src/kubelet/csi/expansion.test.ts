import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimStatus } from '#api/gen/core-v1.ts';
import { Client } from '#client/client.ts';
import type { EventRecorder } from '#client/events.ts';
import { PERSISTENT_VOLUME_CLAIMS } from '#client/kinds.ts';
import { CriError } from '#cri/error.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { makePod } from '../testing/make-pod.ts';
import { expandOnNode, pendingGrowth } from './expansion.ts';

const volume: PersistentVolume = { metadata: { name: 'pv' }, spec: { capacity: { storage: '2Gi' } } };
const claim = (status: PersistentVolumeClaimStatus): PersistentVolumeClaim => ({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'data', namespace: 'default' }, spec: {}, status: { phase: 'Bound', ...status } });

for (const [name, status, want] of [
  ['a volume that grew', { capacity: { storage: '1Gi' } }, '2Gi'], ['one that has its size', { capacity: { storage: '2048Mi' } }, undefined],
  ['one that the node cannot grow', { capacity: { storage: '1Gi' }, allocatedResourceStatuses: { storage: 'NodeResizeInfeasible' } }, undefined],
] as const) test(`pendingGrowth: ${name}`, () => assert.equal(pendingGrowth(claim(status), volume), want));

const CASES: readonly [string, Error | undefined, string[], Partial<PersistentVolumeClaimStatus>][] = [
  ['tells claim and Pod', undefined, ['Pod Normal FileSystemResizeSuccessful: MountVolume.NodeExpandVolume succeeded for volume "pv" n', 'PersistentVolumeClaim Normal FileSystemResizeSuccessful: MountVolume.NodeExpandVolume succeeded for volume "pv" n'], { capacity: { storage: '2Gi' }, allocatedResourceStatuses: {} }],
  ['tells of a failure and leaves it for the next time', new CriError('Internal', 'no'), ['Pod Warning VolumeResizeFailed: NodeExpandVolume.NodeExpandVolume failed for volume "pv" : Expander.NodeExpand failed to expand the volume : rpc error: code = Internal desc = no'], { capacity: { storage: '1Gi' }, allocatedResourceStatuses: { storage: 'NodeResizeInProgress' } }],
  ['notes what can never be', new CriError('OutOfRange', 'no'), ['Pod Warning VolumeResizeFailed: NodeExpandVolume.NodeExpandVolume failed for volume "pv" : Expander.NodeExpand failed to expand the volume : rpc error: code = OutOfRange desc = no'], { capacity: { storage: '1Gi' }, allocatedResourceStatuses: { storage: 'NodeResizeInfeasible' } }],
];
for (const [name, failure, events, want] of CASES) {
  test(`expandOnNode ${name}`, async () => {
    const api = new FakeApi();
    const before = api.put(PERSISTENT_VOLUME_CLAIMS, claim({ capacity: { storage: '1Gi' }, conditions: [{ type: 'FileSystemResizePending', status: 'True' }], allocatedResourceStatuses: { storage: 'NodeResizePending' } }));
    const told: string[] = [];
    const recorder = { eventFor: (ref: { kind?: string }, type: string, reason: string, message: string) => void told.push(`${ref.kind} ${type} ${reason}: ${message}`) } as unknown as EventRecorder;
    const asked: number[] = [];
    await expandOnNode({ client: new Client(api), recorder, nodeName: 'n' }, makePod().build(), before, volume, '2Gi', (bytes) => {
      asked.push(bytes);
      return failure ? Promise.reject(failure) : Promise.resolve();
    }, new AbortController().signal);
    assert.deepEqual([asked, told], [[2 ** 31], events]);
    const { status } = api.get<PersistentVolumeClaim>(PERSISTENT_VOLUME_CLAIMS, 'default/data')!;
    assert.deepEqual([status?.capacity, status?.allocatedResourceStatuses], [want.capacity, want.allocatedResourceStatuses]);
    assert.equal(status?.conditions?.length ?? 0, failure ? 1 : 0);
  });
}
