import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerRestartRule, ContainerStatus, Pod, PodCondition } from '#api/gen/core-v1.ts';
import { makePod } from '../testing/make-pod.ts';
import { runKubelet, type RunningKubelet } from '../testing/running-kubelet.ts';

const RULES: readonly ContainerRestartRule[] = [{ action: 'RestartAllContainers', exitCodes: { operator: 'In', values: [42] } }];
const condition = (pod: Pod | undefined): PodCondition | undefined => pod?.status?.conditions?.find((c) => c.type === 'AllContainersRestarting');
const statuses = (pod: Pod | undefined): readonly ContainerStatus[] => [...(pod?.status?.initContainerStatuses ?? []), ...(pod?.status?.containerStatuses ?? [])];

/** A Pod one of whose containers ends with 42 in its first run, once the others run. */
async function runWithSource(source: string): Promise<RunningKubelet> {
  const k = await runKubelet({ container: ({ metadata }) => {
    const { name, attempt } = metadata!;
    if (name === source && attempt === 0) return { exit: { afterMs: 300, code: 42 } };
    return name === 'init' ? { exit: { afterMs: 50, code: 0 } } : undefined;
  } });
  const own = (name: string) => (name === source ? { restartPolicyRules: RULES } : {});
  k.create(makePod().restartPolicy('Never').init('init', { restartPolicy: 'Never', ...own('init') }).sidecar('sidecar', own('sidecar')).container('main', { restartPolicy: 'Never', ...own('main') }).container('other').build());
  return k;
}

for (const source of ['main', 'sidecar']) {
  test(`an end of the ${source === 'main' ? 'main container' : 'sidecar'} that its rules single out restarts every container of the Pod, init containers too, in its sandbox`, async () => {
    await using k = await runWithSource(source);
    await k.until('the Pod to run', () => statuses(k.pod('web')).filter((s) => s.state?.running).length === 3);
    assert.equal(condition(k.pod('web'))?.status, 'False');
    const [sandbox] = (await k.runtime.listPodSandbox({})).items;
    await k.until('everything to run again', () => statuses(k.pod('web')).filter((s) => s.state?.running && s.restartCount === 1).length === 3);
    assert.equal(condition(k.pod('web'))?.status, 'False');
    assert.deepEqual(statuses(k.pod('web')).map((s) => [s.name, s.restartCount, s.lastState?.terminated?.reason, s.lastState?.terminated?.exitCode]), ['init', 'sidecar', 'main', 'other'].map((name) => [name, 1, 'RestartingAllContainers', 137]));
    const { phase, conditions } = k.pod('web')!.status!;
    assert.deepEqual([phase, conditions!.find((c) => c.type === 'Initialized')!.status], ['Running', 'True']);
    assert.deepEqual((await k.runtime.listPodSandbox({})).items.map((s) => s.id), [sandbox!.id]);
    assert.equal((await k.runtime.listContainers({})).containers.length, 4, 'the runs before are removed');
  });
}
test('an init container restarts those before it, and itself; a Pod without such rules has no condition of it', async () => {
  await using k = await runWithSource('init');
  await k.until('the Pod to run', () => statuses(k.pod('web')).filter((s) => s.state?.running).length === 3);
  assert.deepEqual(statuses(k.pod('web')).map((s) => [s.name, s.restartCount]), [['init', 1], ['sidecar', 0], ['main', 0], ['other', 0]]);
  k.create(makePod().meta({ name: 'plain', uid: 'uid-plain' }).container('c').build());
  await k.until('the other Pod to run', () => k.pod('plain')?.status?.phase === 'Running');
  assert.equal(condition(k.pod('plain')), undefined);
});
