/** What the containers of a Pod share, how Pods reach each other, and that two cannot have the same port. */
import assert from 'node:assert/strict';
import { waitForEvent, waitForLog, waitForPod, waitForReady } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

const container = (name: string, command: string, more: object = {}): object => ({ name, image: 'busybox:1.37', command: ['sh', '-c', command], ...more });
const pod = (name: string, containers: object[], more: object = {}): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { terminationGracePeriodSeconds: 1, containers, ...more } });
const serve = (word: string, port: number): string => `mkdir -p /www; echo ${word} > /www/index.html; exec httpd -f -v -p ${port} -h /www`;

test('two containers of a Pod share localhost, the host name, the IPC namespace and an emptyDir, at different paths', async (c) => {
  await c.apply(pod('shared', [
    container('web', 'exec httpd -f -p 8080 -h /www', { volumeMounts: [{ name: 'files', mountPath: '/www' }] }),
    container('writer', 'echo hello from writer > /data/index.html; sleep 3600', { volumeMounts: [{ name: 'files', mountPath: '/data' }] }),
  ], { volumes: [{ name: 'files', emptyDir: {} }] }));
  await waitForReady(c, 'shared');
  assert.equal((await c.kubectl(['exec', 'shared', '-c', 'writer', '--', 'sh', '-c', 'until wget -qO- http://127.0.0.1:8080/; do sleep 0.1; done'])).stdout, 'hello from writer\n');
  const same = async (...command: string[]): Promise<void> => {
    const [web, writer] = await Promise.all(['web', 'writer'].map(async (name) => (await c.kubectl(['exec', 'shared', '-c', name, '--', ...command])).stdout));
    assert.equal(web, writer, command.join(' '));
    assert.notEqual(web, '');
  };
  await same('hostname');
  for (const ns of ['net', 'ipc', 'uts']) await same('readlink', `/proc/self/ns/${ns}`);
  await same('cat', '/etc/hosts', '/etc/resolv.conf');
  const [webPid, writerPid] = await Promise.all(['web', 'writer'].map(async (name) => (await c.kubectl(['exec', 'shared', '-c', name, '--', 'readlink', '/proc/self/ns/pid'])).stdout));
  assert.notEqual(webPid, writerPid, 'each has its own processes');
  await c.kubectl('delete pod shared --now');
});

test('an emptyDir outlives its containers and ends with its Pod; in memory it is a tmpfs', async (c) => {
  await c.apply(pod('volumes', [container('c', 'echo start >> /disk/log; cp /disk/log /memory/; until [ -e /end ]; do sleep 0.1; done', { volumeMounts: [{ name: 'disk', mountPath: '/disk' }, { name: 'memory', mountPath: '/memory' }] })], {
    volumes: [{ name: 'disk', emptyDir: {} }, { name: 'memory', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } }],
  }));
  await waitForReady(c, 'volumes');
  assert.match((await c.kubectl('exec volumes -- mount')).stdout, /^tmpfs on \/memory type tmpfs .*size=1024k/m);
  await c.kubectl('exec volumes -- touch /end');
  await waitForPod(c, 'volumes', 'running again', (p) => p.status?.containerStatuses?.[0]?.restartCount === 1 && p.status.containerStatuses[0].ready);
  assert.equal((await c.kubectl(['exec', 'volumes', '--', 'sh', '-c', 'until [ "$(wc -l < /memory/log)" = 2 ]; do sleep 0.1; done; cat /memory/log'])).stdout, 'start\nstart\n');
  await c.kubectl('delete pod volumes --now');
});

test('Pods reach each other and the node reaches them by address, each seeing the other\'s own', async (c) => {
  await c.apply(pod('server', [container('web', serve('served', 8080))]));
  await c.apply(pod('client', [container('c', 'sleep 3600')]));
  const [server, client] = [await waitForReady(c, 'server'), await waitForReady(c, 'client')];
  const [from, to] = [client.status!.podIP!, server.status!.podIP!];
  assert.notEqual(from, to);
  const config = await c.config();
  assert.ok([from, to].every((ip) => ip.startsWith(config.podCIDR.split('.').slice(0, 3).join('.'))), `${from} and ${to} are of ${config.podCIDR}`);
  assert.equal((await c.kubectl(['exec', 'client', '--', 'sh', '-c', `until wget -qO- http://${to}:8080/; do sleep 0.1; done`])).stdout, 'served\n');
  await waitForLog(c, 'server', new RegExp(`^\\[::ffff:${from.replaceAll('.', '\\.')}\\]:\\d+: response:200$`, 'm'));
  assert.equal(await (await fetch(`http://${to}:8080/`)).text(), 'served\n');
  // Any port, without one having been declared.
  await using listener = await c.startKubectl('exec -i server -- nc -l -p 5555');
  assert.equal((await c.kubectl(['exec', 'client', '--', 'sh', '-c', `until echo hi | nc ${to} 5555; do sleep 0.1; done`])).code, 0);
  await listener.seen(/^hi$/m);
  // The way out: the node's address, where the API server listens.
  await c.kubectl(['exec', 'client', '--', 'nc', '-w', '5', config.nodeIP, String(config.apiPort)]);
  await c.kubectl('delete pod server client --now');
});

test('a Pod made anew under the same name has another address', async (c) => {
  const addresses: string[] = [];
  for (let i = 0; i < 2; i++) {
    await c.apply(pod('again', [container('c', 'sleep 3600')]));
    addresses.push((await waitForReady(c, 'again')).status!.podIP!);
    await c.kubectl('delete pod again --now');
  }
  assert.notEqual(addresses[0], addresses[1]);
});

test('the second container of a Pod that binds a port fails', async (c) => {
  await c.apply(pod('clash', [container('first', serve('first', 8080)), container('second', `until nc -w 1 127.0.0.1 8080 </dev/null; do sleep 0.1; done; ${serve('second', 8080)}`)]));
  const clashed = await waitForPod(c, 'clash', 'restarting its second container', (p) => (p.status?.containerStatuses?.find((s) => s.name === 'second')?.restartCount ?? 0) > 0);
  assert.equal(clashed.status?.containerStatuses?.find((s) => s.name === 'first')?.restartCount, 0);
  assert.match((await c.kubectl('logs clash -c second --previous')).stdout, /httpd: bind: Address already in use/);
  await c.kubectl('delete pod clash --now');
});

test('a host port is the node\'s own: reached there, and refused to the next Pod that wants it', async (c) => {
  const port = 31_000 + (process.pid % 1000);
  const wants = { ports: [{ containerPort: 8080, hostPort: port }], readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 } };
  await c.apply(pod('first', [container('web', serve('by the host', 8080), wants)]));
  await waitForReady(c, 'first');
  const { nodeIP } = await c.config();
  assert.equal(await (await fetch(`http://${nodeIP}:${port}/`)).text(), 'by the host\n', 'reached as soon as it is ready');
  await c.apply(pod('second', [container('web', serve('second', 8080), wants)]));
  await waitForEvent(c, 'second', 'FailedScheduling', /^0\/1 nodes are available: 1 node\(s\) didn't have free ports for the requested pod ports\. no new claims to deallocate, preemption: 0\/1 nodes are available: 1 No preemption victims found for incoming pod\.$/);
  await c.kubectl('delete pod first --now');
  await waitForReady(c, 'second');
  await c.kubectl('delete pod second --now');
});

test('hostNetwork: the Pod has the node\'s address and ports', async (c) => {
  await c.apply(pod('host', [container('c', 'sleep 3600')], { hostNetwork: true }));
  const made = await waitForReady(c, 'host');
  const config = await c.config();
  assert.equal(made.status?.podIP, config.nodeIP);
  await c.kubectl(['exec', 'host', '--', 'nc', '-w', '5', '127.0.0.1', String(config.apiPort)]);
  await c.kubectl('delete pod host --now');
});
