/** The files of the data directory that decide who is who, who may what, what is encrypted and what is written down, all together on a real cluster. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { request } from 'node:https';
import { onCluster } from '../harness/suite.ts';

const config = (kind: string, more: object): string => JSON.stringify({ apiVersion: 'apiserver.config.k8s.io/v1', kind, ...more });
const { test } = onCluster({
  flags: ['--max-requests-inflight=100', '--max-mutating-requests-inflight=50'],
  dataFiles: {
    'encryption.yaml': config('EncryptionConfiguration', { resources: [{ resources: ['secrets'], providers: [{ secretbox: { keys: [{ name: 'k', secret: Buffer.alloc(32, 7).toString('base64') }] } }] }] }),
    'authentication.yaml': config('AuthenticationConfiguration', { anonymous: { enabled: true, conditions: [{ path: '/livez' }] } }),
    'authorization.yaml': config('AuthorizationConfiguration', { authorizers: [{ type: 'Node', name: 'node' }, { type: 'RBAC', name: 'rbac' }] }),
    'audit-policy.yaml': JSON.stringify({ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', rules: [{ level: 'Metadata', resources: [{ group: '', resources: ['secrets'] }] }] }),
    // Nobody listens there: traces are lost, and nothing else.
    'tracing.yaml': config('TracingConfiguration', { endpoint: '127.0.0.1:1', samplingRatePerMillion: 1_000_000 }),
  },
});

/** The code of an answer to somebody without credentials. */
function anonymous(port: number, path: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => request({ host: '127.0.0.1', port, path, rejectUnauthorized: false }, (response) => response.resume().on('end', () => resolve(response.statusCode))).on('error', reject).end());
}

test('a cluster with all of its configuration files is a cluster, through a restart', async (cluster) => {
  await cluster.kubectl('create secret generic s --from-literal=password=swordfish');
  const { apiPort, dataDir } = await cluster.config();
  assert.deepEqual([await anonymous(apiPort, '/livez'), await anonymous(apiPort, '/version')], [200, 401]);
  await cluster.down();
  const stored = await readFile(`${dataDir}/store/store.mdb`);
  assert.ok(stored.includes('k8s:enc:secretbox:v1:k:') && !stored.includes(Buffer.from('swordfish').toString('base64')));
  await cluster.up();
  assert.equal((await cluster.kubectl(['get', 'secret', 's', '-o', 'jsonpath={.data.password}'])).stdout, Buffer.from('swordfish').toString('base64'));
  const metrics = (await cluster.kubectl('get --raw /metrics')).stdout;
  const seats = [...metrics.matchAll(/^apiserver_flowcontrol_nominal_limit_seats\{priority_level="workload-low"\} (\d+)$/gm)].map((m) => Number(m[1]));
  assert.deepEqual(seats, [62]);
  const audited = (await readFile(`${dataDir}/audit.log`, 'utf8')).trimEnd().split('\n').map((line) => JSON.parse(line) as { verb: string; objectRef: { name?: string } });
  assert.ok(audited.some((e) => e.verb === 'create' && e.objectRef.name === 's'));
  assert.equal((await cluster.kubectl('get --raw /readyz/kms-providers')).stdout, 'ok');
});
