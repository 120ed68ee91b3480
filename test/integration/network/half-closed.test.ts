/** A connection of which one side has ended, when the other takes its time. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { applyNft } from '#base/nft.ts';
import { emptyTable, halfClosedTimeout } from '#proxy/table.ts';
import { addPod, makeMachines } from './namespaces.ts';

/** Ends its side of each connection at once. */
const SERVER = `require('net').createServer({ allowHalfOpen: true }, (s) => s.end()).listen(8080, () => console.log('ready'))`;
/** Leaves its own side open, and tells when it has seen the other's end. */
const client = (ip: string): string => `const s = require('net').connect({ port: 8080, host: '${ip}', allowHalfOpen: true }); s.resume().on('end', () => console.log('half closed')); setInterval(() => {}, 60_000)`;

test('a half-closed connection of a Pod is known for an hour', async (t) => {
  await using machines = await makeMachines();
  const { left, right } = machines;
  await using pod = await addPod(left, 'pods', '10.244.0.1', '10.244.0.7');
  await left.run('sysctl', '-qw', 'net/ipv4/ip_forward=1');
  await right.run('ip', 'route', 'add', '10.244.0.0/24', 'via', left.ip);
  await applyNft(emptyTable('ip podyard_proxy'), { netns: left.netns });
  await applyNft(halfClosedTimeout('ip podyard_proxy'), { netns: left.netns });
  for (const [where, script] of [[right, SERVER], [pod, client(right.ip)]] as const) {
    const child = spawn('nsenter', [`--net=${where.netns}`, process.execPath, '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    t.after(async () => {
      child.kill();
      await ended;
    });
    await once(child.stdout, 'data');
  }
  const [, seconds, state] = (await left.run('conntrack', '-L', '-p', 'tcp', '--dport', '8080')).match(/tcp +6 (\d+) (\w+)/)!;
  assert.equal(state, 'CLOSE_WAIT');
  assert.ok(Number(seconds) > 3500, `${seconds} s`);
  // Made anew, as after a failure, under the connection.
  await applyNft(emptyTable('ip podyard_proxy'), { netns: left.netns });
});
