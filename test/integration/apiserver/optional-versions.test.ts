/** Versions that are off by default: absent until they are asked for, then served as any other, and one with the version that is stored. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { parseRuntimeConfig } from '#apiserver/registry/runtime-config.ts';
import { startServer, type Fixture } from './fixture.ts';

async function ok(fixture: Fixture, args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await fixture.kubectl(args, input);
  assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

describe('by default', () => {
  let fixture: Fixture;
  before(async () => void (fixture = await startServer()));
  after(() => fixture.close());
  test('nobody sees them: not in discovery, not in OpenAPI, not at their paths', async () => {
    const { stdout } = await fixture.kubectl(['api-versions']);
    assert.deepEqual(stdout.split('\n').filter((v) => v.includes('beta')), []);
    const missing = await fixture.kubectl(['get', '--raw', '/apis/certificates.k8s.io/v1beta1/clustertrustbundles']);
    assert.match(missing.stderr, /NotFound/);
    const { stdout: index } = await fixture.kubectl(['get', '--raw', '/openapi/v3']);
    assert.deepEqual(Object.keys((JSON.parse(index) as { paths: object }).paths).filter((p) => p.includes('beta')), []);
  });
  test('a Pod\'s projections of them are dropped', async () => {
    await fixture.kubectl(['create', 'namespace', 'default']);
    const sources = [{ clusterTrustBundle: { name: 'a', path: 'a' } }, { podCertificate: { signerName: 'example.com/s', keyType: 'ED25519', keyPath: 'k' } }, { configMap: { name: 'c' } }];
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i' }], volumes: [{ name: 'v', projected: { sources } }] } };
    const { stdout, stderr } = await fixture.kubectl(['create', '-f', '-', '-o', 'jsonpath={.spec.volumes[?(@.name=="v")].projected.sources}'], JSON.stringify(pod));
    assert.equal(stdout, '[{},{},{"configMap":{"name":"c"}}]', stderr);
  });
});

describe('when they are asked for', () => {
  let fixture: Fixture;
  before(async () => void (fixture = await startServer({ runtimeConfig: parseRuntimeConfig('api/beta=true') })));
  after(() => fixture.close());
  const raw = async (path: string) => JSON.parse(await ok(fixture, ['get', '--raw', path])) as Record<string, unknown>;
  const names = '/apis/networking.k8s.io/v1beta1/ipaddresses';
  const address = (version: string, name: string, service: string) => JSON.stringify({ apiVersion: `networking.k8s.io/${version}`, kind: 'IPAddress', metadata: { name, labels: { 'ipaddress.kubernetes.io/ip-family': 'IPv4' } }, spec: { parentRef: { resource: 'services', namespace: 'a', name: service } } });

  test('discovery lists them after the version that is preferred, and explain knows them', async () => {
    const versions = (await ok(fixture, ['api-versions'])).split('\n').filter((v) => v.includes('beta'));
    assert.deepEqual(versions, ['admissionregistration.k8s.io/v1beta1', 'certificates.k8s.io/v1beta1', 'networking.k8s.io/v1beta1', 'resource.k8s.io/v1beta2', 'storage.k8s.io/v1beta1']);
    const { preferredVersion } = (await raw('/apis/networking.k8s.io')) as { preferredVersion: { version: string } };
    assert.equal(preferredVersion.version, 'v1');
    assert.match(await ok(fixture, ['api-resources', '--api-group=certificates.k8s.io']), /clustertrustbundles +certificates\.k8s\.io\/v1beta1 +false +ClusterTrustBundle\npodcertificaterequests +certificates\.k8s\.io\/v1beta1 +true +PodCertificateRequest\n/);
    assert.match(await ok(fixture, ['explain', 'podcertificaterequests.spec.stubPKCS10Request']), /FIELD: stubPKCS10Request <string>/);
    assert.match(await ok(fixture, ['explain', 'ipaddresses.spec', '--api-version=networking.k8s.io/v1beta1']), /VERSION: +v1beta1/);
  });
  test('objects of an older version and of the stored one are the same', async () => {
    await ok(fixture, ['create', '-f', '-'], address('v1beta1', '192.0.2.7', 'x'));
    const stored = (await raw('/apis/networking.k8s.io/v1/ipaddresses/192.0.2.7')) as { apiVersion: string; spec: { parentRef: { name: string } } };
    assert.deepEqual([stored.apiVersion, stored.spec.parentRef.name], ['networking.k8s.io/v1', 'x']);
    await ok(fixture, ['create', '-f', '-'], address('v1', '192.0.2.8', 'y'));
    const list = (await raw(names)) as { apiVersion: string; items: { apiVersion?: string; metadata: { name: string } }[] };
    assert.deepEqual([list.apiVersion, list.items.map((i) => i.metadata.name)], ['networking.k8s.io/v1beta1', ['192.0.2.7', '192.0.2.8']]);
    assert.equal(((await raw(`${names}/192.0.2.8`)) as { apiVersion: string }).apiVersion, 'networking.k8s.io/v1beta1');
    assert.match(await ok(fixture, ['get', 'ipaddresses.v1beta1.networking.k8s.io']), /^NAME +PARENTREF\n192\.0\.2\.7 +services\/a\/x\n/);
    await ok(fixture, ['label', 'ipaddresses.v1beta1.networking.k8s.io', '192.0.2.8', 'a=b']);
    await ok(fixture, ['apply', '--server-side', '--force-conflicts', '-f', '-'], address('v1beta1', '192.0.2.8', 'y'));
    const fields = (await raw('/apis/networking.k8s.io/v1/ipaddresses/192.0.2.8')) as { metadata: { labels: object; managedFields: { manager: string; operation: string; apiVersion: string }[] } };
    assert.deepEqual(fields.metadata.labels, { a: 'b', 'ipaddress.kubernetes.io/ip-family': 'IPv4' });
    assert.deepEqual(fields.metadata.managedFields.map((m) => [m.operation, m.apiVersion]), [['Apply', 'networking.k8s.io/v1beta1'], ['Update', 'networking.k8s.io/v1'], ['Update', 'networking.k8s.io/v1beta1']]);
    const refused = await fixture.kubectl(['create', '-f', '-'], address('v1beta1', 'no-address', 'x'));
    assert.match(refused.stderr, /The IPAddress "no-address" is invalid: metadata\.name: Invalid value: "no-address": /);
    await ok(fixture, ['delete', 'ipaddresses.v1beta1.networking.k8s.io', '192.0.2.7']);
    assert.match((await fixture.kubectl(['get', 'ipaddresses.v1.networking.k8s.io', '192.0.2.7'])).stderr, /not found/);
  });
  test('a watch of one version hears what is written in the other, as its own', async () => {
    const watched = fixture.kubectl(['get', '--raw', `${names}?watch=1&timeoutSeconds=3&fieldSelector=metadata.name%3D192.0.2.9`]);
    await ok(fixture, ['create', '-f', '-'], address('v1', '192.0.2.9', 'z'));
    const events = (await watched).stdout.trim().split('\n').map((line) => JSON.parse(line) as { type: string; object: { apiVersion: string } });
    assert.deepEqual(events.map((e) => [e.type, e.object.apiVersion]), [['ADDED', 'networking.k8s.io/v1beta1']]);
  });
  test('kinds of their own are written, selected and refused as any other', async () => {
    const bundle = (name: string, signerName: string) => JSON.stringify({ apiVersion: 'certificates.k8s.io/v1beta1', kind: 'ClusterTrustBundle', metadata: { name }, spec: { signerName, trustBundle: fixture.pki.ca.cert } });
    await ok(fixture, ['create', '-f', '-'], bundle('example.com:s:a', 'example.com/s'));
    await ok(fixture, ['create', '-f', '-'], bundle('example.com:t:a', 'example.com/t'));
    assert.match(await ok(fixture, ['get', 'clustertrustbundles', '--field-selector=spec.signerName=example.com/s']), /^NAME +SIGNERNAME\nexample\.com:s:a +example\.com\/s\n$/);
    const refused = await fixture.kubectl(['create', '-f', '-'], bundle('b', 'example.com/s'));
    assert.match(refused.stderr, /The ClusterTrustBundle "b" is invalid: metadata\.name: Invalid value: "b": ClusterTrustBundle for signerName example\.com\/s must be named with prefix example\.com:s:/);
  });
});
