import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Pod } from '#api/gen/core-v1.ts';
import { makePod } from '../testing/make-pod.ts';
import { makeRuntimePod } from '../testing/make-runtime-pod.ts';
import { computePodActions, runsToReset, type ProbeView } from './pod-actions.ts';
import type { RuntimePod } from './runtime-cache.ts';

const STARTED: ProbeView = { isStarted: () => true, mustKill: () => undefined };
const NOT_STARTED: ProbeView = { ...STARTED, isStarted: () => false };
const failing = (kind: 'liveness' | 'startup'): ProbeView => ({ ...STARTED, mustKill: () => kind });

interface Wanted {
  readonly killPod?: boolean;
  readonly createSandbox?: boolean;
  readonly attempt?: number;
  readonly kill?: readonly string[];
  readonly start?: readonly string[];
  readonly init?: readonly string[];
  readonly ephemeral?: readonly string[];
}
interface Row {
  readonly name: string;
  readonly pod: Pod;
  readonly runtime?: (pod: Pod) => RuntimePod;
  readonly probes?: ProbeView;
  readonly want: Wanted;
}
const one = makePod().container('c').build();
const two = makePod().container('a').container('b').build();
const onFailure = makePod().restartPolicy('OnFailure').container('a').container('b').build();
const never = makePod().restartPolicy('Never').container('a').container('b').build();
const withInit = makePod().init('i1').init('i2').container('c').build();
const withInitNever = makePod().restartPolicy('Never').init('i1').init('i2').container('c').build();
const withSidecar = makePod().sidecar('s').init('i').container('c').build();

const ROWS: readonly Row[] = [
  { name: 'a new Pod gets a sandbox and its containers', pod: two, want: { killPod: true, createSandbox: true, start: ['a', 'b'] } },
  { name: 'a new Pod with init containers starts with the first of them', pod: withInit, want: { killPod: true, createSandbox: true, init: ['i1'] } },
  { name: 'everything runs: nothing to do', pod: two, runtime: (p) => makeRuntimePod(p).sandbox().running('a').running('b').build(), want: { attempt: 1 } },
  { name: 'one container is missing: it is started', pod: two, runtime: (p) => makeRuntimePod(p).sandbox().running('a').build(), want: { attempt: 1, start: ['b'] } },
  { name: 'a dead sandbox is replaced, everything started anew', pod: two, runtime: (p) => makeRuntimePod(p).sandbox({ ready: false }).exited('a', 137).exited('b', 137).build(), want: { killPod: true, createSandbox: true, attempt: 1, start: ['a', 'b'] } },
  { name: 'a sandbox without an address is replaced', pod: one, runtime: (p) => makeRuntimePod(p).sandbox({ ip: '' }).build(), want: { killPod: true, createSandbox: true, attempt: 1, start: ['c'] } },
  { name: 'a sandbox in the wrong network is replaced', pod: one, runtime: (p) => makeRuntimePod(p).sandbox({ hostNetwork: true }).build(), want: { killPod: true, createSandbox: true, attempt: 1, start: ['c'] } },
  { name: 'two ready sandboxes are one too many', pod: one, runtime: (p) => makeRuntimePod(p).sandbox().running('c').sandbox().build(), want: { killPod: true, createSandbox: true, attempt: 2, start: ['c'] } },
  { name: 'Never: a Pod that ran gets no second sandbox', pod: never, runtime: (p) => makeRuntimePod(p).sandbox({ ready: false }).exited('a', 137).exited('b', 137).build(), want: { killPod: true, attempt: 1 } },
  { name: 'Never: a sandbox that died before anything ran is replaced', pod: never, runtime: (p) => makeRuntimePod(p).sandbox({ ready: false }).build(), want: { killPod: true, createSandbox: true, attempt: 1, start: ['a', 'b'] } },
  { name: 'OnFailure: in a new sandbox only what failed runs again', pod: onFailure, runtime: (p) => makeRuntimePod(p).sandbox({ ready: false }).exited('a', 0).exited('b', 1).build(), want: { killPod: true, createSandbox: true, attempt: 1, start: ['b'] } },
  { name: 'OnFailure: everything succeeded, no sandbox is needed', pod: onFailure, runtime: (p) => makeRuntimePod(p).sandbox({ ready: false }).exited('a', 0).exited('b', 0).build(), want: { killPod: true, attempt: 1 } },
  { name: 'Always: an ended container is started again', pod: one, runtime: (p) => makeRuntimePod(p).sandbox().exited('c', 0).build(), want: { attempt: 1, start: ['c'] } },
  { name: 'OnFailure: a success stays, a failure is started again', pod: onFailure, runtime: (p) => makeRuntimePod(p).sandbox().exited('a', 0).exited('b', 2).build(), want: { attempt: 1, start: ['b'] } },
  { name: 'Never: everything ended, the Pod is over', pod: never, runtime: (p) => makeRuntimePod(p).sandbox().exited('a', 0).exited('b', 2).build(), want: { killPod: true, attempt: 1 } },
  { name: 'Never: one still runs', pod: never, runtime: (p) => makeRuntimePod(p).sandbox().running('a').exited('b', 2).build(), want: { attempt: 1 } },
  { name: 'a created container that was never started is made anew', pod: one, runtime: (p) => makeRuntimePod(p).sandbox().created('c').build(), want: { attempt: 1, start: ['c'] } },
  { name: 'a container of unknown state is killed and made anew', pod: one, runtime: (p) => makeRuntimePod(p).sandbox().unknown('c').build(), want: { attempt: 1, kill: ['unknown c'], start: ['c'] } },
  { name: 'a changed image restarts the container, whatever the policy', pod: never, runtime: (p) => makeRuntimePod(p).sandbox().running('a', { hash: 'other' }).running('b').build(), want: { attempt: 1, kill: ['specChanged a'], start: ['a'] } },
  { name: 'a failed liveness probe kills; the restart follows the end', pod: one, runtime: (p) => makeRuntimePod(p).sandbox().running('c').build(), probes: failing('liveness'), want: { attempt: 1, kill: ['livenessProbe c'] } },
  { name: 'a failed startup probe kills too', pod: one, runtime: (p) => makeRuntimePod(p).sandbox().running('c').build(), probes: failing('startup'), want: { attempt: 1, kill: ['startupProbe c'] } },
  { name: 'init: the next one when the first succeeded', pod: withInit, runtime: (p) => makeRuntimePod(p).sandbox().exited('i1', 0).build(), want: { attempt: 1, init: ['i2'] } },
  { name: 'init: waits while one runs', pod: withInit, runtime: (p) => makeRuntimePod(p).sandbox().running('i1').build(), want: { attempt: 1 } },
  { name: 'init: all done, main containers start', pod: withInit, runtime: (p) => makeRuntimePod(p).sandbox().exited('i1', 0).exited('i2', 0).build(), want: { attempt: 1, start: ['c'] } },
  { name: 'init: a failure runs again', pod: withInit, runtime: (p) => makeRuntimePod(p).sandbox().exited('i1', 1).build(), want: { attempt: 1, init: ['i1'] } },
  { name: 'init: a failure with Never ends the Pod', pod: withInitNever, runtime: (p) => makeRuntimePod(p).sandbox().exited('i1', 1).build(), want: { killPod: true, attempt: 1 } },
  { name: 'init: remains that were removed are not run again once main containers exist', pod: withInit, runtime: (p) => makeRuntimePod(p).sandbox().running('c').build(), want: { attempt: 1 } },
  { name: 'init: a new sandbox starts them all over', pod: withInit, runtime: (p) => makeRuntimePod(p).sandbox({ ready: false }).exited('i1', 0).exited('i2', 0).exited('c', 137).build(), want: { killPod: true, createSandbox: true, attempt: 1, init: ['i1'] } },
  { name: 'sidecar: what follows waits until it has started', pod: withSidecar, runtime: (p) => makeRuntimePod(p).sandbox().running('s').build(), probes: NOT_STARTED, want: { attempt: 1 } },
  { name: 'sidecar: started, the next init container runs', pod: withSidecar, runtime: (p) => makeRuntimePod(p).sandbox().running('s').build(), want: { attempt: 1, init: ['i'] } },
  { name: 'sidecar: ended beside running main containers, it is started again', pod: withSidecar, runtime: (p) => makeRuntimePod(p).sandbox().exited('s', 1).exited('i', 0).running('c').build(), want: { attempt: 1, init: ['s'] } },
  { name: 'sidecar: does not keep a Pod alive whose main containers have ended', pod: makePod().restartPolicy('Never').sidecar('s').container('c').build(), runtime: (p) => makeRuntimePod(p).sandbox().running('s').exited('c', 0).build(), want: { killPod: true, attempt: 1 } },
  { name: 'ephemeral containers start beside what runs', pod: makePod().container('c').ephemeral('debug').build(), runtime: (p) => makeRuntimePod(p).sandbox().running('c').build(), want: { attempt: 1, ephemeral: ['debug'] } },
  { name: 'ephemeral containers are never started twice', pod: makePod().container('c').ephemeral('debug').build(), runtime: (p) => makeRuntimePod(p).sandbox().running('c').exited('debug', 1).build(), want: { attempt: 1 } },
  {
    name: 'restart rules: an exit code that is listed restarts in spite of Never',
    pod: makePod().restartPolicy('Never').container('c', { restartPolicy: 'Never', restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }] }).build(),
    runtime: (p) => makeRuntimePod(p).sandbox().exited('c', 42).build(), want: { attempt: 1, start: ['c'] },
  },
  {
    name: 'restart rules: another exit code goes by the policy',
    pod: makePod().restartPolicy('Always').container('c', { restartPolicy: 'Never', restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }] }).build(),
    runtime: (p) => makeRuntimePod(p).sandbox().exited('c', 1).build(), want: { killPod: true, attempt: 1 },
  },
  {
    name: 'restart rules: NotIn restarts what is not listed',
    pod: makePod().restartPolicy('Never').container('c', { restartPolicy: 'Never', restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'NotIn', values: [0, 1] } }] }).build(),
    runtime: (p) => makeRuntimePod(p).sandbox().exited('c', 2).build(), want: { attempt: 1, start: ['c'] },
  },
];
for (const { name, pod, runtime, probes = STARTED, want } of ROWS) {
  test(`computePodActions: ${name}`, () => {
    const actions = computePodActions(pod, runtime?.(pod), probes);
    assert.deepEqual({
      killPod: actions.killPod, createSandbox: actions.createSandbox, attempt: actions.attempt, kill: actions.containersToKill.map((k) => `${k.reason} ${k.name}`), start: actions.containersToStart.map((c) => c.name),
      init: actions.initToStart.map((c) => c.name), ephemeral: actions.ephemeralToStart.map((c) => c.name),
    }, { killPod: false, createSandbox: false, attempt: 0, kill: [], start: [], init: [], ephemeral: [], ...want });
  });
}
test('computePodActions: the message of a kill says whether a restart follows', () => {
  const message = (pod: Pod, name: string) => computePodActions(pod, makeRuntimePod(pod).sandbox().running(name).build(), failing('liveness')).containersToKill[0]?.message;
  assert.equal(message(one, 'c'), 'Container c failed liveness probe, will be restarted');
  assert.equal(message(makePod().restartPolicy('Never').container('c').build(), 'c'), 'Container c failed liveness probe');
});
test('runsToReset: every run, main containers before init containers, those that ask for it last; nothing once they run again', () => {
  const rules = { restartPolicy: 'Never', restartPolicyRules: [{ action: 'RestartAllContainers' as const, exitCodes: { operator: 'NotIn' as const, values: [0] } }] };
  const pod = makePod().init('i').sidecar('s').container('a', rules).container('b').build();
  const ids = (build: (of: ReturnType<typeof makeRuntimePod>) => ReturnType<typeof makeRuntimePod>) => runsToReset(pod, build(makeRuntimePod(pod).sandbox()).build()).map((r) => r.id);
  assert.deepEqual(ids((r) => r.exited('i').running('s').exited('a', 3).exited('b', 1).running('b')), ['b-1', 'b-0', 'i-0', 's-0', 'a-0']);
  assert.deepEqual(ids((r) => r.exited('i').running('s').exited('a', 0).running('b')), []);
  assert.deepEqual(ids((r) => r.exited('i').running('s').exited('a', 3).running('a').running('b')), []);
});
