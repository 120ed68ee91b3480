/**
 * Every kind of the table, by the same story: discovery names it; it is created, read, listed, watched, patched, updated, deleted alone and
 * as a collection; its `/status` is read, patched and replaced without a hand on its spec. Upstream's conformance suite tells it kind by kind.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { APIGroupList, APIResourceList, Condition } from '#api/gen/meta-v1.ts';
import { apiVersionOf, type KubeList, type KubeObject } from '#api/object.ts';
import { RESOURCES, type ResourceInfo } from '#api/resources.ts';
import { startServer, type Fixture } from './fixture.ts';
import { openWatch, Requests, type Answer } from './requests.ts';
import { VALID } from './valid-objects.ts';

type Json = Record<string, unknown>;
type AnyObject = KubeObject & { spec?: Json; readonly status?: Json };
const NAMESPACE = 'lifecycles';
const OTHER = 'lifecycles-2';
const MERGE = { 'content-type': 'application/merge-patch+json' };

let fixture: Fixture;
let http: Requests;
before(async () => {
  fixture = await startServer();
  http = new Requests(fixture);
  for (const name of [NAMESPACE, OTHER]) await http.post('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
});
after(async () => {
  http.close();
  await fixture.close();
});

const groupPath = (info: ResourceInfo) => (info.group === '' ? `/api/${info.version}` : `/apis/${info.group}/${info.version}`);
const collection = (info: ResourceInfo, namespace = NAMESPACE) => `${groupPath(info)}${info.namespaced ? `/namespaces/${namespace}` : ''}/${info.plural}`;

/** Kinds whose names say something. */
const NAMES: Readonly<Record<string, readonly [string, string, string]>> = {
  IPAddress: ['10.96.7.1', '10.96.7.2', '10.96.7.3'],
  APIService: ['v1.a.lifecycles.example', 'v1.b.lifecycles.example', 'v1.c.lifecycles.example'],
  CustomResourceDefinition: ['as.lifecycles.example', 'bs.lifecycles.example', 'cs.lifecycles.example'],
};
function objectOf(info: ResourceInfo, name: string, namespace: string, labels: Json): AnyObject {
  const body = structuredClone(VALID[info.kind]) as Json | undefined;
  assert.ok(body, `valid-objects.ts has no ${info.kind}`);
  if (info.kind === 'Event') Object.assign(body, info.group === '' ? { involvedObject: { kind: 'Pod', namespace, name: 'p' } } : { eventTime: '2026-01-02T03:04:05.000006Z', action: 'a', reason: 'r', type: 'Normal', reportingController: 'x.example/c', reportingInstance: 'i', regarding: { kind: 'Pod', namespace, name: 'p' } });
  if (info.kind === 'HorizontalPodAutoscaler' && info.version === 'v1') Object.assign(body, { spec: { scaleTargetRef: { kind: 'Deployment', name: 'a', apiVersion: 'apps/v1' }, maxReplicas: 3 } });
  if (info.kind === 'APIService') (body['spec'] as Json)['group'] = name.slice('v1.'.length);
  if (info.kind === 'CustomResourceDefinition') {
    const kind = `${name[0]!.toUpperCase()}x`;
    Object.assign(body['spec'] as Json, { group: 'lifecycles.example', names: { plural: name.split('.')[0], singular: kind.toLowerCase(), kind, listKind: `${kind}List` } });
  }
  return { ...body, apiVersion: apiVersionOf(info.group, info.version), kind: info.kind, metadata: { name, labels, ...(info.namespaced ? { namespace } : {}) } } as AnyObject;
}
async function ok<T = AnyObject>(answer: Promise<Answer>, code = 200): Promise<T> {
  const { code: got, text } = await answer;
  assert.equal(got, code, text.slice(0, 600));
  return JSON.parse(text) as T;
}
/** An update as clients write it: read, change, write, again where another was first. */
async function update(path: string, change: (object: AnyObject) => void): Promise<AnyObject> {
  for (;;) {
    const object = await ok(http.get(path));
    change(object);
    const answer = await http.call('PUT', path, { body: object });
    if (answer.code !== 409) return ok(Promise.resolve(answer));
  }
}

const LISTED = RESOURCES.filter((info) => info.verbs.includes('create') && info.verbs.includes('list'));

for (const info of LISTED) {
  const title = `${info.plural}.${info.group || 'core'}/${info.version}`;
  test(`${title}: discovery, create, get, list, watch, patch, update, delete, deletecollection`, async () => {
    const discovered = (await ok<APIResourceList>(http.get(groupPath(info)))).resources.find((r) => r.name === info.plural);
    assert.deepEqual(discovered?.verbs, [...info.verbs]);
    if (info.group !== '') assert.ok((await ok<APIGroupList>(http.get('/apis'))).groups.find((g) => g.name === info.group)?.versions.some((v) => v.version === info.version));

    const [first, second, third] = NAMES[info.kind] ?? (['first', 'second', 'third'].map((n) => `${n}-${info.version}`) as [string, string, string]);
    const labels = { story: info.plural };
    const selector = `labelSelector=${encodeURIComponent(`story=${info.plural}`)}`;
    const path = collection(info);
    const everywhere = `${groupPath(info)}/${info.plural}?${selector}`;
    const before = await ok<KubeList<AnyObject>>(http.get(`${path}?${selector}`));
    const watch = await openWatch(http, `${path}?watch=true&resourceVersion=${before.metadata.resourceVersion}&${selector}`);
    try {
      const made = await ok(http.post(path, objectOf(info, first, NAMESPACE, labels)), 201);
      assert.equal((await ok(http.get(`${path}/${first}`))).metadata.uid, made.metadata.uid);
      for (const name of [second, third]) await ok(http.post(path, objectOf(info, name, NAMESPACE, labels)), 201);
      assert.equal((await ok<KubeList<AnyObject>>(http.get(`${path}?${selector}`))).items.length, 3);
      if (info.namespaced) {
        await ok(http.post(collection(info, OTHER), objectOf(info, first, OTHER, labels)), 201);
        assert.equal((await ok<KubeList<AnyObject>>(http.get(everywhere))).items.length, 4);
        await ok(http.call('DELETE', `${collection(info, OTHER)}/${first}`));
      }

      const patched = await ok(http.call('PATCH', `${path}/${first}`, { headers: MERGE, body: { metadata: { annotations: { patched: 'true' } } } }));
      assert.equal(patched.metadata.annotations?.['patched'], 'true');
      const updated = await update(`${path}/${first}`, (object) => void Object.assign(object.metadata.annotations!, { updated: 'true' }));
      assert.deepEqual([updated.metadata.annotations?.['patched'], updated.metadata.annotations?.['updated']], ['true', 'true']);
      const seen: string[] = [];
      while (seen.at(-1) !== `MODIFIED ${first} updated`) {
        const event = (await watch.next())!;
        const { name, annotations } = event.object.metadata;
        const line = `${event.type} ${name}${annotations?.['updated'] ? ' updated' : annotations?.['patched'] ? ' patched' : ''}`;
        // The server itself writes the status of what it serves, at any time: that is the same object once more.
        if (line !== `MODIFIED ${name}` && !seen.includes(line)) seen.push(line);
      }
      assert.deepEqual(seen, [`ADDED ${first}`, `ADDED ${second}`, `ADDED ${third}`, `MODIFIED ${first} patched`, `MODIFIED ${first} updated`]);

      await remove(info, `${path}/${first}`);
      assert.equal((await http.get(`${path}/${first}`)).code, 404);
      if (!info.verbs.includes('deletecollection')) return;
      await ok(http.call('DELETE', `${path}?${selector}`));
      for (const name of [second, third]) await remove(info, `${path}/${name}`);
      assert.equal((await ok<KubeList<AnyObject>>(http.get(`${path}?${selector}`))).items.length, 0);
    } finally {
      watch.close();
    }
  });
}

/** Deletes, and does what no controller is here to do: takes the finalizers of what is on its way out. */
async function remove(info: ResourceInfo, path: string): Promise<void> {
  await http.call('DELETE', `${path}?gracePeriodSeconds=0`);
  const left = await http.get(path);
  if (left.code === 404) return;
  const object = left.json<AnyObject>();
  assert.ok(object.metadata.deletionTimestamp, `${info.kind} is there and not being deleted`);
  if (info.kind === 'Namespace') await ok(http.call('PUT', `${path}/finalize`, { body: { ...object, spec: { finalizers: [] } } }));
  else await ok(http.call('PATCH', path, { headers: MERGE, body: { metadata: { finalizers: null } } }));
}

const stamp = (name: string): string => `2026-01-02T03:04:${name === 'Patched' ? 10 : 20}Z`;
const condition = (type: string): Condition => ({ type, status: 'True', reason: 'Tested', message: 'set by a test', lastTransitionTime: '2026-01-02T03:04:05Z' });
const conditions = (name: string): Json => ({ conditions: [condition(name)] });
const plainConditions = (name: string): Json => ({ conditions: [{ type: name, status: 'True', reason: 'Tested', message: 'set by a test' }] });
/** By kind: what a client may write to `/status`. */
const STATUS: Readonly<Record<string, (name: string) => Json>> = {
  PersistentVolume: (name) => ({ phase: 'Available', message: name, reason: 'Tested' }), Pod: (name) => ({ message: name, reason: 'Tested' }), ResourceQuota: (name) => ({ hard: { [`count/${name.toLowerCase()}`]: '1' }, used: { [`count/${name.toLowerCase()}`]: '0' } }),
  HorizontalPodAutoscaler: (name) => ({ desiredReplicas: name === 'Patched' ? 1 : 2, currentReplicas: 1 }), CronJob: (name) => ({ lastScheduleTime: stamp(name) }), Ingress: (name) => ({ loadBalancer: { ingress: [{ ip: name === 'Patched' ? '198.51.100.1' : '198.51.100.2' }] } }),
  VolumeAttachment: (name) => ({ attached: name === 'Patched' }), ResourceClaim: (name) => (name === 'Patched' ? { allocation: { devices: {} } } : { reservedFor: [{ resource: 'pods', name: 'p', uid: 'u' }] }), CertificateSigningRequest: plainConditions, Namespace: plainConditions, Node: plainConditions,
  Deployment: plainConditions, ReplicaSet: plainConditions, StatefulSet: plainConditions, DaemonSet: plainConditions, ReplicationController: plainConditions, Job: plainConditions, PersistentVolumeClaim: plainConditions,
};
/** Kinds whose `/status` leaves all metadata as it is. */
const METADATA_STAYS = new Set(['ValidatingAdmissionPolicy', 'APIService', 'FlowSchema', 'PriorityLevelConfiguration', 'ServiceCIDR', 'ResourceClaim', 'VolumeAttachment']);

for (const info of LISTED.filter((i) => i.subresources.some((s) => s.name === 'status'))) {
  test(`${info.plural}.${info.group || 'core'}/${info.version}/status: get, patch and update touch the status alone, and the object itself leaves it`, async () => {
    const discovered = (await ok<APIResourceList>(http.get(groupPath(info)))).resources.find((r) => r.name === `${info.plural}/status`);
    assert.deepEqual(discovered?.verbs, ['get', 'patch', 'update']);
    const name = NAMES[info.kind]?.[0] ?? `status-${info.version}`;
    const path = `${collection(info)}/${name}`;
    const write = STATUS[info.kind] ?? conditions;
    const made = await ok(http.post(collection(info), objectOf(info, name, NAMESPACE, {})), 201);
    assert.equal((await ok(http.get(`${path}/status`))).metadata.uid, made.metadata.uid);

    const patched = await ok(http.call('PATCH', `${path}/status`, { headers: MERGE, body: { metadata: { annotations: { patchedstatus: 'true' } }, status: write('Patched') } }));
    assertHolds(patched.status, write('Patched'));
    assert.equal(patched.metadata.annotations?.['patchedstatus'], METADATA_STAYS.has(info.kind) ? undefined : 'true');
    const updated = await update(`${path}/status`, (object) => {
      Object.assign(object.status!, write('Updated'));
      object.spec = {};
    });
    assertHolds(updated.status, write('Updated'));
    assert.deepEqual(updated.spec, made.spec);
    assertHolds((await ok(http.get(`${path}/status`))).status, write('Updated'));
    const plain = await update(path, (object) => {
      Object.assign(object.status!, write('Patched'));
    });
    assertHolds(plain.status, write('Updated'));
    await remove(info, path);
  });
}

/** That everything of `part` is in the value, which may have more; items of a list may stand anywhere. */
function assertHolds(value: unknown, part: unknown): void {
  assert.ok(holds(value, part), `${JSON.stringify(value)} does not hold ${JSON.stringify(part)}`);
}
function holds(value: unknown, part: unknown): boolean {
  if (Array.isArray(part)) return Array.isArray(value) && part.every((wanted) => value.some((item) => holds(item, wanted)));
  if (typeof part !== 'object' || part === null) return value === part;
  return Object.entries(part).every(([key, wanted]) => holds((value as Json | undefined)?.[key], wanted));
}
