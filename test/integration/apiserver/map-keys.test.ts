/**
 * Every map of every kind with keys that every JavaScript object seems to have: they are keys like any other, judged as upstream judges them,
 * and never a fault of the server's.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { apiVersionOf } from '#api/object.ts';
import { RESOURCES, type ResourceInfo } from '#api/resources.ts';
import { structByKind, type TypeRef } from '#api/schema.ts';
import { configureLogging } from '#base/logger.ts';
import { getOwn, setOwn } from '#base/own.ts';
import { startServer, type Fixture } from './fixture.ts';
import { Requests } from './requests.ts';
import { VALID } from './valid-objects.ts';

const KEYS = ['constructor', 'toString', '__proto__', 'hasOwnProperty', 'valueOf'];
const MAX_DEPTH = 14;
type Json = Record<string, unknown>;
interface MapField {
  readonly path: readonly string[];
  readonly value: TypeRef;
}

let fixture: Fixture;
let http: Requests;
before(async () => {
  configureLogging({ level: 'silent' });
  fixture = await startServer({ pluginsWithout: ['ServiceAccount'] });
  http = new Requests(fixture);
  await http.post('/api/v1/namespaces', { metadata: { name: 'default' } });
});
after(async () => {
  http.close();
  await fixture.close();
  configureLogging({ level: 'info' });
});

/** The maps of a type; a list's items are under `0`. What contains itself is followed once. */
function* mapsOf(type: TypeRef, path: readonly string[] = []): Generator<MapField> {
  if (path.length > MAX_DEPTH) return;
  if (type.kind === 'map') yield { path, value: type.value };
  else if (type.kind === 'list') yield* mapsOf(type.item, [...path, '0']);
  else if (type.kind === 'struct') for (const [name, field] of type.type.fields) if (!path.includes(name)) yield* mapsOf(field.type, [...path, name]);
}
const SAMPLES: Readonly<Partial<Record<TypeRef['kind'], unknown>>> = { quantity: '1', bytes: 'eA==', list: ['x'], bool: true, int: 1, struct: {}, intOrString: 1 };
const sampleOf = (type: TypeRef): unknown => SAMPLES[type.kind] ?? 'x';

/** Adds keys to the map at the path, with what leads there; false where the object has something else on the way. */
function addKeys(object: Json, { path, value }: MapField, keys: readonly string[]): boolean {
  let at = object;
  for (const [i, name] of path.entries()) {
    const below = getOwn(at, name) ?? (path[i + 1] === '0' ? [{}] : {});
    if (typeof below !== 'object') return false;
    at[name] = below;
    at = below as Json;
  }
  for (const key of keys) setOwn(at, key, sampleOf(value));
  return true;
}
const parentOf = ({ path }: MapField): string => path.slice(0, -1).join('.');

async function faultsOf(info: ResourceInfo): Promise<string[]> {
  const type = structByKind(info.group, info.version, info.kind);
  const found: string[] = [];
  if (!type) return found;
  const maps = [...mapsOf({ kind: 'struct', type } as TypeRef)];
  const url = `${info.group === '' ? '/api' : `/apis/${info.group}`}/${info.version}${info.namespaced ? '/namespaces/default' : ''}/${info.plural}`;
  for (const map of maps) {
    const object: Json = { apiVersion: apiVersionOf(info.group, info.version), kind: info.kind, ...structuredClone(VALID[info.kind]) };
    const metadata = { name: 'p', ...(object['metadata'] as Json | undefined), ...(info.namespaced ? { namespace: 'default' } : {}) };
    object['metadata'] = metadata;
    if (!addKeys(object, map, KEYS)) continue;
    // Its neighbours are there, without those keys: limits beside requests.
    for (const other of maps) if (other !== map && parentOf(other) === parentOf(map)) addKeys(object, other, ['a']);
    for (const [method, path, contentType] of [['POST', `${url}?dryRun=All`, 'application/json'], ['PATCH', `${url}/${metadata.name}?dryRun=All&fieldManager=m`, 'application/apply-patch+yaml']] as const) {
      const answer = await http.call(method, path, { body: object, headers: { 'content-type': contentType } });
      if (answer.code >= 500) found.push(`${method} ${info.kind} ${map.path.join('.')}: ${answer.text.slice(0, 300)}`);
    }
  }
  return found;
}

test('a map may have any key: no kind is answered with a fault', { timeout: 120_000 }, async () => {
  const faults: string[] = [];
  for (const info of RESOURCES.filter((r) => r.verbs.includes('create'))) faults.push(...(await faultsOf(info)));
  assert.deepEqual(faults, []);
});

test('such keys are kept, found by selectors where they are and nowhere else, merged and owned', async () => {
  const maps = '/api/v1/namespaces/default/configmaps';
  const data = JSON.parse('{"__proto__":"p","constructor":"c"}') as Json;
  const labels = JSON.parse('{"constructor":"x"}') as Json;
  await http.call('PATCH', `${maps}/odd?fieldManager=m`, { body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'odd', labels }, data }, headers: { 'content-type': 'application/apply-patch+yaml' } });
  await http.post(maps, { metadata: { name: 'plain', labels: { a: 'b' } } });
  const names = async (selector: string): Promise<unknown> => (await http.get(`${maps}?labelSelector=${encodeURIComponent(selector)}`)).json<{ items: { metadata: { name: string } }[] }>().items.map((i) => i.metadata.name);
  assert.deepEqual(await names('constructor'), ['odd']);
  assert.deepEqual(await names('!constructor'), ['plain']);
  assert.deepEqual(await names('toString'), []);
  assert.deepEqual(await names('valueOf notin (x)'), ['odd', 'plain']);
  const patched = await http.call('PATCH', `${maps}/odd`, { body: '{"data":{"__proto__":"q","constructor":null,"toString":"t"}}', headers: { 'content-type': 'application/merge-patch+json' } });
  assert.match(patched.text, /"data":\{"__proto__":"q","toString":"t"\}/);
  assert.match(patched.text, /"fieldsV1":\{"f:data":\{"f:__proto__":\{\},"f:toString":\{\}\}\}/);
});
