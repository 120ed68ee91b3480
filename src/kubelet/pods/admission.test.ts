import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Node, NodeSelectorRequirement, Pod } from '#api/gen/core-v1.ts';
import { makePod } from '../testing/make-pod.ts';
import { admitPod, podRequests } from './admission.ts';
import { forbiddenSysctl } from './sysctls.ts';

const node = (change: Partial<Node['spec']> = {}, allocatable: Record<string, string> = {}): Node => ({
  apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1', labels: { zone: 'a', cores: '4' } }, spec: change, status: { allocatable: { cpu: '2', memory: '1Gi', pods: '3', 'ephemeral-storage': '10Gi', ...allocatable } },
});
const asking = (requests: Record<string, string>, name = 'p') => makePod(name).container('c', { resources: { requests } });
const affinity = (operator: NodeSelectorRequirement['operator'], values?: string[], key = 'zone') => makePod().container('c').spec({ affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [{ matchExpressions: [{ key, operator, ...(values ? { values } : {}) }] }] } } } }).build();
const port = (name: string, hostIP?: string, protocol?: 'UDP') => makePod(name).container('c', { ports: [{ containerPort: 80, hostPort: 80, ...(hostIP ? { hostIP } : {}), ...(protocol ? { protocol } : {}) }] }).build();

const ROWS: readonly { name: string; pod: Pod; others?: readonly Pod[]; on?: Node; want: string | undefined }[] = [
  { name: 'what fits', pod: asking({ cpu: '2', memory: '1Gi' }).build(), want: undefined },
  { name: 'cpu beside others', pod: asking({ cpu: '1500m' }).build(), others: [asking({ cpu: '600m' }, 'o').build()], want: "OutOfcpu: Node didn't have enough resource: cpu, requested: 1500, used: 600, capacity: 2000" },
  { name: 'memory', pod: asking({ memory: '2Gi' }).build(), want: "OutOfmemory: Node didn't have enough resource: memory, requested: 2147483648, used: 0, capacity: 1073741824" },
  { name: 'local disk', pod: asking({ 'ephemeral-storage': '20Gi' }).build(), want: "OutOfephemeral-storage: Node didn't have enough resource: ephemeral-storage, requested: 21474836480, used: 0, capacity: 10737418240" },
  { name: 'more Pods than the node takes', pod: makePod().container('c').build(), others: [makePod('a').build(), makePod('b').build(), makePod('d').build()], want: "OutOfpods: Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3" },
  { name: 'an extended resource that the node does not know', pod: asking({ 'example.com/gpu': '1' }).build(), want: undefined },
  { name: 'an extended resource that is used up', pod: asking({ 'example.com/gpu': '2' }).build(), on: node({}, { 'example.com/gpu': '1' }), want: "OutOfexample.com/gpu: Node didn't have enough resource: example.com/gpu, requested: 2, used: 0, capacity: 1" },
  { name: 'huge pages that are not there', pod: asking({ 'hugepages-2Mi': '2Mi' }).build(), want: "OutOfhugepages-2Mi: Node didn't have enough resource: hugepages-2Mi, requested: 2097152, used: 0, capacity: 0" },
  { name: 'a selector that matches', pod: makePod().container('c').spec({ nodeSelector: { zone: 'a' } }).build(), want: undefined },
  { name: 'a selector that does not', pod: makePod().container('c').spec({ nodeSelector: { zone: 'b' } }).build(), want: "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector" },
  { name: 'In', pod: affinity('In', ['a', 'b']), want: undefined }, { name: 'NotIn', pod: affinity('NotIn', ['a']), want: "NodeAffinity: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector" },
  { name: 'Exists', pod: affinity('Exists'), want: undefined }, { name: 'DoesNotExist', pod: affinity('DoesNotExist', undefined, 'no'), want: undefined },
  { name: 'Gt', pod: affinity('Gt', ['3'], 'cores'), want: undefined }, { name: 'Lt', pod: affinity('Lt', ['5'], 'cores'), want: undefined },
  { name: 'a host port that is taken', pod: port('p'), others: [port('o')], want: "NodePorts: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports" },
  { name: 'the same host port of another protocol', pod: port('p', undefined, 'UDP'), others: [port('o')], want: undefined },
  { name: 'the same host port on another address', pod: port('p', '127.0.0.1'), others: [port('o', '127.0.0.2')], want: undefined },
  { name: 'every address against one', pod: port('p'), others: [port('o', '127.0.0.2')], want: "NodePorts: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports" },
  { name: 'a NoExecute taint', pod: makePod().container('c').build(), on: node({ taints: [{ key: 'k', value: 'v', effect: 'NoExecute' }] }), want: "TaintToleration: Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate" },
  { name: 'a NoExecute taint that is tolerated', pod: makePod().container('c').spec({ tolerations: [{ key: 'k', operator: 'Exists' }] }).build(), on: node({ taints: [{ key: 'k', value: 'v', effect: 'NoExecute' }] }), want: undefined },
  { name: 'a NoSchedule taint is the scheduler\'s business', pod: makePod().container('c').build(), on: node({ taints: [{ key: 'k', effect: 'NoSchedule' }] }), want: undefined },
  { name: 'another operating system', pod: makePod().container('c').spec({ os: { name: 'windows' } }).build(), want: "PodOSNotSupported: Failed to admit pod as the OS field doesn't match node OS" },
  { name: 'this operating system', pod: makePod().container('c').spec({ os: { name: 'linux' } }).build(), want: undefined },
  { name: 'a label of another operating system', pod: makePod().meta({ labels: { 'kubernetes.io/os': 'windows' } }).container('c').build(), want: "PodOSSelectorNodeLabelDoesNotMatch: Failed to admit pod as the `kubernetes.io/os` label doesn't match node label" },
  { name: 'a policy of groups that the runtime does not know', pod: makePod().container('c').spec({ securityContext: { supplementalGroupsPolicy: 'Strict' } }).build(), want: 'SupplementalGroupsPolicyNotSupported: SupplementalGroupsPolicy=Strict is not supported in this node' },
  { name: 'a policy of groups that it knows', pod: makePod().container('c').spec({ securityContext: { supplementalGroupsPolicy: 'Strict' } }).build(), on: { ...node(), status: { ...node().status, features: { supplementalGroupsPolicy: true } } }, want: undefined },
  { name: 'the policy that every runtime has', pod: makePod().container('c').spec({ securityContext: { supplementalGroupsPolicy: 'Merge' } }).build(), want: undefined },
  { name: 'a sysctl that is not allowed', pod: makePod().container('c').spec({ securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] } }).build(), want: 'SysctlForbidden: forbidden sysctl: "kernel.msgmax" not allowlisted' },
];
for (const { name, pod, others = [], on = node(), want } of ROWS) {
  test(`admitPod: ${name}`, () => {
    const got = admitPod(pod, others, on);
    assert.equal(got && `${got.reason}: ${got.message}`, want);
  });
}
test('podRequests: the most at any time, sidecars beside init containers and main ones', () => {
  const r = (cpu: string) => ({ resources: { requests: { cpu } } });
  const pod = makePod().sidecar('s1', r('100m')).init('i', r('900m')).sidecar('s2', r('200m')).container('a', r('300m')).container('b', r('200m')).build();
  assert.equal(podRequests(pod).get('cpu')!.toString(), '1');
  assert.equal(podRequests(makePod().spec({ resources: { requests: { cpu: '5' } }, overhead: { cpu: '100m' } }).container('a', r('300m')).build()).get('cpu')!.toString(), '5100m');
});
for (const [name, allowed, spec, want] of [
  ['net.ipv4.tcp_syncookies', [], {}, undefined],
  ['net.core.somaxconn', [], {}, 'forbidden sysctl: "net.core.somaxconn" not allowlisted'],
  ['net.core.somaxconn', ['net.core.*'], {}, undefined],
  ['kernel.msgmax', ['kernel.msg*'], {}, undefined],
  ['vm.swappiness', ['vm.*'], {}, 'forbidden sysctl: "vm.swappiness" not allowlisted'],
  ['net.ipv4.tcp_syncookies', [], { hostNetwork: true }, 'forbidden sysctl: "net.ipv4.tcp_syncookies" not allowed with host net enabled'],
  ['kernel.shm_rmid_forced', [], { hostIPC: true }, 'forbidden sysctl: "kernel.shm_rmid_forced" not allowed with host ipc enabled'],
  ['net/ipv4/tcp_syncookies', [], {}, undefined],
] as const) {
  test(`forbiddenSysctl: ${name} with ${JSON.stringify([allowed, spec])}`, () => assert.equal(forbiddenSysctl(makePod().spec({ ...spec, securityContext: { sysctls: [{ name, value: '1' }] } }).build(), allowed), want));
}
