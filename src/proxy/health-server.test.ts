import assert from 'node:assert/strict';
import { createServer, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { HealthServers } from './health-server.ts';

async function freePort(): Promise<number> {
  const server = createServer().listen(0);
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
test('HealthServers says whether the node has endpoints of the Service, until the Service goes', async () => {
  const servers = new HealthServers();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/healthz`;
  const health = { namespace: 'default', name: 'web', port, localEndpoints: 2 };
  servers.set('default/web', health);
  const up = await fetch(url);
  assert.deepEqual([up.status, up.headers.get('x-load-balancing-endpoint-weight'), await up.json()], [200, '2', { service: { namespace: 'default', name: 'web' }, localEndpoints: 2, serviceProxyHealthy: true }]);
  servers.set('default/web', { ...health, localEndpoints: 0 });
  const down = await fetch(url);
  assert.equal(down.status, 503);
  await down.body?.cancel();
  servers.set('default/web', undefined);
  assert.equal(servers.size, 0);
  await assert.rejects(fetch(url));
  await servers.stop();
});
