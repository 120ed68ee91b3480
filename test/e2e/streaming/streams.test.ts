/** exec, attach, port-forward, logs and cp, by every client that may come: WebSocket and SPDY, kubectl 1.36, 1.32, 1.20. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import type { TestCluster } from '../harness/cluster.ts';
import { waitForPodGone, waitForReady } from '../harness/conditions.ts';
import { hasKubectl, type KubectlVersion } from '../harness/kubectl-binary.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

const SPDY = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'false' };
interface Client {
  readonly name: string;
  readonly version: KubectlVersion;
  readonly env?: Readonly<Record<string, string>>;
}
const CLIENTS: readonly Client[] = [
  { name: 'kubectl 1.36 by WebSocket', version: '1.36' },
  { name: 'kubectl 1.36 by SPDY', version: '1.36', env: SPDY },
  { name: 'kubectl 1.32 by WebSocket', version: '1.32' },
  { name: 'kubectl 1.20 by SPDY', version: '1.20' },
];

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

test('two Pods to talk to', async (c) => {
  const spec = (containers: object[]): object => ({ terminationGracePeriodSeconds: 1, containers });
  await c.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'talker' }, spec: spec([
    { name: 'shell', image: 'busybox:1.37', command: ['sh', '-c', 'mkdir -p /www; echo page > /www/index.html; httpd -p 8080 -h /www; echo line one; echo to stderr >&2; exec sleep 3600'] },
    { name: 'other', image: 'busybox:1.37', command: ['sh', '-c', 'echo I am the other; exec sleep 3600'] },
  ]) });
  await waitForReady(c, 'talker');
});

for (const client of CLIENTS) {
  const { version, env } = client;
  const options = { version, ...(env && { env }) };
  const it = (what: string, run: (c: TestCluster) => Promise<void>): void => {
    test(`${client.name}: ${what}`, async (c, t) => (hasKubectl(version) ? await run(c) : t.skip(`there is no kubectl ${version} for this kind of machine`)));
  };

  it('exec gives output, errors and the exit code, in the container that is meant', async (c) => {
    const done = await c.kubectl(['exec', 'talker', '-c', 'shell', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7'], { ...options, expect: 7 });
    assert.equal(done.stdout, 'out\n');
    assert.match(done.stderr, /^err\n[^]*command terminated with exit code 7\n$/);
    assert.match((await c.kubectl('exec talker -- hostname', options)).stderr, /^(Defaulted container "shell" out of: shell, other|Defaulting container name to shell\.)$/m);
    const wrong = await c.kubectl('exec talker -c nosuch -- id', { ...options, expect: 1 });
    assert.match(wrong.stderr, /container "?nosuch"? (is not valid for|not found in) pod "?talker|container not found \("nosuch"\)/);
    const program = await c.kubectl('exec talker -c shell -- nosuch', { ...options, expect: 'failure' });
    assert.match(program.stderr, /exec: "nosuch": executable file not found in \$PATH/);
  });

  it('exec passes input on to its end, and large output whole', async (c) => {
    const input = randomBytes(1_500_000).toString('base64');
    const counted = await c.kubectl('exec -i talker -c shell -- sha256sum', { ...options, input });
    assert.equal(counted.stdout.split(' ')[0], sha256(input));
    const echoed = await c.kubectl('exec -i talker -c shell -- cat', { ...options, input });
    assert.equal(sha256(echoed.stdout), sha256(input));
    const many = await c.kubectl(['exec', 'talker', '-c', 'shell', '--', 'sh', '-c', 'i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done'], options);
    assert.equal(many.stdout.split('\n').length, 20_001);
  });

  it('logs: of one container, the last lines, with times, since, followed; errors', async (c) => {
    const first = (await c.kubectl('logs talker -c shell', options)).stdout.split('\n').slice(0, 2);
    assert.deepEqual(first.toSorted(), ['line one', 'to stderr'], 'of both its outputs');
    assert.equal((await c.kubectl('logs talker other', options)).stdout, 'I am the other\n');
    assert.match((await c.kubectl('logs talker -c other --timestamps', options)).stdout, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z I am the other\n$/);
    assert.match((await c.kubectl('logs talker --all-containers --prefix', options)).stdout, /^\[pod\/talker\/other\] I am the other$/m);
    assert.equal((await c.kubectl('logs talker -c other --since-time=2099-01-01T00:00:00Z', options)).stdout, '');
    await using follow = await c.startKubectl('logs -f talker -c shell', options);
    const word = randomBytes(6).toString('hex');
    await c.kubectl(['exec', 'talker', '-c', 'shell', '--', 'sh', '-c', `echo ${word} > /proc/1/fd/1`], options);
    await follow.seen(new RegExp(`^${word}$`, 'm'));
    assert.equal((await c.kubectl('logs talker -c shell --tail=1', options)).stdout, `${word}\n`);
    assert.match((await c.kubectl('logs talker -c nosuch', { ...options, expect: 1 })).stderr, /container nosuch is not valid for pod talker/);
  });

  it('port-forward: several connections at once, of any size, and a port on which nobody listens', async (c) => {
    await using forward = await c.startKubectl('port-forward talker :8080 :9999', options);
    const [, port] = await forward.seen(/Forwarding from 127\.0\.0\.1:(\d+) -> 8080/);
    const [, closed] = await forward.seen(/Forwarding from 127\.0\.0\.1:(\d+) -> 9999/);
    assert.deepEqual(await Promise.all(Array.from({ length: 5 }, async () => (await fetch(`http://127.0.0.1:${port}/`)).text())), Array.from({ length: 5 }, () => 'page\n'));
    await c.kubectl(['exec', 'talker', '-c', 'shell', '--', 'sh', '-c', 'dd if=/dev/zero of=/www/large bs=1M count=8 2>/dev/null'], options);
    assert.equal((await (await fetch(`http://127.0.0.1:${port}/large`)).arrayBuffer()).byteLength, 8 << 20);
    await new Promise<void>((resolve) => connect(Number(closed), '127.0.0.1').on('error', () => {}).on('close', () => resolve()).resume());
    await forward.seen(/an error occurred forwarding \d+ -> 9999: error forwarding port 9999 to pod [0-9a-f]+, uid : .*(Connection refused|connection refused)/);
  });

  it('cp carries files both ways', async (c) => {
    const content = randomBytes(300_000);
    await writeFile(`${c.files}/there.bin`, content);
    await c.kubectl('cp there.bin talker:/tmp/there.bin -c shell', options);
    await c.kubectl('cp talker:/tmp/there.bin back.bin -c shell', options);
    assert.equal(sha256(await readFile(`${c.files}/back.bin`)), sha256(content));
  });

  it('run -i --rm and attach give input and take output', async (c) => {
    const run = await c.kubectl('run once --image=busybox:1.37 --restart=Never -i --rm --quiet -- cat', { ...options, input: 'through and back\n' });
    assert.match(run.stdout, /^through and back$/m);
    await waitForPodGone(c, 'once');
    await c.apply({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'listener' }, spec: { terminationGracePeriodSeconds: 0, restartPolicy: 'Never', containers: [{ name: 'c', image: 'busybox:1.37', stdin: true, command: ['sh', '-c', 'while read -r line; do echo "got $line"; done'] }] } });
    await waitForReady(c, 'listener');
    await using attached = await c.startKubectl('attach -i listener', options);
    attached.write('one\n');
    await attached.seen(/^got one$/m);
    await attached.interrupt();
    await c.kubectl('delete pod listener --now', options);
  });
}

test('exec -it is a terminal: echo, size, Ctrl+C, Ctrl+D', async (c) => {
  await using shell = c.terminal('stty rows 31 cols 97; kubectl exec -it talker -c shell -- sh');
  await shell.seen(/# /);
  shell.write('stty size; test -t 0 && echo is a terminal\n');
  await shell.seen(/^31 97\r$/m);
  await shell.seen(/^is a terminal\r$/m);
  // Only while a command runs is Ctrl+C a signal: the shell itself reads it as a key.
  shell.write("sh -c 'echo now; exec sleep 1000'\n");
  await shell.seen(/^now\r$/m);
  shell.write('\x03');
  await shell.seen(/\^C\r?\n[^]*# /);
  shell.write('exit 5\n');
  assert.equal((await shell.ended).code, 5);
});

test('exec ends when its client goes away, and the container is not touched by it', async (c) => {
  await using running = await c.startKubectl(['exec', '-i', 'talker', '-c', 'shell', '--', 'cat']);
  running.write('x\n');
  await running.seen(/^x$/m);
  await running.interrupt('SIGKILL');
  const left = await c.kubectl(['exec', 'talker', '-c', 'shell', '--', 'sh', '-c', 'i=0; while pgrep -x cat >/dev/null && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done; pgrep -x cat | wc -l']);
  assert.equal(left.stdout.trim(), '0');
  assert.equal((await waitForReady(c, 'talker')).status?.containerStatuses?.every((s) => s.restartCount === 0), true);
});

test('the whole of a day with kubectl 1.20: apply, get, describe, label, explain, api-resources, delete', async (c) => {
  const old = { version: '1.20' } as const;
  await c.file('old.yaml', 'apiVersion: v1\nkind: Pod\nmetadata: {name: old, labels: {a: b}}\nspec: {terminationGracePeriodSeconds: 1, containers: [{name: c, image: "busybox:1.37", command: [sleep, "3600"]}]}\n');
  assert.equal((await c.kubectl('apply -f old.yaml', old)).stdout, 'pod/old created\n');
  assert.match((await c.kubectl('wait --for=condition=Ready pod/old', old)).stdout, /condition met/);
  assert.match((await c.kubectl('get pods -o wide', old)).stdout, /^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES\n[^]*^old +1\/1 +Running +0 /m);
  assert.match((await c.kubectl('describe pod old', old)).stdout, /^Events:\n[^]*Started container c|Container started/m);
  assert.match((await c.kubectl('describe node node01', old)).stdout, /^Allocated resources:/m);
  assert.equal((await c.kubectl('apply -f old.yaml', old)).stdout, 'pod/old unchanged\n');
  assert.equal((await c.kubectl('label pod old stage=test', old)).stdout, 'pod/old labeled\n');
  assert.equal((await c.kubectl('create namespace by-old', old)).stdout, 'namespace/by-old created\n');
  assert.match((await c.kubectl('explain pod.spec.containers.image', old)).stdout, /FIELD: +image <string>/);
  assert.match((await c.kubectl(['api-resources', '--api-group='], old)).stdout, /pods +po +v1 +true +Pod/);
  await c.kubectl('delete namespace by-old', old);
  assert.match((await c.kubectl('delete -f old.yaml', old)).stdout, /^pod "old" deleted/);
});
