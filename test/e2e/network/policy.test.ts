/** NetworkPolicies: who is kept out and let in, on both nodes, and from the first moment of a Pod on. */
import assert from 'node:assert/strict';
import type { Pod } from '#api/gen/core-v1.ts';
import type { NetworkPolicySpec } from '#api/gen/networking-v1.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitForLog, waitForPhase, waitForReady } from '../harness/conditions.ts';
import { runProgram } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
const { test } = onCluster({ images: [BUSYBOX], neighbour: true });

const SERVE = 'mkdir -p /www; hostname > /www/index.html; httpd -p 9090 -h /www; exec httpd -f -p 8080 -h /www';
const pod = (name: string, command: string, labels: object, spec: object = {}): object => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name, labels },
  spec: { terminationGracePeriodSeconds: 1, ...spec, containers: [{ name: 'c', image: 'busybox:1.37', command: ['sh', '-c', command], ports: [{ name: 'web', containerPort: 8080 }], ...(command === SERVE && { readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } }) }] },
});
const policy = (name: string, spec: NetworkPolicySpec): object => ({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata: { name }, spec });
const app = (name: string) => ({ podSelector: { matchLabels: { app: name } } });

const inPod = async (c: TestCluster, name: string, command: string): Promise<string> => (await c.kubectl(['exec', name, '--', 'sh', '-c', command])).stdout.trim();
/** Resolves when a connection comes about. */
const opens = async (c: TestCluster, from: string, ip: string, port = 8080): Promise<void> => assert.equal(await inPod(c, from, `until nc -w 1 ${ip} ${port} < /dev/null; do sleep 0.1; done; echo open`), 'open');
/** Resolves when none does. */
const closes = async (c: TestCluster, from: string, ip: string, port = 8080): Promise<void> => assert.equal(await inPod(c, from, `while nc -w 1 ${ip} ${port} < /dev/null; do sleep 0.1; done; echo closed`), 'closed');
const addressOf = (p: Pod): string => p.status!.podIP!;

let [db, far]: string[] = [];

test('a default deny closes servers of both nodes, and leaves the way out, the probes and the node', async (c) => {
  await c.neighbour.join();
  await c.neighbour.podyard(['image', 'load', await c.imageArchive([BUSYBOX])]);
  for (const object of [pod('db', SERVE, { app: 'db' }, { nodeName: 'node01' }), pod('far', SERVE, { app: 'far' }, { nodeName: 'node02' }), pod('api', 'sleep 3600', { app: 'api' }, { nodeName: 'node01' }), pod('stranger', 'sleep 3600', { app: 'stranger' }, { nodeName: 'node01' })]) await c.apply(object);
  [db, far] = (await Promise.all(['db', 'far', 'api', 'stranger'].map((name) => waitForReady(c, name)))).map(addressOf) as [string, string];
  const table = `${(await c.config()).nftTable}_policy`;
  assert.equal((await runProgram('nft', ['list', 'tables'])).stdout.includes(table), false, 'no policy, no table');
  await Promise.all([opens(c, 'stranger', db), opens(c, 'stranger', far)]);
  await c.apply(policy('default-deny', { podSelector: {}, policyTypes: ['Ingress'] }));
  await Promise.all([closes(c, 'stranger', db), closes(c, 'stranger', far), closes(c, 'db', far)]);
  assert.equal(await (await fetch(`http://${db}:8080/`)).text(), 'db\n', 'the node reaches its own Pods');
  await opens(c, 'db', '127.0.0.1');
  await opens(c, 'db', (await c.config()).nodeIP, (await c.config()).apiPort);
});

test('a policy lets in the Pods that it names, on the ports that it names, and a change of labels counts', async (c) => {
  const ingress = [{ from: [app('api')], ports: [{ port: 'web' }] }];
  await c.apply(policy('db', { ...app('db'), policyTypes: ['Ingress'], ingress }));
  await c.apply(policy('far', { ...app('far'), policyTypes: ['Ingress'], ingress }));
  await Promise.all([opens(c, 'api', db!), opens(c, 'api', far!)]);
  await Promise.all([closes(c, 'api', db!, 9090), closes(c, 'stranger', db!), closes(c, 'stranger', far!)]);
  await c.kubectl('label pod stranger app=api --overwrite');
  await Promise.all([opens(c, 'stranger', db!), opens(c, 'stranger', far!)]);
  await c.kubectl('label pod stranger app=stranger --overwrite');
  await Promise.all([closes(c, 'stranger', db!), closes(c, 'stranger', far!)]);
});

test('a policy for egress lets out to whom it names, and to names on either node', async (c) => {
  await c.apply(policy('out', { ...app('api'), policyTypes: ['Egress'], egress: [{ to: [app('far')] }] }));
  await c.apply(policy('far-out', { ...app('far'), policyTypes: ['Egress'] }));
  await Promise.all([closes(c, 'api', db!), closes(c, 'far', db!)]);
  await opens(c, 'api', far!);
  for (const name of ['api', 'far']) assert.match(await inPod(c, name, 'nslookup kubernetes.default.svc.cluster.local'), /Address: \S+/);
  await c.kubectl('delete networkpolicy out');
  await opens(c, 'api', db!);
});

test('a Pod that is created under a policy is open at no moment', async (c) => {
  await c.apply(policy('quiet', { ...app('quiet'), policyTypes: ['Ingress', 'Egress'] }));
  // One that is about to be made has one of the next addresses of the range: a client each, which tries all the time.
  await c.apply(pod('looker', 'sleep 3600', { app: 'looker' }, { nodeName: 'node01' }));
  const [, prefix = '', last = ''] = /^(.*\.)(\d+)$/.exec(addressOf(await waitForReady(c, 'looker'))) ?? [];
  const loops = [1, 2, 3, 4].map((i) => `(while :; do nc -w 1 ${prefix}${Number(last) + i} 8080 < /dev/null && echo open ${i}; sleep 0.02; done) &`).join(' ');
  await using looking = await c.startKubectl(['exec', 'looker', '--', 'sh', '-c', `${loops} wait`]);
  for (let i = 1; i <= 3; i++) {
    // The first thing that it does is to go out.
    await c.apply(pod(`quiet-${i}`, `i=0; while [ $i -lt 5 ]; do nc -w 1 ${db} 8080 < /dev/null && echo escaped; i=$((i+1)); done; echo tried; ${SERVE}`, { app: 'quiet' }, { nodeName: 'node01' }));
    assert.equal(addressOf(await waitForPhase(c, `quiet-${i}`, 'Running')), `${prefix}${Number(last) + i}`);
  }
  for (let i = 1; i <= 3; i++) assert.equal((await waitForLog(c, `quiet-${i}`, /tried/)).includes('escaped'), false);
  // What no policy selects is seen at once.
  await c.kubectl('delete networkpolicy default-deny');
  await c.apply(pod('open', SERVE, { app: 'open' }, { nodeName: 'node01' }));
  await looking.seen(/open 4/);
  assert.doesNotMatch(looking.stdout, /open [123]/);
});

test('without policies everything is open again, and the table is gone', async (c) => {
  await c.kubectl('delete networkpolicies --all');
  await Promise.all([opens(c, 'stranger', db!), opens(c, 'stranger', far!)]);
  const table = `${(await c.config()).nftTable}_policy`;
  await c.shell(`while nft list tables | grep -q ${table}; do sleep 0.1; done`);
  await c.kubectl('delete pods --all --now');
});
