/** A second machine joins by two commands, its Pods are as those of the first, it goes away and comes back, and leaves nothing. */
import assert from 'node:assert/strict';
import { access, readdir, readFile } from 'node:fs/promises';
import type { Pod } from '#api/gen/core-v1.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitFor, waitForNode, waitForLog, waitForReady } from '../harness/conditions.ts';
import { PERSISTENT_VOLUMES, PODS } from '#client/kinds.ts';
import { runProgram } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
const { test } = onCluster({ images: [BUSYBOX], neighbour: true });

const SERVE = 'mkdir -p /www; hostname > /www/index.html; exec httpd -f -v -p 8080 -h /www';
const web = { name: 'c', image: 'busybox:1.37', command: ['sh', '-c', SERVE], ports: [{ containerPort: 8080 }] };
const isReady = (p: Pod): boolean => p.status?.conditions?.find((c) => c.type === 'Ready')?.status === 'True';

/** The Pods of the DaemonSet `web`, by their nodes. */
async function webPods(c: TestCluster): Promise<{ readonly node01: Pod; readonly node02: Pod }> {
  return await waitFor(c, PODS, '', 'a Pod of web on each node', (pods) => {
    const of = (node: string): Pod | undefined => [...pods.values()].find((p) => p.metadata.labels?.['app'] === 'web' && p.spec.nodeName === node && isReady(p));
    const [node01, node02] = [of('node01'), of('node02')];
    return node01 && node02 ? { node01, node02 } : undefined;
  });
}
/** What a shell in a Pod of the cluster prints. */
async function inPod(c: TestCluster, pod: Pod, command: string): Promise<string> {
  return (await c.kubectl(['exec', pod.metadata.name!, '--', 'sh', '-c', command])).stdout;
}

test('what has no valid token is told so, and changes nothing', async (c) => {
  const { net, dataDir } = c.neighbour;
  const server = `${net.hostIP}:${(await c.config()).apiPort}`;
  const { stdout } = await c.podyard(['token', 'create', '--ttl', '1h']);
  const [, token = '', hash = ''] = /--token (\S+) --discovery-token-ca-cert-hash (\S+)/.exec(stdout) ?? [];
  const refused = async (...args: string[]): Promise<string> => {
    const { code, stderr } = await c.neighbour.podyard(['join', ...args, '--yes'], { expect: 'any' });
    assert.notEqual(code, 0);
    return stderr;
  };
  assert.match(await refused(server, '--token', token), /--discovery-token-ca-cert-hash are needed; "podyard token create" on the server prints both\n/);
  assert.match(await refused(server, '--token', 'short', '--discovery-token-ca-cert-hash', hash), /the token must be six and sixteen characters/);
  assert.match(await refused(server, '--token', token, '--discovery-token-ca-cert-hash', `sha256:${'0'.repeat(64)}`), new RegExp(`${hash}`));
  await assert.rejects(access(`${dataDir}/node.json`), { code: 'ENOENT' });
  await c.podyard(['token', 'delete', token.slice(0, 6)]);
});

test('a machine joins by the command that the server prints, within seconds, and is Ready', async (c) => {
  const { stdout } = await c.neighbour.join();
  assert.match(stdout, /✔ node node02 is Ready/);
  assert.match(stdout, /^Node node02 has joined the cluster at https:\/\/\S+ after \S+ m?s\.$/m);
  assert.match((await c.shell('kubectl get nodes --no-headers')).stdout, /^node01 +Ready +control-plane .*\nnode02 +Ready +<none> .*\n$/);
  const node = await waitForNode(c, 'node02', 'with its range', (n) => n.spec.podCIDR !== undefined);
  assert.deepEqual(node.status!.addresses, [{ type: 'InternalIP', address: c.neighbour.net.ip }, { type: 'Hostname', address: 'node02' }]);
  // Its certificates came by the API, each approved.
  const requests = (await c.kubectl(['get', 'csr', '-o', 'jsonpath={range .items[*]}{.spec.signerName} {.spec.username} {.status.conditions[*].type}{"\\n"}{end}'])).stdout;
  assert.match(requests, /^kubernetes\.io\/kube-apiserver-client-kubelet system:bootstrap:[a-z0-9]{6} Approved$/m);
  assert.match(requests, /^kubernetes\.io\/kubelet-serving system:node:node02 Approved$/m);
  const status = (await c.neighbour.podyard(['status'])).stdout;
  assert.match(status, /^node +node02 Ready, v1\.36/m);
  assert.match(status, /^pods +0 of 0 running here$/m);
});

test('Pods of both nodes reach each other, Services, names and the API', async (c) => {
  await c.neighbour.podyard(['image', 'load', await c.imageArchive([BUSYBOX])]);
  await c.apply({ apiVersion: 'apps/v1', kind: 'DaemonSet', metadata: { name: 'web' }, spec: { selector: { matchLabels: { app: 'web' } }, template: { metadata: { labels: { app: 'web' } }, spec: { terminationGracePeriodSeconds: 1, containers: [web] } } } });
  await c.apply({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'web' }, spec: { type: 'NodePort', selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080, nodePort: 32_081 }] } });
  const { node01, node02 } = await webPods(c);
  const names = [`${node01.metadata.name}\n`, `${node02.metadata.name}\n`].toSorted();
  for (const [from, to] of [[node01, node02], [node02, node01]] as const) {
    assert.equal(await inPod(c, from, `wget -qO- -T 5 http://${to.status!.podIP}:8080/`), `${to.metadata.name}\n`);
    // A Service has endpoints on both nodes: all are reached from each.
    const seen = await inPod(c, from, 'i=0; while [ $i -lt 30 ]; do wget -qO- -T 5 http://web.default.svc.cluster.local/; i=$((i+1)); done');
    assert.deepEqual([...new Set(seen.match(/.+\n/g))].toSorted(), names);
    assert.match(await inPod(c, from, 'nslookup kubernetes.default.svc.cluster.local'), /Address: \S+/);
    assert.equal(await inPod(c, from, 'nc -w 5 kubernetes.default 443 < /dev/null && echo reached'), 'reached\n');
  }
  // A NodePort answers on the second machine too.
  const answers = await Promise.all(Array.from({ length: 12 }, async () => (await fetch(`http://${c.neighbour.net.ip}:32081/`)).text()));
  assert.deepEqual([...new Set(answers)].toSorted(), names);
  // Each sees the other's own address.
  await waitForLog(c, node02.metadata.name!, new RegExp(`^\\[::ffff:${node01.status!.podIP!.replaceAll('.', '\\.')}\\]:\\d+: response:200$`, 'm'));
});

test('logs, exec, attach, port-forward and metrics of a Pod on the other node', async (c) => {
  const pod = (await webPods(c)).node02;
  const name = pod.metadata.name!;
  assert.equal(await inPod(c, pod, 'hostname'), `${name}\n`);
  await c.kubectl(['run', 'talker', '--image=busybox:1.37', '--restart=Never', '--overrides={"spec":{"nodeName":"node02","terminationGracePeriodSeconds":1}}', '--', 'sh', '-c', 'echo hello; sleep 3600']);
  await waitForReady(c, 'talker');
  assert.equal((await c.kubectl('logs talker')).stdout, 'hello\n');
  await using forward = await c.startKubectl(['port-forward', name, ':8080']);
  const [, port] = await forward.seen(/^Forwarding from 127\.0\.0\.1:(\d+)/m);
  assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), `${name}\n`);
  const nodes = await c.shell('until kubectl top nodes --no-headers 2>/dev/null | grep -q "^node02 .*%"; do sleep 0.2; done; kubectl top nodes --no-headers');
  assert.match(nodes.stdout, /^node01 .*\nnode02 .*\n$/);
  await c.kubectl('delete pod talker --now');
});

test('a claim is a directory of the node that its Pod runs on, and goes with it', async (c) => {
  await c.apply({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } });
  await c.apply({
    apiVersion: 'v1', kind: 'Pod', metadata: { name: 'keeper' },
    spec: { nodeSelector: { 'kubernetes.io/hostname': 'node02' }, terminationGracePeriodSeconds: 1, securityContext: { runAsUser: 1000 }, volumes: [{ name: 'd', persistentVolumeClaim: { claimName: 'data' } }], containers: [{ name: 'c', image: 'busybox:1.37', command: ['sh', '-c', 'echo kept > /d/file && sleep 3600'], volumeMounts: [{ name: 'd', mountPath: '/d' }] }] },
  });
  await waitForReady(c, 'keeper');
  const storage = `${c.neighbour.dataDir}/storage`;
  const [directory = ''] = await readdir(storage);
  assert.equal(await readFile(`${storage}/${directory}/file`, 'utf8'), 'kept\n');
  await c.kubectl('delete pod keeper --now');
  await c.kubectl('delete pvc data');
  await waitFor(c, PERSISTENT_VOLUMES, '', 'the volume to be gone', (volumes) => (volumes.size === 0 ? true : undefined), { namespace: '' });
  assert.deepEqual(await readdir(storage), []);
});

test('down leaves the Pods of the node, up takes them up again; a killed process too', async (c) => {
  const before = (await webPods(c)).node02;
  assert.match((await c.neighbour.podyard(['down'])).stdout, /✔ node stopped/);
  const direct = await fetch(`http://${before.status!.podIP}:8080/`);
  assert.equal(await direct.text(), `${before.metadata.name}\n`, 'its Pods go on');
  assert.match((await c.neighbour.podyard(['up', '--yes'])).stdout, /^Node node02 of the cluster at https:\S+ is up after /m);
  await c.neighbour.kill();
  assert.equal((await c.neighbour.podyard(['status'], { expect: 'any' })).code, 3);
  await c.neighbour.podyard(['up', '--yes']);
  const after = (await webPods(c)).node02;
  assert.deepEqual([after.metadata.uid, after.status!.containerStatuses![0]!.restartCount, after.status!.podIP], [before.metadata.uid, 0, before.status!.podIP]);
  assert.equal(await inPod(c, after, 'hostname'), `${before.metadata.name}\n`);
  assert.match((await c.neighbour.podyard(['up', '--api-port=7443'], { expect: 'any' })).stderr, /--api-port: this machine is node "node02" of the cluster at https:\S+, and what it is was settled when it joined/);
});

test('the server restarts: the node goes on and is told of what is new', async (c) => {
  const { node02 } = await webPods(c);
  await c.kill();
  assert.equal(await (await fetch(`http://${node02.status!.podIP}:8080/`)).text(), `${node02.metadata.name}\n`);
  await c.up();
  await c.kubectl(['run', 'late', '--image=busybox:1.37', '--restart=Never', '--overrides={"spec":{"nodeName":"node02","terminationGracePeriodSeconds":1}}', '--', 'sleep', '3600']);
  await waitForReady(c, 'late');
  await c.kubectl('delete pod late --now');
});

test('a node that is started while the server is away says so, and is up when the server is', async (c) => {
  const { node02 } = await webPods(c);
  await c.neighbour.podyard(['down']);
  await c.down();
  const early = await c.neighbour.podyard(['up', '--yes', '--wait-timeout=2s'], { expect: 'any' });
  assert.equal(early.code, 1);
  assert.match(early.stdout, /✘ the server cannot be used now: request to https:\S+ failed: connect ECONNREFUSED [^\n]*\n +→ the node is up as soon as the server is/);
  assert.match(early.stderr, /the node is not up after 2\.0 s/);
  await c.up();
  // The Node still says Ready from before: what tells is that its kubelet answers.
  await c.shell(`until kubectl exec ${node02.metadata.name} -- true 2>/dev/null; do sleep 0.2; done`, { timeoutMs: 60_000 });
  const after = (await webPods(c)).node02;
  assert.deepEqual([after.metadata.uid, after.status!.containerStatuses![0]!.restartCount], [node02.metadata.uid, 0]);
  assert.equal(await inPod(c, after, 'hostname'), `${node02.metadata.name}\n`);
});

test('a node that was deleted meanwhile comes back, with another range where its own was given away', async (c) => {
  const { node02 } = await webPods(c);
  const { podCIDR } = (await waitForNode(c, 'node02', 'there', () => true)).spec;
  await c.neighbour.podyard(['down']);
  await c.kubectl('delete node node02');
  await c.apply({ apiVersion: 'v1', kind: 'Node', metadata: { name: 'heir' }, spec: { unschedulable: true } });
  await waitForNode(c, 'heir', 'given the range', (n) => n.spec.podCIDR === podCIDR);
  await c.neighbour.podyard(['up', '--yes']);
  await waitForNode(c, 'node02', 'with a range of its own', (n) => n.spec.podCIDR !== undefined && n.spec.podCIDR !== podCIDR);
  await c.kubectl('delete node heir');
  // Its Pods outlived it, with addresses that are not theirs any more, as upstream's do.
  await c.kubectl(['delete', 'pod', node02.metadata.name!, '--now']);
  const after = await webPods(c);
  assert.equal(await inPod(c, after.node01, `wget -qO- -T 5 http://${after.node02.status!.podIP}:8080/`), `${after.node02.metadata.name}\n`);
});

test('a Deployment whose node fails gets its Pods on the other one', { timeout: 240_000 }, async (c) => {
  const tolerations = ['not-ready', 'unreachable'].map((what) => ({ key: `node.kubernetes.io/${what}`, operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 1 }));
  const preferred = [{ weight: 100, preference: { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['node02'] }] } }];
  await c.apply({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'moves' }, spec: { selector: { matchLabels: { app: 'moves' } }, template: { metadata: { labels: { app: 'moves' } }, spec: { tolerations, terminationGracePeriodSeconds: 1, affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: preferred } }, containers: [web] } } } });
  const on = (node: string): Promise<Pod> => waitFor(c, PODS, '', `a Pod of moves on ${node}`, (pods) => [...pods.values()].find((p) => p.metadata.labels?.['app'] === 'moves' && p.spec.nodeName === node && isReady(p)));
  const first = await on('node02');
  await c.neighbour.podyard(['down', '--pods']);
  await waitForNode(c, 'node02', 'NotReady', (n) => n.status?.conditions?.find((x) => x.type === 'Ready')?.status === 'Unknown', { timeoutMs: 100_000 });
  await on('node01');
  await c.neighbour.podyard(['up', '--yes']);
  await waitForNode(c, 'node02', 'Ready again', (n) => n.status?.conditions?.find((x) => x.type === 'Ready')?.status === 'True' && !(n.spec.taints ?? []).length);
  await waitFor(c, PODS, `metadata.name=${first.metadata.name}`, 'the first Pod to be gone', (pods) => (pods.size === 0 ? true : undefined));
  await c.kubectl('delete deployment moves --now');
});

test('drained, deleted and uninstalled, a node is gone without a trace; routes to it too', async (c) => {
  const { podCIDR } = (await waitForNode(c, 'node02', 'there', () => true)).spec;
  const routes = async (): Promise<string> => (await runProgram('ip', ['route', 'show', podCIDR!])).stdout;
  assert.match(await routes(), new RegExp(`^${podCIDR} via ${c.neighbour.net.ip} `));
  await c.kubectl('drain node02 --ignore-daemonsets --timeout=60s');
  const { stdout } = await c.neighbour.podyard(['uninstall', '--yes']);
  assert.match(stdout, /✔ node, Pods and data removed/);
  assert.match(stdout, /On the server: \.\/podyard kubectl delete node node02$/m);
  await c.kubectl('delete node node02');
  await c.shell(`until [ -z "$(ip route show ${podCIDR})" ]; do sleep 0.1; done`, { timeoutMs: 20_000 });
  const left = (await runProgram(c.neighbour.net.enter[0]!, [...c.neighbour.net.enter.slice(1), 'nft', 'list', 'ruleset'])).stdout;
  assert.equal(left, '', 'no rules are left on the machine');
  await assert.rejects(access(c.neighbour.dataDir), { code: 'ENOENT' });
});
