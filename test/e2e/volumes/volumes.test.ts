/** Volumes of every kind on real containers: what they hold, who may write, what is refused. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Pod } from '#api/gen/core-v1.ts';
import { waitForEvent, waitForLog, waitForPhase, waitForPod, waitForPodGone, waitForReady } from '../harness/conditions.ts';
import type { TestCluster } from '../harness/cluster.ts';
import { onCluster } from '../harness/suite.ts';

const BUSYBOX = 'docker.io/library/busybox:1.37';
const { test } = onCluster({ images: [BUSYBOX] });
const run = promisify(execFile);

const sh = (command: string): { image: string; command: string[] } => ({ image: BUSYBOX, command: ['sh', '-c', command] });
const pod = (name: string, spec: object): object => ({ apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec: { terminationGracePeriodSeconds: 0, ...spec } });
const mountAt = (mountPath: string, more: object = {}): object => ({ volumeMounts: [{ name: 'v', mountPath, ...more }] });
const exec = async (c: TestCluster, name: string, command: string): Promise<string> => (await c.kubectl(['exec', name, '--', 'sh', '-c', command])).stdout;
const waiting = (p: Pod): string => `${p.status?.containerStatuses?.[0]?.state?.waiting?.reason}: ${p.status?.containerStatuses?.[0]?.state?.waiting?.message}`;

test('emptyDir: shared, in memory with its size', async (c) => {
  await c.apply(pod('scratch', {
    securityContext: { fsGroup: 4242, runAsUser: 1000 },
    containers: [
      { name: 'a', ...sh('echo shared > /v/x; grep " /m " /proc/mounts; id -G; stat -c %g:%a /v; sleep 3600'), volumeMounts: [{ name: 'v', mountPath: '/v' }, { name: 'm', mountPath: '/m' }] },
      { name: 'b', ...sh('until cat /v/x; do sleep 0.1; done 2>/dev/null; sleep 3600'), ...mountAt('/v', { readOnly: true }) },
    ],
    volumes: [{ name: 'v', emptyDir: {} }, { name: 'm', emptyDir: { medium: 'Memory', sizeLimit: '8Mi' } }],
  }));
  await waitForLog(c, 'scratch -c b', /shared/);
  const said = await waitForLog(c, 'scratch -c a', /4242:2777/);
  assert.match(said, /tmpfs \/m tmpfs .*size=8192k/);
  assert.match(await exec(c, 'scratch', 'touch /v/new && ls -n /v/new'), /4242/);
  // Local disk is measured now and then: the last test looks at it.
  await c.apply(pod('greedy', { restartPolicy: 'Never', containers: [{ name: 'c', ...sh('dd if=/dev/zero of=/v/big bs=1M count=12 2>/dev/null; sleep 3600'), ...mountAt('/v') }], volumes: [{ name: 'v', emptyDir: { sizeLimit: '4Mi' } }] }));
  await c.kubectl('delete pod scratch --now');
});

test('hostPath: each type is checked or made', async (c) => {
  const host = `${c.dir}/host`;
  await mkdir(host);
  await writeFile(`${host}/file`, 'text');
  const good = [['DirectoryOrCreate', `${host}/made/deep`], ['FileOrCreate', `${host}/new`], ['Directory', host], ['File', `${host}/file`], ['CharDevice', '/dev/null'], ['BlockDevice', '/dev/loop0'], ['', host], ['Socket', (await c.config()).runDir]] as const;
  const types = good.filter(([type]) => type !== 'Socket');
  await c.apply(pod('host', {
    containers: [{ name: 'c', ...sh('stat -c %F /t[0-9]; sleep 3600'), volumeMounts: types.map((_, i) => ({ name: `t${i}`, mountPath: `/t${i}` })) }],
    volumes: types.map(([type, path], i) => ({ name: `t${i}`, hostPath: { type, path } })),
  }));
  assert.deepEqual((await waitForLog(c, 'host', /(.*\n){7}/)).trimEnd().split('\n'), ['directory', 'regular empty file', 'directory', 'regular file', 'character special file', 'block special file', 'directory']);
  assert.equal((await stat(`${host}/made/deep`)).mode & 0o777, 0o755);
  const bad = [['Directory', `${host}/file`, 'a directory'], ['File', host, 'a file'], ['Socket', `${host}/file`, 'a socket file'], ['CharDevice', `${host}/none`, 'a character device'], ['BlockDevice', '/dev/null', 'a block device']] as const;
  await Promise.all(bad.map(([type, path], i) => c.apply(pod(`host-${i}`, { containers: [{ name: 'c', ...sh('sleep 3600'), ...mountAt('/v') }], volumes: [{ name: 'v', hostPath: { type, path } }] }))));
  for (const [i, [, path, what]] of bad.entries()) await waitForEvent(c, `host-${i}`, 'FailedMount', new RegExp(`^MountVolume\\.SetUp failed for volume "v" : hostPath type check failed: ${path} is not ${what}$`));
  await c.kubectl(['delete', 'pod', 'host', ...bad.map((_, i) => `host-${i}`), '--now']);
});

test('an image is a read-only volume, and so is a folder of it; nothing of it stays mounted', async (c) => {
  await c.apply(pod('image', {
    containers: [{ name: 'c', ...sh('head -n 1 /v/etc/group; ls /v/bin/busybox; cat /part/group | head -n 1; touch /v/x 2>&1; echo end; sleep 3600'), volumeMounts: [{ name: 'v', mountPath: '/v' }, { name: 'v', mountPath: '/part', subPath: 'etc' }] }],
    volumes: [{ name: 'v', image: { reference: BUSYBOX, pullPolicy: 'IfNotPresent' } }],
  }));
  assert.deepEqual((await waitForLog(c, 'image', /^end$/m)).trimEnd().split('\n'), ['root:x:0:', '/v/bin/busybox', 'root:x:0:', 'touch: /v/x: Read-only file system', 'end']);
  await c.kubectl('delete pod image --now');
  await waitForPodGone(c, 'image');
  assert.doesNotMatch(await readFile('/proc/self/mountinfo', 'utf8'), new RegExp(`${c.dir}.*kubernetes\\.io~image`));
});

test('a ConfigMap\'s files change all at once, by one link; modes are as asked', async (c) => {
  await c.kubectl('create configmap settings --from-literal=a=1 --from-literal=b=1');
  await c.kubectl('create secret generic login --from-literal=password=geheim');
  await c.apply(pod('reader', {
    containers: [{ name: 'c', ...sh('stat -Lc %a /s/password; cat /s/password; echo; while true; do d=$(readlink /v/..data); x=$(cat /v/$d/a /v/$d/b 2>/dev/null | tr -d "\\n"); case $x in 1|11|22|"") ;; *) echo mixed $x;; esac; [ "$x" = 22 ] && echo new; sleep 0.05; done'), volumeMounts: [{ name: 'v', mountPath: '/v' }, { name: 's', mountPath: '/s' }] }],
    volumes: [{ name: 'v', configMap: { name: 'settings' } }, { name: 's', secret: { secretName: 'login', defaultMode: 0o400 } }],
  }));
  await waitForLog(c, 'reader', /geheim/);
  assert.match(await exec(c, 'reader', 'ls -l /v/a'), /-> \.\.data\/a/);
  await c.kubectl(['patch', 'configmap', 'settings', '-p', '{"data":{"a":"2","b":"2"}}']);
  const said = await waitForLog(c, 'reader', /^new$/m);
  assert.match(said, /^400\ngeheim\n/);
  assert.doesNotMatch(said, /mixed/);
  await c.kubectl('delete pod reader --now');
});

test('subPath and subPathExpr lead into a volume, never out of it', async (c) => {
  await c.apply(pod('inside', {
    containers: [{
      name: 'c', ...sh('echo mine > /own/file; ls /v; sleep 3600'), env: [{ name: 'NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
      volumeMounts: [{ name: 'v', mountPath: '/own', subPathExpr: 'pods/$(NAME)' }, { name: 'v', mountPath: '/v' }],
    }],
    volumes: [{ name: 'v', emptyDir: {} }],
  }));
  await waitForReady(c, 'inside');
  assert.equal(await exec(c, 'inside', 'cat /v/pods/inside/file'), 'mine\n');
  await c.apply(pod('escape', {
    initContainers: [{ name: 'plant', ...sh('ln -s / /v/root; ln -s ../../../../.. /v/up'), ...mountAt('/v') }],
    containers: [{ name: 'c', ...sh('sleep 3600'), volumeMounts: [{ name: 'v', mountPath: '/out', subPath: 'root/etc' }] }],
    volumes: [{ name: 'v', emptyDir: {} }],
  }));
  const refused = await waitForPod(c, 'escape', 'refused', (p) => waiting(p).startsWith('CreateContainerConfigError'));
  assert.match(waiting(refused), /^CreateContainerConfigError: .*subpath "\/" not within volume path "\S+"$/);
  await c.apply(pod('missing', { containers: [{ name: 'c', ...sh('sleep 3600'), volumeMounts: [{ name: 'v', mountPath: '/x', subPathExpr: '$(NOPE)' }] }], volumes: [{ name: 'v', emptyDir: {} }] }));
  const missing = await waitForPod(c, 'missing', 'refused', (p) => waiting(p).startsWith('CreateContainerConfigError'));
  assert.match(waiting(missing), /missing value for "NOPE"/);
  await c.kubectl('delete pod inside escape missing --now');
});

test('read-only mounts; recursive ones only where the runtime can', async (c) => {
  await c.apply(pod('ro', { containers: [{ name: 'c', ...sh('touch /v/x; sleep 3600'), ...mountAt('/v', { readOnly: true }) }], volumes: [{ name: 'v', emptyDir: {} }] }));
  assert.match(await waitForLog(c, 'ro', /touch/), /Read-only file system/);
  const handlers = (await c.kubectl(['get', 'node', 'node01', '-o', 'jsonpath={.status.runtimeHandlers[?(@.name=="")].features.recursiveReadOnlyMounts}'])).stdout;
  await c.apply(pod('rro', { containers: [{ name: 'c', ...sh('sleep 3600'), ...mountAt('/v', { readOnly: true, recursiveReadOnly: 'Enabled' }) }], volumes: [{ name: 'v', emptyDir: {} }] }));
  if (handlers === 'true') await waitForReady(c, 'rro');
  else assert.match(waiting(await waitForPod(c, 'rro', 'refused', (p) => waiting(p).startsWith('CreateContainerConfigError'))), /recursive read-only mode, but it is not supported by the runtime/);
  await c.kubectl('delete pod ro rro --now');
});

test('mount propagation: mounts of the host come in, those of the container go out', async (c) => {
  const shared = `${c.dataDir}/propagation`;
  await mkdir(`${shared}/in`, { recursive: true });
  await mkdir(`${shared}/out`);
  await c.apply(pod('mounts', {
    containers: [
      { name: 'in', ...sh('until [ -e /v/in/marker ]; do sleep 0.1; done; echo came; sleep 3600'), ...mountAt('/v', { mountPropagation: 'HostToContainer' }) },
      { name: 'out', ...sh('mount -t tmpfs tmpfs /v/out && touch /v/out/inside && echo mounted; sleep 3600'), securityContext: { privileged: true }, ...mountAt('/v', { mountPropagation: 'Bidirectional' }) },
      { name: 'none', ...sh('sleep 3600'), ...mountAt('/v') },
    ],
    volumes: [{ name: 'v', hostPath: { path: shared } }],
  }));
  await waitForReady(c, 'mounts');
  try {
    await run('mount', ['-t', 'tmpfs', 'tmpfs', `${shared}/in`]);
    await writeFile(`${shared}/in/marker`, '');
    await waitForLog(c, 'mounts -c in', /came/);
    assert.equal((await c.kubectl(['exec', 'mounts', '-c', 'none', '--', 'ls', '/v/in'])).stdout, '');
    await waitForLog(c, 'mounts -c out', /mounted/);
    assert.equal(await readFile(`${shared}/out/inside`, 'utf8'), '');
  } finally {
    for (const at of ['in', 'out']) await run('umount', [`${shared}/${at}`]).catch(() => {});
  }
  await c.kubectl('delete pod mounts --now');
});

test('a local volume that is a device; one that is not is refused', async (c) => {
  const file = `${c.dir}/disk.img`;
  await writeFile(file, 'first bytes');
  await truncate(file, 1 << 20);
  const device = (await run('losetup', ['--find', '--show', file])).stdout.trim();
  try {
    const volume = (name: string, path: string): object[] => [
      { apiVersion: 'v1', kind: 'PersistentVolume', metadata: { name }, spec: { capacity: { storage: '1Mi' }, accessModes: ['ReadWriteOnce'], volumeMode: 'Block', storageClassName: 'manual', local: { path }, nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'kubernetes.io/os', operator: 'In', values: ['linux'] }] }] } } } },
      { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name }, spec: { accessModes: ['ReadWriteOnce'], volumeMode: 'Block', storageClassName: 'manual', volumeName: name, resources: { requests: { storage: '1Mi' } } } },
      pod(name, { containers: [{ name: 'c', ...sh('stat -c %F /dev/disk; head -c 11 /dev/disk; echo; sleep 3600'), volumeDevices: [{ name: 'v', devicePath: '/dev/disk' }] }], volumes: [{ name: 'v', persistentVolumeClaim: { claimName: name } }] }),
    ];
    await c.apply({ apiVersion: 'v1', kind: 'List', items: [...volume('device', device), ...volume('nodevice', file)] });
    assert.equal(await waitForLog(c, 'device', /first bytes/), 'block special file\nfirst bytes\n');
    await waitForEvent(c, 'nodevice', 'FailedMount', /^MountVolume\.SetUp failed for volume "nodevice" : local volume "\S+" has volumeMode Block, but it is not a block device$/);
    await c.kubectl('delete pod device nodevice --now');
    await waitForPodGone(c, 'device');
  } finally {
    await run('losetup', ['-d', device]);
  }
});

test('an NFS volume whose server cannot be reached is told in the words of the mount command', async (c) => {
  await c.apply(pod('nfs', { containers: [{ name: 'c', ...sh('sleep 3600'), ...mountAt('/v') }], volumes: [{ name: 'v', nfs: { server: '127.0.0.1', path: '/export', readOnly: true } }] }));
  await waitForEvent(c, 'nfs', 'FailedMount', /^MountVolume\.SetUp failed for volume "v" : mount failed: exit status \d+\nMounting command: mount\nMounting arguments: -t nfs -o ro 127\.0\.0\.1:\/export \S+\/volumes\/kubernetes\.io~nfs\/v\nOutput: mount/);
  await c.kubectl('delete pod nfs --now');
  await waitForPodGone(c, 'nfs');
});

test('a claim of the default class is written by a Pod of any user, grows, and goes with its claim', async (c) => {
  await c.apply({ apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } } });
  await c.apply(pod('anybody', { securityContext: { runAsUser: 1234 }, containers: [{ name: 'c', ...sh('echo kept > /v/file && cat /v/file; sleep 3600'), ...mountAt('/v') }], volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] }));
  await waitForLog(c, 'anybody', /kept/);
  await c.kubectl(['patch', 'pvc', 'data', '-p', '{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}']);
  await waitForEvent(c, 'data', 'VolumeResizeSuccessful', /^Resize volume succeeded$/);
  assert.match((await c.kubectl('get pvc data --no-headers')).stdout, /^data +Bound +pvc-\S+ +2Gi +RWO +local-path /);
  const path = (await c.kubectl(['get', 'pv', '-o', 'jsonpath={.items[?(@.spec.claimRef.name=="data")].spec.hostPath.path}'])).stdout;
  assert.equal(await readFile(`${path}/file`, 'utf8'), 'kept\n');
  await c.kubectl('delete pod anybody --now');
  await c.kubectl('delete pvc data');
  await c.kubectl(['wait', '--for=delete', `pv/${(await c.kubectl(['get', 'pv', '-o', 'jsonpath={.items[?(@.spec.claimRef.name=="data")].metadata.name}'])).stdout || 'gone'}`, '--timeout=20s']);
  await assert.rejects(stat(path), { code: 'ENOENT' });
});

test('a Pod whose emptyDir outgrows its limit goes', async (c) => {
  const gone = await waitForPhase(c, 'greedy', 'Failed');
  assert.deepEqual([gone.status?.reason, gone.status?.message], ['Evicted', 'Usage of EmptyDir volume "v" exceeds the limit "4Mi". ']);
  await waitForEvent(c, 'greedy', 'Evicted', /^Usage of EmptyDir volume "v" exceeds the limit "4Mi"\. $/);
  await c.kubectl('delete pod greedy --now');
});
