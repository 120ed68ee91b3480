import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Container } from '#api/gen/core-v1.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { newKubeletMetrics } from '../metrics.ts';
import { machineOf } from '../testing/machines.ts';
import { makePod } from '../testing/make-pod.ts';
import { NO_HINTS, type Hint, type ResourceHints } from './hints.ts';
import { maskOf, nodesOf } from './numa-mask.ts';
import { topologyPolicy, type TopologyPolicyName } from './policy.ts';
import { TopologyManager, type HintProvider, type TopologyScope } from './topology-manager.ts';

const { signal } = new AbortController();
const at = (...nodes: number[]): Hint => ({ nodes: maskOf(nodes), preferred: true });

/** Gives whatever is asked for; writes down who was given it where. */
function provider(log: string[], hintsOf: (name: string) => ResourceHints, allocate: (container: Container) => Promise<void> | void = () => {}): HintProvider {
  return {
    begin: (pod) => ({
      podHints: () => hintsOf(pod.metadata.name!),
      hints: (c) => hintsOf(c.name),
      async allocate(container, { nodes }) {
        log.push(`${pod.metadata.name}/${container.name}@${nodes === undefined ? 'any' : nodesOf(nodes).join('')}`);
        await allocate(container);
      },
    }),
  };
}
function managerWith(name: TopologyPolicyName, scope: TopologyScope, providers: readonly HintProvider[]) {
  const metrics = newKubeletMetrics();
  const policy = name === 'none' ? undefined : topologyPolicy(name, {}, machineOf({ sockets: 2 }).nodes);
  const manager = new TopologyManager({ policy, scope, providers, metrics, clock: new FakeClock() });
  const value = async (line: string) => new RegExp(`^kubelet_${line.replaceAll(/[{}"]/g, '\\$&')} (\\d+)$`, 'm').exec(await metrics.registry.metrics())?.[1];
  return { manager, value };
}
const POD = makePod('p').init('i').sidecar('s').container('c').container('d').build();
const BOUNDARY = 'container_aligned_compute_resources_count{scope="container",boundary="numa_node"}';
const FAILED = 'container_aligned_compute_resources_failure_count{scope="container",boundary="numa_node"}';

test('TopologyManager without a policy asks for no hints, and gives wherever there is something', async () => {
  const log: string[] = [];
  const { manager, value } = managerWith('none', 'container', [provider(log, () => assert.fail('asked for hints'))]);
  await manager.admit(POD, signal);
  assert.deepEqual(log, ['p/i@any', 'p/s@any', 'p/c@any', 'p/d@any']);
  assert.deepEqual([await value('topology_manager_admission_requests_total'), await value(BOUNDARY)], ['1', undefined]);
});
test('TopologyManager places each container in turn, with what those before it have left', async () => {
  const log: string[] = [];
  const left = new Set([0, 1]);
  const cpus = provider(log, (name) => (name === 'i' ? NO_HINTS : new Map([['cpu', [...left].map((n) => at(n))]])), (c) => { if (c.name === 'c') left.delete(0); });
  const { manager, value } = managerWith('single-numa-node', 'container', [cpus, provider(log, () => NO_HINTS)]);
  await manager.admit(POD, signal);
  assert.deepEqual(log, ['p/i@any', 'p/i@any', 'p/s@0', 'p/s@0', 'p/c@0', 'p/c@0', 'p/d@1', 'p/d@1']);
  assert.deepEqual([await value(BOUNDARY), await value(FAILED)], ['4', '0']);
});
test('TopologyManager places the Pod as a whole, by its hints together', async () => {
  const log: string[] = [];
  const { manager, value } = managerWith('single-numa-node', 'pod', [provider(log, (name) => (name === 'p' ? new Map([['cpu', [at(1)]]]) : assert.fail('asked for a container')))]);
  await manager.admit(POD, signal);
  assert.deepEqual(log, ['p/i@1', 'p/s@1', 'p/c@1', 'p/d@1']);
  assert.equal(await value('container_aligned_compute_resources_count{scope="pod",boundary="numa_node"}'), '1');
});
for (const [policy, admitted, failures] of [['best-effort', true, '0'], ['restricted', false, '0'], ['single-numa-node', false, '1']] as const) {
  test(`TopologyManager: ${policy} ${admitted ? 'lets in' : 'refuses'} what cannot lie together`, async () => {
    const log: string[] = [];
    const { manager, value } = managerWith(policy, 'container', [provider(log, () => new Map([['cpu', [at(0)]]])), provider(log, () => new Map([['example.com/gpu', [at(1)]]]))]);
    const done = manager.admit(makePod('p').container('c').build(), signal);
    if (admitted) await done;
    else await assert.rejects(done, { reason: 'TopologyAffinityError', message: 'Resources cannot be allocated with Topology locality' });
    assert.deepEqual([log.length, await value('topology_manager_admission_errors_total'), await value(FAILED)], [admitted ? 2 : 0, admitted ? '0' : '1', failures]);
  });
}
test('TopologyManager admits one Pod after the other, also after one that could not be', async () => {
  const log: string[] = [];
  const first = Promise.withResolvers<void>();
  const { manager, value } = managerWith('restricted', 'container', [provider(log, () => NO_HINTS, (c) => (c.name === 'slow' ? first.promise : undefined))]);
  const slow = manager.admit(makePod('a').container('slow').build(), signal);
  const next = manager.admit(makePod('b').container('c').build(), signal);
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(log, ['a/slow@01']);
  first.reject(new Error('out of order'));
  await assert.rejects(slow, { message: 'out of order' });
  await next;
  assert.deepEqual(log, ['a/slow@01', 'b/c@01']);
  assert.equal(await value('topology_manager_admission_errors_total'), '1');
});
test('TopologyManager: a Pod that is to end while it waits is not asked about any more', async () => {
  const log: string[] = [];
  const first = Promise.withResolvers<void>();
  const abort = new AbortController();
  const { manager } = managerWith('restricted', 'container', [provider(log, () => NO_HINTS, () => first.promise)]);
  const slow = manager.admit(makePod('a').container('c').build(), signal);
  const next = manager.admit(makePod('b').container('c').build(), abort.signal);
  abort.abort(new Error('the pod is to end'));
  first.resolve();
  await assert.rejects(next, { message: 'the pod is to end' });
  await slow;
  assert.deepEqual(log, ['a/c@01']);
});
