import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cniConfigList, type NetworkedRuntimeConfig } from './cni.ts';
import { parseContainerdVersion, renderContainerdConfig, renderToml } from './config.ts';

const config: NetworkedRuntimeConfig = {
  root: '/d/containerd', state: '/r/containerd', socket: '/r/containerd.sock', configDir: '/d/runtime', cniConfDir: '/d/cni/net.d', cniBinDir: '/usr/lib/cni', cniDataDir: '/d/cni/ipam', certsDir: '/d/runtime/certs.d',
  runcRoot: '/r/runc', cgroupRoot: '/podyard', systemdCgroup: false, bridge: 'cni0', podCIDR: '10.244.0.0/24', mtu: 1400, pauseImage: 'localhost/pause:1', sharedDirs: ['/d'],
};
const lines = (text: string) => text.split('\n');

test('renderContainerdConfig writes the second form for containerd 1.x', () => {
  const text = renderContainerdConfig(config, { containerdVersion: '1.6.20', canLowerOomScore: false });
  for (const line of [
    'version = 2', 'root = "/d/containerd"', 'address = "/r/containerd.sock"', '[plugins."io.containerd.grpc.v1.cri"]', 'sandbox_image = "localhost/pause:1"', 'restrict_oom_score_adj = true', 'config_path = "/d/runtime/certs.d"',
    'conf_dir = "/d/cni/net.d"', '[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]', 'Root = "/r/runc"', 'SystemdCgroup = false', 'netns_mounts_under_state_dir = true',
  ]) assert.ok(lines(text).includes(line), `${line} is not in:\n${text}`);
  assert.doesNotMatch(text, /cri\.v1|runtimes\.crun|enable_cdi/);
  assert.ok(lines(renderContainerdConfig(config, { containerdVersion: '1.7.24', canLowerOomScore: false })).includes('enable_cdi = true'));
  assert.doesNotMatch(text, /runtime\.v1\.linux/, 'containerd 1.6 needs it');
});

test('renderContainerdConfig writes the third form for containerd 2.x', () => {
  const text = renderContainerdConfig({ ...config, systemdCgroup: true }, { containerdVersion: '2.1.4', canLowerOomScore: true, crun: '/usr/bin/crun' });
  for (const line of [
    'version = 3', '[plugins."io.containerd.cri.v1.images".pinned_images]', 'sandbox = "localhost/pause:1"', '[plugins."io.containerd.cri.v1.images".registry]', '[plugins."io.containerd.cri.v1.runtime".cni]', 'restrict_oom_score_adj = false',
    '[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.crun.options]', 'BinaryName = "/usr/bin/crun"', 'SystemdCgroup = true', '[plugins."io.containerd.grpc.v1.cri"]', 'stream_server_address = "127.0.0.1"',
  ]) assert.ok(lines(text).includes(line), `${line} is not in:\n${text}`);
  assert.doesNotMatch(text, /sandbox_image/);
});

test('parseContainerdVersion reads what each distribution prints', () => {
  assert.equal(parseContainerdVersion('containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3\n'), '1.6.20');
  assert.equal(parseContainerdVersion('containerd containerd.io v2.1.4 75cb2b7193e4e490e9fbdc236c0e811ccaba3376\n'), '2.1.4');
  assert.throws(() => parseContainerdVersion('what?\n'), /asking containerd for its version: "what\?" has none/);
});

test('renderToml quotes keys and strings, and writes tables after the values of their parent', () => {
  assert.equal(renderToml({ a: 1, t: { 'x.y': { s: 'q"\\' } }, l: ['b'] }), 'a = 1\nl = ["b"]\n\n[t."x.y"]\ns = "q\\"\\\\"\n');
});

test('cniConfigList has a hairpin bridge with the addresses of the node, without masquerading and host ports', () => {
  assert.deepEqual(cniConfigList(config), {
    cniVersion: '0.4.0', name: 'podyard-cni0',
    plugins: [{ type: 'bridge', bridge: 'cni0', isGateway: true, ipMasq: false, hairpinMode: true, mtu: 1400, ipam: { type: 'host-local', dataDir: '/d/cni/ipam', ranges: [[{ subnet: '10.244.0.0/24' }]], routes: [{ dst: '0.0.0.0/0' }] } }],
  });
});
