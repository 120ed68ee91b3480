/** Logs: every line once, across rotation; the options that choose a part. */
import assert from 'node:assert/strict';
import { watch } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { waitForPod, waitForReady } from '../harness/conditions.ts';
import { onCluster } from '../harness/suite.ts';

const { test } = onCluster({ images: ['docker.io/library/busybox:1.37'] });

const pod = (name: string, command: string, more: object = {}, ofContainer: object = {}): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'busybox:1.37', command: ['sh', '-c', command], ...ofContainer }], ...more } });

/** Resolves with the names in the folder once one of them matches. */
async function seenIn(dir: string, name: RegExp): Promise<string[]> {
  let changed = Promise.withResolvers<void>();
  const watcher = watch(dir, () => changed.resolve());
  try {
    for (;;) {
      changed = Promise.withResolvers();
      const names = await readdir(dir);
      if (names.some((n) => name.test(n))) return names;
      await changed.promise;
    }
  } finally {
    watcher.close();
  }
}

/** More than a log may hold: each line has its time and stream before it. */
const FIRST = 260_000;
const LAST = 260_100;

test('a log that grows too large is rotated; who follows it sees every line once, in order', async (c) => {
  await c.apply(pod('large', `seq 1 ${FIRST}; until [ -e /go ]; do sleep 0.1; done; seq ${FIRST + 1} ${LAST}; until [ -e /end ]; do sleep 0.1; done`, { restartPolicy: 'Never' }));
  const { metadata } = await waitForReady(c, 'large');
  await using follow = await c.startKubectl('logs -f large');
  const dir = `${c.dataDir}/pod-logs/default_large_${metadata.uid}/c`;
  const names = await seenIn(dir, /^0\.log\.\d{8}-\d{6}$/);
  assert.ok(names.includes('0.log') || names.length === 1, names.join(' '));
  await c.kubectl('exec large -- touch /go');
  await follow.seen(new RegExp(`^${LAST}$`, 'm'));
  assert.equal((await c.kubectl('logs large')).stdout, Array.from({ length: LAST - FIRST }, (_, i) => `${FIRST + 1 + i}\n`).join(''), 'the new file holds what came after');
  await c.kubectl('exec large -- touch /end');
  const { stdout } = await follow.ended;
  const lines = stdout.split('\n');
  assert.equal(lines.length, LAST + 1);
  assert.equal(lines.findIndex((l, i) => l !== (i < LAST ? String(i + 1) : '')), -1, 'every line once, in order');
  await c.kubectl('delete pod large --now');
});

test('who follows sees a run to its end; parts by number, by bytes, by time; the run before', async (c) => {
  const command = 'echo run $(cat /v/n 2>/dev/null || echo first); echo second > /v/n; until [ -e /v/end ]; do sleep 0.1; done; rm /v/end; echo over';
  await c.apply(pod('again', command, { volumes: [{ name: 'v', emptyDir: {} }] }, { volumeMounts: [{ name: 'v', mountPath: '/v' }] }));
  await waitForReady(c, 'again');
  await using follow = await c.startKubectl('logs -f again');
  await follow.seen(/^run first$/m);
  await c.kubectl('exec again -- touch /v/end');
  await waitForPod(c, 'again', 'running again', (p) => p.status?.containerStatuses?.[0]?.restartCount === 1 && p.status.containerStatuses[0].ready);
  assert.deepEqual(await follow.ended, { code: 0, stdout: 'run first\nover\n', stderr: '' }, 'as upstream: to the end of the run');
  assert.equal((await c.kubectl('logs again --previous')).stdout, 'run first\nover\n');
  assert.equal((await c.kubectl('logs again --previous --tail=1')).stdout, 'over\n');
  assert.equal((await c.kubectl('logs again --limit-bytes=3')).stdout, 'run');
  assert.equal((await c.kubectl('logs again --since=1h')).stdout, 'run second\n');
  assert.match((await c.kubectl('logs again --timestamps --tail=5')).stdout, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z run second\n$/);
  const refused = await c.kubectl('logs again --tail=-5', { expect: 1 });
  assert.match(refused.stderr, /--tail must be greater than or equal to -1/);
  await c.kubectl('delete pod again --now');
});
