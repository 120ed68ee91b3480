/** `podyard uninstall` leaves nothing: the host is compared before and after. */
import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { test } from 'node:test';
import { TestCluster } from '../harness/cluster.ts';
import { waitForReady } from '../harness/conditions.ts';
import { runProgram, startProgram } from '../harness/process.ts';

/** What a cluster changes on a machine, each as lines. Numbers that any other program of the machine changes are left out. */
async function hostState(): Promise<Record<string, string[]>> {
  const lines = async (file: string, ...args: string[]): Promise<string[]> => (await runProgram(file, args, { expect: 'any' })).stdout.split('\n').filter((l) => l.trim() !== '');
  const entries = async (dir: string): Promise<string[]> => (await readdir(dir).catch((): string[] => [])).map((name) => `${dir}/${name}`);
  const cgroups = await lines('find', '/sys/fs/cgroup', '-maxdepth', '3', '-type', 'd');
  return {
    processes: await lines('ps', '-e', '-o', 'args='),
    mounts: (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').map((l) => l.split(' ').slice(3, 5).join(' ')).filter(Boolean),
    links: (await lines('ip', '-o', 'link')).map((l) => l.split(': ')[1]!),
    addresses: (await lines('ip', '-o', 'address')).map((l) => l.split(/\s+/).slice(1, 4).join(' ')),
    routes: await lines('ip', 'route', 'show', 'table', 'all'),
    rules: await lines('ip', 'rule'),
    nft: (await lines('nft', 'list', 'ruleset')).filter((l) => !/^\s*(counter|packets)/.test(l)),
    netns: await entries('/run/netns'),
    cgroups,
    sysctls: await lines('sysctl', 'net.ipv4.ip_forward', 'net.ipv4.conf.all.forwarding', 'net.bridge.bridge-nf-call-iptables', 'net.ipv4.conf.all.route_localnet', 'net.ipv4.ip_local_reserved_ports'),
    files: (await Promise.all(['/run', '/run/containerd', '/run/containerd/s', '/run/containerd/fifo', '/var/lib', '/var/lib/cni', '/var/lib/cni/networks', '/var/log', '/var/log/pods', '/var/log/containers', '/etc', '/etc/cni', '/etc/cni/net.d', '/opt', '/usr/local/bin', '/var/run', '/tmp', '/dev/shm', '/lib/modules-load.d', '/etc/sysctl.d'].map(entries))).flat(),
  };
}
/** Lines of `now` that `then` has not, of those that name the cluster: others may come and go on the machine meanwhile. */
function added(then: readonly string[], now: readonly string[]): string[] {
  const left = [...then];
  return now.filter((line) => {
    const at = left.indexOf(line);
    if (at >= 0) left.splice(at, 1);
    return at < 0;
  });
}

async function linkNames(...of: string[]): Promise<string[]> {
  return (await runProgram('ip', ['-o', 'link', 'show', ...of])).stdout.split('\n').filter(Boolean).map((l) => l.split(': ')[1]!);
}

async function settled(before: Record<string, string[]>, marks: RegExp): Promise<void> {
  const after = await hostState();
  for (const [what, then] of Object.entries(before)) assert.deepEqual(added(then, after[what]!).filter((line) => marks.test(line)), [], `${what} that stay behind`);
}

for (const how of ['after down', 'while it runs', 'after kill -9 of everything of it'] as const) {
  test(`uninstall ${how} leaves no process, mount, link, rule, route, cgroup, sysctl or file`, { timeout: 180_000 }, async () => {
    const hold = setInterval(() => {}, 1 << 30);
    const before = await hostState();
    const c = await TestCluster.start({ images: ['docker.io/library/busybox:1.37'] });
    try {
      await c.apply({
        apiVersion: 'v1', kind: 'Pod', metadata: { name: 'full' },
        spec: {
          containers: [{ name: 'c', image: 'busybox:1.37', command: ['sleep', '99991'], ports: [{ containerPort: 80, hostPort: 32_123 }], volumeMounts: [{ name: 'm', mountPath: '/m' }, { name: 'd', mountPath: '/d' }], resources: { limits: { memory: '64Mi', cpu: '1' } } }],
          volumes: [{ name: 'm', emptyDir: { medium: 'Memory' } }, { name: 'd', emptyDir: {} }],
        },
      });
      await waitForReady(c, 'full');
      const { bridge, cgroupRoot, nftTable, runDir, podCIDR } = await c.config();
      const during = await hostState();
      const prefix = podCIDR.split('.').slice(0, 2).join('\\.');
      const ports = await linkNames('master', bridge);
      assert.equal(ports.length, 1);
      // The marks are right: every kind of trace is there while it runs.
      const marks = new RegExp([c.dir, runDir, bridge, cgroupRoot.slice(1), nftTable, `\\b${prefix}\\.`, '99991', 'veth', 'cni-', 'ip_forward', 'route_localnet', 'bridge-nf', '/run/containerd/s/'].join('|'));
      for (const what of ['processes', 'mounts', 'links', 'addresses', 'routes', 'nft', 'cgroups', 'files']) assert.notDeepEqual(added(before[what]!, during[what]!).filter((l) => marks.test(l)), [], `${what} while it runs`);
      const home = await readFile(`${c.dir}/home/.kube/config`, 'utf8');
      assert.match(home, /current-context: podyard/);

      if (how === 'after down') await c.down();
      if (how === 'after kill -9 of everything of it') {
        await c.kill();
        for (const line of (await runProgram('ps', ['-e', '-o', 'pid=,args='])).stdout.split('\n')) {
          const [, pid, args = ''] = /^\s*(\d+) (.*)$/.exec(line) ?? [];
          if (pid && (args.includes(runDir) || args.includes(c.dataDir)) && /^\S*containerd/.test(args)) process.kill(Number(pid), 'SIGKILL');
        }
      }
      const said = await c.podyard(['uninstall', '--yes']);
      assert.match(said.stdout, /cluster, Pods and data removed/);
      assert.deepEqual(await readdir(c.dir).then((names) => names.filter((n) => n === 'data')), []);
      await settled(before, new RegExp([`${c.dir}/data`, runDir, bridge, cgroupRoot.slice(1), nftTable, `\\b${prefix}\\.`, '99991', 'ip_forward', 'route_localnet', 'bridge-nf'].join('|')));
      assert.deepEqual((await linkNames()).filter((name) => ports.includes(name)), [], 'the bridge\'s ports');
      assert.doesNotMatch(await readFile(`${c.dir}/home/.kube/config`, 'utf8'), /podyard-[0-9a-f]{8}/);
      assert.equal((await c.podyard(['uninstall', '--yes'])).stdout, `There is no cluster in ${c.dataDir}.\n`);
    } finally {
      await c.uninstall();
      clearInterval(hold);
    }
  });
}

test('where all mounts are shared, as systemd makes them, volumes that are still mounted are unmounted, and what is in them stays', { timeout: 180_000 }, async (t) => {
  const hold = setInterval(() => {}, 1 << 30);
  t.after(() => clearInterval(hold));
  await using holder = startProgram('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', 'mount --make-rshared / && echo made && exec sleep 3600'], { timeoutMs: 180_000 });
  await holder.seen(/made/);
  const enter = ['nsenter', `--mount=/proc/${holder.child.pid}/ns/mnt`];
  const c = await TestCluster.start({ images: ['docker.io/library/busybox:1.37'], enter });
  try {
    const theirs = `${c.files}/theirs`;
    await mkdir(`${theirs}/part`, { recursive: true });
    await writeFile(`${theirs}/part/precious`, 'data');
    await c.apply({
      apiVersion: 'v1', kind: 'Pod', metadata: { name: 'full' },
      spec: {
        containers: [{ name: 'c', image: 'busybox:1.37', command: ['sleep', '3600'], volumeMounts: [{ name: 'm', mountPath: '/m' }, { name: 'h', mountPath: '/h', subPath: 'part' }] }],
        volumes: [{ name: 'm', emptyDir: { medium: 'Memory' } }, { name: 'h', hostPath: { path: theirs } }],
      },
    });
    await waitForReady(c, 'full');
    const mounts = async (): Promise<string[]> => (await readFile(`/proc/${holder.child.pid}/mountinfo`, 'utf8')).split('\n').filter((line) => line.includes(`${c.dataDir}/kubelet`));
    assert.equal((await mounts()).length, 2, 'the volume in memory, and the part of the directory');
    const said = await c.podyard(['uninstall', '--yes']);
    assert.match(said.stdout, /cluster, Pods and data removed/);
    assert.equal(await readFile(`${theirs}/part/precious`, 'utf8'), 'data');
    assert.deepEqual(await mounts(), []);
    assert.deepEqual(await readdir(c.dir).then((names) => names.filter((n) => n === 'data')), []);
  } finally {
    await c.uninstall();
  }
});
