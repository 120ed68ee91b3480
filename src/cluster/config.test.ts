import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ensureClusterConfig, newClusterConfig } from './config.ts';

test('ensureClusterConfig keeps what was chosen, the address too, and looks anew for an address that was not', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'podyard-config-'));
  try {
    const own = newClusterConfig({}).nodeIP;
    assert.equal((await ensureClusterConfig({ dataDir, apiPort: 7443 })).nodeIP, own);
    assert.equal((await ensureClusterConfig({ dataDir, nodeIP: '192.0.2.7' })).nodeIP, '192.0.2.7');
    const again = await ensureClusterConfig({ dataDir });
    assert.deepEqual([again.nodeIP, again.apiPort], ['192.0.2.7', 7443]);
    await assert.rejects(ensureClusterConfig({ dataDir, clusterCIDR: '10.1.0.0/16' }), /^Error: clusterCIDR of the cluster in ".*" is 10\.244\.0\.0\/16 and cannot become 10\.1\.0\.0\/16: uninstall it first, or choose another --data-dir$/);
  } finally {
    await rm(dataDir, { recursive: true });
  }
});
