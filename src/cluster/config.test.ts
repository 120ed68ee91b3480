import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ensureClusterConfig, newClusterConfig, sansOf } from './config.ts';

test('newClusterConfig takes names and addresses of the API server, and refuses what is neither', () => {
  assert.deepEqual(sansOf(newClusterConfig({ tlsSan: 'kube.example.com, 192.0.2.7,::1,*.example.com' })), ['kube.example.com', '192.0.2.7', '::1', '*.example.com']);
  assert.deepEqual(sansOf(newClusterConfig({})), []);
  for (const tlsSan of ['Kube.example.com', 'a b', 'http://x', '-x']) assert.throws(() => newClusterConfig({ tlsSan }), { message: `--tls-san "${tlsSan}": must be an IP address or a DNS name in lower case` });
});

test('newClusterConfig refuses what is no way between Pods of different nodes', () => {
  assert.equal(newClusterConfig({}).podNetwork, 'routes');
  assert.throws(() => newClusterConfig({ podNetwork: 'geneve' }), { message: '--pod-network "geneve": must be routes or vxlan' });
});

test('ensureClusterConfig keeps what was chosen, the address too, and looks anew for an address that was not', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'podyard-config-'));
  try {
    const own = newClusterConfig({}).nodeIP;
    assert.equal((await ensureClusterConfig({ dataDir, apiPort: 7443 })).nodeIP, own);
    assert.equal((await ensureClusterConfig({ dataDir, nodeIP: '192.0.2.7' })).nodeIP, '192.0.2.7');
    const again = await ensureClusterConfig({ dataDir });
    assert.deepEqual([again.nodeIP, again.apiPort], ['192.0.2.7', 7443]);
    assert.equal((await ensureClusterConfig({ dataDir, podNetwork: 'vxlan' })).podNetwork, 'vxlan', 'the way between nodes may change');
    assert.equal((await ensureClusterConfig({ dataDir })).podNetwork, 'vxlan');
    await assert.rejects(ensureClusterConfig({ dataDir, clusterCIDR: '10.1.0.0/16' }), /^Error: clusterCIDR of the cluster in ".*" is 10\.244\.0\.0\/16 and cannot become 10\.1\.0\.0\/16: uninstall it first, or choose another --data-dir$/);
  } finally {
    await rm(dataDir, { recursive: true });
  }
});
