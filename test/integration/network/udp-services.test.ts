/** A UDP client that keeps its port, when the Service's endpoints change: the kernel would go on sending it to the old one. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import type { Service } from '#api/gen/core-v1.ts';
import { applyNft } from '#base/nft.ts';
import { deleteFlows, staleFlows } from '#proxy/conntrack.ts';
import { addPod, makeMachines, type Machine } from './namespaces.ts';

const SERVICE = { metadata: { name: 'udp', namespace: 'default' }, spec: { clusterIP: '10.96.0.9', clusterIPs: ['10.96.0.9'], ports: [{ port: 80, protocol: 'UDP' }] } } as Service;
/** Answers each datagram with its own port. */
const SERVER = `for (const port of [5001, 5002]) { const s = require('dgram').createSocket('udp4'); s.on('message', (_, from) => s.send(String(port), from.port, from.address)); s.bind(port, () => console.log(port)); }`;
const CLIENT = `const s = require('dgram').createSocket('udp4'); s.on('message', (m) => { process.stdout.write(m); s.close(); }); s.bind(12345, () => s.send('x', 80, '10.96.0.9')); setTimeout(() => process.exit(1), 5000).unref();`;

async function serve(t: TestContext, where: Machine): Promise<void> {
  const server = spawn('nsenter', [`--net=${where.netns}`, process.execPath, '-e', SERVER], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(server, 'exit');
  t.after(async () => {
    server.kill();
    await ended;
  });
  for (let listening = ''; listening.split('\n').length <= 2;) listening += String(await once(server.stdout, 'data'));
}

test('a UDP client that keeps its port is led to the new endpoint, also when only the port of the endpoint is new', async (t) => {
  await using machines = await makeMachines();
  const { left, right } = machines;
  await using client = await addPod(left, 'pods', '10.244.0.1', '10.244.0.7');
  await left.run('sysctl', '-qw', 'net/ipv4/ip_forward=1');
  await right.run('ip', 'route', 'add', '10.244.0.0/24', 'via', left.ip);
  const lead = (port: number) => applyNft(`table ip t\ndelete table ip t\ntable ip t { chain c { type nat hook prerouting priority dstnat; ip daddr 10.96.0.9 udp dport 80 dnat to ${right.ip}:${port}\n}\n}`, { netns: left.netns });
  const targets = (port: number) => new Map([['/UDP', { cluster: [{ ip: right.ip, port, local: false, ready: true }], local: [], any: true }]]);
  const answer = () => client.run(process.execPath, '-e', CLIENT);
  await serve(t, right);
  await lead(5001);
  assert.equal(await answer(), '5001');
  await lead(5002);
  assert.equal(await answer(), '5001', 'the kernel goes by the connection that it knows');
  const { signal } = new AbortController();
  await deleteFlows(staleFlows(SERVICE, targets(5003), targets(5002)), { netns: left.netns, signal });
  assert.equal(await answer(), '5001', 'what was led to another endpoint stays');
  await deleteFlows(staleFlows(SERVICE, targets(5001), targets(5002)), { netns: left.netns, signal });
  assert.equal(await answer(), '5002');
});
