/** Two machines on a network that drops what has addresses of Pods: by `--pod-network vxlan` their Pods are one network all the same. */
import assert from 'node:assert/strict';
import type { Pod } from '#api/gen/core-v1.ts';
import { applyNft } from '#base/nft.ts';
import { PODS } from '#client/kinds.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { waitFor } from '../harness/conditions.ts';
import { runProgram } from '../harness/process.ts';
import { onCluster } from '../harness/suite.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
const { test } = onCluster({ images: [BUSYBOX], neighbour: true, flags: ['--pod-network=vxlan'] });

const SERVE = 'mkdir -p /www; hostname > /www/index.html; dd if=/dev/zero of=/www/large bs=1M count=8; exec httpd -f -v -p 8080 -h /www';
const podOn = (node: string): object => ({
  apiVersion: 'v1', kind: 'Pod', metadata: { name: `on-${node}`, labels: { app: 'web', on: node } },
  spec: { nodeName: node, terminationGracePeriodSeconds: 1, containers: [{ name: 'c', image: 'busybox:1.37', command: ['sh', '-c', SERVE], readinessProbe: { httpGet: { port: 8080, path: '/' }, periodSeconds: 1 } }] },
});
async function inPod(c: TestCluster, pod: string, command: string): Promise<string> {
  return (await c.kubectl(['exec', pod, '--', 'sh', '-c', command])).stdout;
}
async function ips(c: TestCluster): Promise<Record<string, string>> {
  const ready = await waitFor(c, PODS, 'status.phase=Running', 'both Pods', (pods) => {
    const all = [...pods.values()].filter((p: Pod) => p.status?.conditions?.some((x) => x.type === 'Ready' && x.status === 'True'));
    return all.length === 2 ? all : undefined;
  });
  return Object.fromEntries(ready.map((p) => [p.metadata.name, p.status!.podIP!]));
}
/** Links of the kind on the server's machine and on the other, as far as they are the cluster's. */
async function vxlanLinks(c: TestCluster): Promise<string[]> {
  const { neighbour } = c;
  const names = [(await c.config()).bridge, (await neighbour.config()).bridge].map((bridge) => bridge.replace('py', 'pyx'));
  const shown = await Promise.all([[], neighbour.net.enter].map(async (enter) => (await runProgram('/usr/bin/env', [...enter, 'ip', '-json', 'link', 'show', 'type', 'vxlan'])).stdout));
  return names.filter((name, i) => shown[i]!.includes(`"${name}"`));
}

test('Pods of both nodes reach each other with large packets too, Services and names; the nodes reach them', async (c) => {
  const { net } = c.neighbour;
  await applyNft(`table ip cloud {\n chain in {\n type filter hook prerouting priority raw; policy accept;\n iifname "eth0" ip saddr != ${net.hostIP}/24 drop\n }\n}\n`, { netns: `/run/netns/${net.name}` });
  await c.neighbour.join();
  await c.neighbour.podyard(['image', 'load', await c.imageArchive([BUSYBOX])]);
  for (const node of ['node01', 'node02']) await c.apply(podOn(node));
  await c.apply({ apiVersion: 'v1', kind: 'Service', metadata: { name: 'far' }, spec: { type: 'NodePort', selector: { on: 'node02' }, ports: [{ port: 80, targetPort: 8080, nodePort: 32_083 }] } });
  const podIPs = await ips(c);
  for (const [from, to] of [['on-node01', 'on-node02'], ['on-node02', 'on-node01']] as const) {
    assert.equal(await inPod(c, from, `wget -qO- -T 5 http://${podIPs[to]}:8080/`), `${to}\n`);
    assert.equal(await inPod(c, from, `wget -qO- -T 5 http://${podIPs[to]}:8080/large | wc -c`), `${8 << 20}\n`);
    assert.equal(await inPod(c, from, 'wget -qO- -T 5 http://far.default.svc.cluster.local/'), 'on-node02\n');
    assert.match((await c.kubectl(['logs', to])).stdout, new RegExp(`^\\[::ffff:${podIPs[from]!.replaceAll('.', '\\.')}\\]:\\d+: response:200$`, 'm'), 'each sees the address of the other');
  }
  assert.equal((await vxlanLinks(c)).length, 2);
  assert.match(await inPod(c, 'on-node02', 'ip link show eth0'), / mtu 1450 /);
  // From the server's machine itself, and by its node port: what answers is on the other machine.
  for (const url of [`http://${podIPs['on-node02']}:8080/`, `http://${net.hostIP}:32083/`]) assert.equal(await (await fetch(url)).text(), 'on-node02\n');
});

test('a cluster that goes back to routes keeps its Pods; a node follows when it is started again', async (c) => {
  const podIPs = await ips(c);
  await runProgram(c.neighbour.net.enter[0]!, [...c.neighbour.net.enter.slice(1), 'nft', 'delete', 'table', 'ip', 'cloud']);
  await c.down();
  await c.podyard(['up', '--yes', '--pod-network=routes']);
  await c.neighbour.podyard(['down']);
  await c.neighbour.podyard(['up', '--yes']);
  await c.shell(`until [ "$(ip route show ${podIPs['on-node02']!.replace(/\d+$/, '0/24')} | grep -c 'via ${c.neighbour.net.ip} ')" = 1 ]; do sleep 0.1; done`, { timeoutMs: 10_000 });
  const answer = await inPod(c, 'on-node01', `until wget -qO- -T 1 http://${podIPs['on-node02']}:8080/; do sleep 0.1; done`);
  assert.equal(answer, 'on-node02\n');
  assert.deepEqual(await vxlanLinks(c), []);
});
