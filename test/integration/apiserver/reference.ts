/** A server in the state of one that has just been installed, for requests whose answers are compared with those of a reference. */
import { resourceOf } from '#api/resources.ts';
import type { Target } from '../../vectors/replay.ts';
import { startServer, type Fixture } from './fixture.ts';

const ADMIN = { user: { name: 'system:apiserver', groups: ['system:masters'] }, userAgent: 'kube-apiserver' };

/** Service accounts are not asked for: no controller makes them here. */
export async function startReferenceServer(): Promise<{ readonly fixture: Fixture; readonly target: Target }> {
  const fixture = await startServer({ pluginsWithout: ['ServiceAccount'] });
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
    await fixture.server.call({ verb: 'create', resource: resourceOf('', 'v1', 'namespaces'), body: { metadata: { name } } }, ADMIN);
  }
  const { pki } = fixture;
  return { fixture, target: { url: fixture.url, tls: { ca: pki.ca.cert, cert: pki.clients.admin.cert, key: pki.clients.admin.key }, headers: { 'user-agent': 'vectors/1' } } };
}
