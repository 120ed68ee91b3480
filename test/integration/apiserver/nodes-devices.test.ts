/** What a node may do with the objects of dynamic resource allocation, through authorization and admission. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { KubeList } from '#api/object.ts';
import type { ResourceSlice } from '#api/gen/resource-v1.ts';
import { startServer, type Fixture } from './fixture.ts';
import { Requests } from './requests.ts';

const SLICES = '/apis/resource.k8s.io/v1/resourceslices';
const CLAIMS = '/apis/resource.k8s.io/v1/namespaces/default/resourceclaims';
const as = (node: string) => ({ headers: { 'impersonate-user': `system:node:${node}`, 'impersonate-group': 'system:nodes' } });
let fixture: Fixture;
let http: Requests;
before(async () => {
  fixture = await startServer({ pluginsWithout: ['ServiceAccount'] });
  http = new Requests(fixture);
  await http.call('POST', '/api/v1/namespaces', { body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } } });
});
after(async () => {
  http.close();
  await fixture.close();
});
const slice = (driver: string, nodeName: string): object => ({ apiVersion: 'resource.k8s.io/v1', kind: 'ResourceSlice', metadata: { name: `${driver}-${nodeName}` }, spec: { driver, nodeName, pool: { name: nodeName, generation: 1, resourceSliceCount: 1 }, devices: [{ name: 'one' }] } });
const left = async (): Promise<string[]> => (await http.call('GET', SLICES)).json<KubeList<ResourceSlice>>().items.map((s) => s.metadata.name!);

test('a node takes away its own ResourceSlices, all of them or those of a driver, and nobody else\'s', async () => {
  for (const driver of ['a.example', 'b.example']) for (const node of ['n1', 'n2']) assert.equal((await http.call('POST', SLICES, { body: slice(driver, node) })).code, 201);
  const remove = async (selector: string): Promise<number> => (await http.call('DELETE', `${SLICES}?fieldSelector=${encodeURIComponent(selector)}`, as('n1'))).code;
  assert.deepEqual([await remove('spec.driver=a.example'), await remove('spec.nodeName=n2'), await remove('')], [403, 403, 403]);
  assert.equal(await remove('spec.driver=a.example,spec.nodeName=n1'), 200);
  assert.deepEqual(await left(), ['a.example-n2', 'b.example-n1', 'b.example-n2']);
  assert.equal(await remove('spec.nodeName=n1'), 200);
  assert.deepEqual(await left(), ['a.example-n2', 'b.example-n2']);
});
test('a node reads the claims of its Pods, those of templates once they are named in the Pod\'s status', async () => {
  for (const name of ['named', 'made']) await http.call('POST', CLAIMS, { body: { apiVersion: 'resource.k8s.io/v1', kind: 'ResourceClaim', metadata: { name, namespace: 'default' }, spec: { devices: { requests: [{ name: 'r', exactly: { deviceClassName: 'c' } }] } } } });
  const read = async (name: string, node = 'n1'): Promise<number> => (await http.call('GET', `${CLAIMS}/${name}`, as(node))).code;
  assert.deepEqual([await read('named'), await read('made')], [403, 403]);
  const pod = await http.call('POST', '/api/v1/namespaces/default/pods', { body: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', namespace: 'default' }, spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }], resourceClaims: [{ name: 'a', resourceClaimName: 'named' }, { name: 'b', resourceClaimTemplateName: 't' }] } } });
  assert.equal(pod.code, 201, pod.text);
  assert.deepEqual([await read('named'), await read('named', 'n2'), await read('made')], [200, 403, 403]);
  const body = { status: { resourceClaimStatuses: [{ name: 'b', resourceClaimName: 'made' }] } };
  const patch = { body, headers: { 'content-type': 'application/merge-patch+json' } };
  const refused = await http.call('PATCH', '/api/v1/namespaces/default/pods/p/status', { ...patch, headers: { ...patch.headers, ...as('n1').headers } });
  assert.equal(refused.status.message, 'pods "p" is forbidden: node "n1" cannot update resource claim statues');
  assert.equal((await http.call('PATCH', '/api/v1/namespaces/default/pods/p/status', patch)).code, 200);
  assert.equal(await read('made'), 200);
});
