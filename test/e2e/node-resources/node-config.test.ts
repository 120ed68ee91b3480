/** What `kubelet.yaml` says of the node holds: its reservations, and its way down. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { PODS } from '#client/kinds.ts';
import { formatCpuSet, parseCpuSet } from '#kubelet/cpumanager/cpu-set.ts';
import { waitForLog, waitForNode, waitForReady } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
const configuration = {
  apiVersion: 'kubelet.config.k8s.io/v1beta1', kind: 'KubeletConfiguration', maxPods: 20, podPidsLimit: 200, systemReserved: { cpu: '500m', memory: '256Mi' }, evictionHard: { 'memory.available': '100Mi' },
  cpuManagerPolicy: 'static', topologyManagerPolicy: 'single-numa-node', memoryManagerPolicy: 'Static', reservedMemory: [{ numaNode: 0, limits: { memory: '356Mi' } }], shutdownGracePeriod: '20s', shutdownGracePeriodCriticalPods: '10s',
};
const { test } = onCluster({ images: [BUSYBOX], dataFiles: { 'kubelet.yaml': JSON.stringify(configuration) } });

test('allocatable is what is left of the node; configz shows what was chosen', async (c) => {
  const { status } = await waitForNode(c, c.nodeName, 'Ready', (n) => n.status?.conditions?.some((x) => x.type === 'Ready' && x.status === 'True') ?? false);
  const mebibytes = (text = '0') => (text.endsWith('Ki') ? Number(text.slice(0, -2)) / 1024 : Number(text.replace('Mi', '')));
  assert.equal(mebibytes(status!.capacity!['memory']) - mebibytes(status!.allocatable!['memory']), 356);
  assert.deepEqual([status!.allocatable!['pods'], Number(status!.capacity!['cpu']) * 1000 - 500], ['20', Number(status!.allocatable!['cpu']!.replace('m', ''))]);
  const { kubeletconfig } = JSON.parse((await c.kubectl(['get', '--raw', `/api/v1/nodes/${c.nodeName}/proxy/configz`])).stdout) as { kubeletconfig: Record<string, unknown> };
  for (const [field, value] of Object.entries(configuration)) assert.deepEqual(kubeletconfig[field], value, field);
});
test('/metrics/cadvisor has what dashboards ask for, for a container and for its network', async (c) => {
  await c.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'busy' }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: BUSYBOX, command: ['sh', '-c', 'i=0; while [ $i -lt 50000 ]; do i=$((i+1)); done; exec sleep 3600'], resources: { limits: { memory: '32Mi' } } }] } });
  await waitForReady(c, 'busy');
  const { stdout } = await c.kubectl(['get', '--raw', `/api/v1/nodes/${c.nodeName}/proxy/metrics/cadvisor`]);
  const value = (name: string, ...labels: string[]): number => {
    const line = stdout.split('\n').find((l) => l.startsWith(`${name}{`) && labels.every((x) => l.includes(x)));
    assert.ok(line, `${name} with ${labels.join(', ')}`);
    return Number(line.slice(line.lastIndexOf(' ')));
  };
  const own = ['container="c"', 'namespace="default"', 'pod="busy"', 'image="docker.io/library/busybox:1.37"'];
  assert.ok(value('container_cpu_usage_seconds_total', ...own, 'cpu="total"') > 0);
  for (const name of ['container_memory_working_set_bytes', 'container_memory_usage_bytes']) assert.ok(value(name, ...own) > 0 && value(name, ...own) < 32 * 2 ** 20, name);
  assert.equal(value('container_spec_memory_limit_bytes', ...own), 32 * 2 ** 20);
  for (const name of ['container_memory_rss', 'container_memory_cache', 'container_fs_reads_bytes_total', 'container_fs_writes_bytes_total']) assert.ok(value(name, ...own) >= 0, name);
  assert.ok(value('container_network_transmit_bytes_total', 'pod="busy"', 'interface="eth0"', 'container=""') >= 0);
  assert.ok(value('container_cpu_usage_seconds_total', 'id="/"') > value('container_cpu_usage_seconds_total', ...own));
  assert.ok(value('machine_memory_bytes') > 0 && value('machine_cpu_cores') > 0);
  assert.match(stdout, /^container_scrape_error 0$/m);
  await c.kubectl('delete pod busy --now');
});
test('a Guaranteed Pod with a whole CPU has it for itself, with memory of its NUMA node; the others move away, and back when it is gone', { timeout: 300_000 }, async (c) => {
  const online = parseCpuSet(await readFile('/sys/devices/system/cpu/online', 'utf8'));
  assert.ok(online.size >= 2, 'this test needs a machine with two CPUs or more');
  const pod = (name: string, resources: object) => ({
    apiVersion: 'v1', kind: 'Pod', metadata: { name },
    spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: BUSYBOX, command: ['sh', '-c', 'while :; do grep Cpus_allowed_list /proc/1/status; sleep 0.1; done'], resources }] },
  });
  // Prints where it runs, ten times a second.
  const seen = async (name: string, list: ReadonlySet<number>) => await waitForLog(c, `${name} --tail=1`, new RegExp(`Cpus_allowed_list:\\s+${formatCpuSet(list)}\n`));
  await c.apply(pod('shared', {}));
  await waitForReady(c, 'shared');
  await seen('shared', online);
  await c.apply(pod('alone', { limits: { cpu: '1', memory: '32Mi' } }));
  await waitForReady(c, 'alone');
  const { entries } = JSON.parse(await readFile(`${c.dataDir}/kubelet/cpu_manager_state`, 'utf8')) as { entries: Record<string, { c: string }> };
  const own = parseCpuSet(Object.values(entries)[0]!.c);
  assert.equal(own.size, 1);
  await seen('alone', own);
  await seen('shared', online.difference(own));
  const { stdout } = await c.kubectl(['exec', 'alone', '--', 'grep', 'Mems_allowed_list', '/proc/1/status']);
  const memory = JSON.parse(await readFile(`${c.dataDir}/kubelet/memory_manager_state`, 'utf8')) as { entries: Record<string, { c: { numaAffinity: number[]; type: string; size: number }[] }> };
  const node = Number(stdout.trim().split(/\s+/)[1]);
  assert.deepEqual(Object.values(memory.entries), [{ c: [{ numaAffinity: [node], type: 'memory', size: 32 * 2 ** 20 }] }]);
  const metrics = (await c.kubectl(['get', '--raw', `/api/v1/nodes/${c.nodeName}/proxy/metrics`])).stdout;
  assert.match(metrics, /^kubelet_container_aligned_compute_resources_count\{scope="container",boundary="numa_node"\} [1-9]/m);
  // The next process finds what was given where it was.
  await c.down();
  await c.up();
  await seen('alone', own);
  await seen('shared', online.difference(own));
  await c.kubectl('delete pod alone --now');
  await seen('shared', online);
  const after = JSON.parse(await readFile(`${c.dataDir}/kubelet/memory_manager_state`, 'utf8')) as typeof memory;
  assert.deepEqual(after.entries ?? {}, {});
  await c.kubectl('delete pod shared --now');
});
test('down --drain stops Pods gracefully, critical ones last, and they have ended for good', { timeout: 300_000 }, async (c) => {
  const pod = (name: string, priorityClassName?: string) => ({
    apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace: 'kube-system' },
    spec: {
      ...(priorityClassName ? { priorityClassName } : {}), restartPolicy: 'Always', volumes: [{ name: 'log', hostPath: { path: c.files } }],
      containers: [{ name: 'c', image: BUSYBOX, command: ['sh', '-c', `trap 'echo ${name} >> /log/ends; exit 0' TERM; while :; do sleep 0.1; done`], volumeMounts: [{ name: 'log', mountPath: '/log' }] }],
    },
  });
  await c.apply(pod('critical', 'system-node-critical'));
  await c.apply(pod('plain'));
  for (const name of ['critical', 'plain']) await waitForReady(c, name, { namespace: 'kube-system' });
  await c.down('--drain');
  assert.equal((await c.shell('cat ends')).stdout, 'plain\ncritical\n');
  await c.up();
  for (const name of ['critical', 'plain']) {
    const { status } = await (await c.client()).of(PODS).get('kube-system', name);
    assert.deepEqual([status!.phase, status!.reason, status!.message], ['Failed', 'Terminated', 'Pod was terminated in response to imminent node shutdown.']);
    assert.equal(status!.conditions!.find((x) => x.type === 'DisruptionTarget')!.reason, 'TerminationByKubelet');
  }
});
