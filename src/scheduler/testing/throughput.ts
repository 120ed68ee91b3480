/**
 * Measures the scheduler on a fake API server: `tools/run-node src/scheduler/testing/throughput.ts [nodes] [pods] [kind]`.
 * Kinds: `plain`, `service` (spread by a Service's selector), `spread` (a constraint of its own), `affinity` (anti-affinity by host).
 */
import type { Pod, Service } from '#api/gen/core-v1.ts';
import { systemClock } from '#base/clock.ts';
import { Client } from '#client/client.ts';
import { NODES, PODS, SERVICES } from '#client/kinds.ts';
import { newScheduler } from '../scheduler.ts';
import { FakeApiServer } from './fake-api-server.ts';
import { makeNode } from './make-node.ts';
import { makePod, type PodBuilder } from './make-pod.ts';

const [nodes = 1000, pods = 5000] = process.argv.slice(2, 4).map(Number);
const kind = process.argv[4] ?? 'plain';
const shape: Readonly<Record<string, (pod: PodBuilder, i: number) => PodBuilder>> = {
  plain: (pod) => pod,
  service: (pod) => pod.label('app', 'web'),
  spread: (pod) => pod.label('app', 'web').spread('topology.kubernetes.io/zone', 1, 'DoNotSchedule', { matchLabels: { app: 'web' } }),
  affinity: (pod, i) => pod.label('app', `web-${i % 50}`).podAntiAffinity('kubernetes.io/hostname', { app: `web-${i % 50}` }),
};

const api = new FakeApiServer();
for (let i = 0; i < nodes; i++) api.put(NODES, makeNode(`node-${i}`).zone(`zone-${i % 3}`).capacity({ cpu: '32', memory: '64Gi', pods: '256' }).obj());
if (kind === 'service') api.put<Service>(SERVICES, { apiVersion: 'v1', kind: 'Service', metadata: { name: 'web', namespace: 'default' }, spec: { selector: { app: 'web' } } });
const scheduler = newScheduler({ client: new Client(api, 'kube-scheduler'), clock: systemClock });
await scheduler.start(new AbortController().signal);

const created = new Map<string, number>();
const latencies: number[] = [];
let allBound = Promise.withResolvers<void>();
let expected = 0;
api.intercept = (call) => {
  if (call.subresource !== 'binding') return;
  latencies.push(performance.now() - created.get(call.name!)!);
  if (latencies.length === expected) allBound.resolve();
};
const make = (i: number): Pod => shape[kind]!(makePod(`pod-${i}`).req({ cpu: '100m', memory: '64Mi' }), i).obj();
async function run(from: number, count: number, gapMs: number): Promise<number> {
  latencies.length = 0;
  expected = count;
  allBound = Promise.withResolvers();
  const start = performance.now();
  for (let i = from; i < from + count; i++) {
    const pod = make(i);
    created.set(pod.metadata.name!, performance.now());
    api.put(PODS, pod);
    if (gapMs > 0) await new Promise((resolve) => setTimeout(resolve, gapMs));
  }
  await allBound.promise;
  return performance.now() - start;
}
const percentile = (p: number): string => latencies.toSorted((a, b) => a - b)[Math.floor((latencies.length - 1) * p)]!.toFixed(2);

const burst = await run(0, pods, 0);
console.log(`${kind}: ${nodes} nodes, ${pods} pods at once: ${Math.round((pods / burst) * 1000)} pods/s`);
await run(pods, 300, 4);
console.log(`${kind}: one pod every 4 ms: bound after p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms`);
await scheduler.stop();
