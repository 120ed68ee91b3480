/** Pods of two nodes that are joined by routes alone, with the rules of both nodes in place. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { applyNft } from '#base/nft.ts';
import { tableScript } from '#network/node-network.ts';
import { emptyTable } from '#proxy/table.ts';
import { addPod, makeMachines, type Machine } from './namespaces.ts';

const CLUSTER = '10.244.0.0/16';
const PORT = 8080;
/** Answers each connection with the address it came from. */
const SERVER = `require('net').createServer((s) => s.end(s.remoteAddress)).listen(${PORT}, '0.0.0.0', () => console.log('ready'))`;
const client = (ip: string): string => `const s = require('net').connect(${PORT}, '${ip}'); s.setTimeout(5000, () => s.destroy(new Error('no answer'))); s.pipe(process.stdout)`;
/** What the server at `to` sees as the source of a connection. */
const sourceSeen = (from: Machine, to: Machine): Promise<string> => from.run(process.execPath, '-e', client(to.ip));

async function serve(t: TestContext, where: Machine): Promise<void> {
  const server = spawn('nsenter', [`--net=${where.netns}`, process.execPath, '-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(server, 'exit');
  t.after(async () => {
    server.kill();
    await ended;
  });
  await once(server.stdout, 'data');
}

test("Pods of two nodes see each other's addresses, with strict reverse-path filters too; what leaves the cluster has the node's", async (t) => {
  await using machines = await makeMachines();
  const { left, right } = machines;
  await using podOfLeft = await addPod(left, 'pods', '10.244.0.1', '10.244.0.7');
  await using podOfRight = await addPod(right, 'pods', '10.244.1.1', '10.244.1.7');
  for (const [machine, podCIDR, other, via] of [[left, '10.244.0.0/24', '10.244.1.0/24', right.ip], [right, '10.244.1.0/24', '10.244.0.0/24', left.ip]] as const) {
    for (const setting of ['ip_forward', 'conf/all/rp_filter', 'conf/eth0/rp_filter', 'conf/pods/rp_filter']) await machine.run('sysctl', '-qw', `net/ipv4/${setting}=1`);
    await applyNft(tableScript({ table: 'podyard', clusterCIDR: CLUSTER, podCIDR, bridge: 'pods' }, []), { netns: machine.netns });
    await applyNft(emptyTable('ip podyard_proxy'), { netns: machine.netns });
    await machine.run('ip', 'route', 'add', other, 'via', via);
  }
  for (const where of [podOfLeft, podOfRight, right]) await serve(t, where);
  assert.equal(await sourceSeen(podOfLeft, podOfRight), podOfLeft.ip);
  assert.equal(await sourceSeen(podOfRight, podOfLeft), podOfRight.ip);
  assert.equal(await sourceSeen(left, podOfRight), left.ip, 'a node, or a Pod in its network, reaches Pods of the other');
  assert.equal(await sourceSeen(podOfLeft, right), left.ip, 'beyond the Pods the address is masqueraded');
});
