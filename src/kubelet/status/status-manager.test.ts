import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, PodStatus } from '#api/gen/core-v1.ts';
import { NODES, PODS } from '#client/kinds.ts';
import { makePod } from '../testing/make-pod.ts';
import { NODE, runKubelet } from '../testing/running-kubelet.ts';
import { statusPatch } from './status-manager.ts';

const ROWS: readonly { name: string; from: PodStatus; to: PodStatus; want: unknown }[] = [
  { name: 'the same', from: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] }, to: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] }, want: undefined },
  { name: 'null and absent are the same', from: { phase: 'Running', message: null as unknown as string }, to: { phase: 'Running' }, want: undefined },
  { name: 'a new phase', from: { phase: 'Pending' }, to: { phase: 'Running' }, want: { phase: 'Running' } },
  { name: 'a reason that goes', from: { phase: 'Running', reason: 'x' }, to: { phase: 'Running' }, want: { reason: null } },
  { name: 'fields of others stay', from: { nominatedNodeName: 'n', phase: 'Running' }, to: { phase: 'Running' }, want: undefined },
  { name: 'addresses are replaced as a list', from: { podIPs: [{ ip: '1' }] }, to: { podIPs: [{ ip: '2' }] }, want: { podIPs: [{ $patch: 'replace' }, { ip: '2' }] } },
  { name: 'a condition that changed, with what it lost named', from: { conditions: [{ type: 'Ready', status: 'False', reason: 'x', message: 'y' }] }, to: { conditions: [{ type: 'Ready', status: 'True' }] }, want: { conditions: [{ type: 'Ready', status: 'True', reason: null, message: null }] } },
  { name: 'conditions of others stay', from: { conditions: [{ type: 'example.com/x', status: 'True' }] }, to: { conditions: [] }, want: undefined },
  { name: 'an own condition that goes', from: { conditions: [{ type: 'PodResizePending', status: 'True' }] }, to: { conditions: [] }, want: { conditions: [{ $patch: 'delete', type: 'PodResizePending' }] } },
  { name: 'a disruption that another has told stays', from: { conditions: [{ type: 'DisruptionTarget', status: 'True', reason: 'PreemptionByScheduler' }] }, to: { conditions: [] }, want: undefined },
  { name: 'PodScheduled goes with the generation that the node has seen', from: { conditions: [{ type: 'PodScheduled', status: 'True', observedGeneration: 1 }] }, to: { conditions: [{ type: 'PodScheduled', status: 'True', observedGeneration: 2 }] }, want: { conditions: [{ type: 'PodScheduled', status: 'True', observedGeneration: 2, reason: null, message: null }] } },
];
for (const { name, from, to, want } of ROWS) {
  test(`statusPatch: ${name}`, () => assert.deepEqual(statusPatch(from, to), want));
}

test('StatusManager says again what somebody else has changed, once the node is Ready', async () => {
  // The node is what the test says it is: the kubelet's own report would make it Ready again.
  await using k = await runKubelet({ config: { nodeStatusUpdateFrequencyMs: 3_600_000 } });
  k.create(makePod().container('c').build());
  const ready = (): string | undefined => k.pod('web')?.status?.conditions?.find((c) => c.type === 'Ready')?.status;
  const mark = (): void => {
    const pod = k.pod('web')!;
    k.api.put(PODS, { ...pod, status: { ...pod.status, conditions: pod.status!.conditions!.map((c) => (c.type === 'Ready' ? { ...c, status: 'False' } : c)) } });
  };
  const nodeIs = (status: string): void => {
    const node = k.api.get<Node>(NODES, NODE)!;
    k.api.put(NODES, { ...node, status: { ...node.status, conditions: node.status!.conditions!.map((c) => (c.type === 'Ready' ? { ...c, status } : c)) } });
  };
  await k.until('the Pod to be ready', () => ready() === 'True');
  mark();
  assert.equal(ready(), 'False');
  await k.until('the Pod to be ready again', () => ready() === 'True');
  nodeIs('Unknown');
  await k.clock.advance(100);
  mark();
  await k.clock.advance(3000);
  assert.equal(ready(), 'False', 'the node is not Ready: the word of the control plane stands');
  nodeIs('True');
  await k.until('the Pod to be ready with its node', () => ready() === 'True');
});

test('StatusManager counts each end of a container once', async () => {
  await using k = await runKubelet({ container: ({ metadata }) => ({ exit: { afterMs: 200, code: metadata!.name === 'i' ? 0 : 7 } }) });
  k.create(makePod().restartPolicy('Never').init('i').container('c').build());
  await k.until('its end', () => k.pod('web')?.status?.phase === 'Failed');
  const lines = (await k.kubelet.host().metrics('kubelet', new AbortController().signal)).split('\n').filter((l) => l.startsWith('kubelet_terminated_containers_total{'));
  assert.deepEqual(lines, [
    'kubelet_terminated_containers_total{container_type="init_container",exit_code="0",reason="Completed"} 1',
    'kubelet_terminated_containers_total{container_type="container",exit_code="7",reason="Error"} 1',
  ]);
});
