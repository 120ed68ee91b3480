import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { KubeObject } from '#api/object.ts';
import { structByKind } from '#api/schema.ts';
import { deepFreeze } from '#base/draft.ts';
import { StatusError } from '../status-error.ts';
import { applyPatch, type ApplyOptions } from './apply-patch.ts';
import { forEachPath, type FieldSet } from './field-set.ts';
import { structSchema, zeroObject } from './struct-schema.ts';
import { updateManagedFields } from './update.ts';

const T0 = Date.parse('2026-01-02T03:04:05Z');
const kinds = { Deployment: ['apps', 'v1'], Pod: ['', 'v1'], ConfigMap: ['', 'v1'], Service: ['', 'v1'] } as const;
function options(kind: keyof typeof kinds, manager: string, more: Partial<ApplyOptions> = {}): ApplyOptions {
  const [group, version] = kinds[kind];
  const type = structByKind(group, version, kind)!;
  return { schema: structSchema(type), zero: zeroObject(type), apiVersion: group ? `${group}/${version}` : version, kind, subresource: '', manager, now: T0, force: false, ...more };
}
type Loose = Record<string, unknown>;
const objectOf = (kind: keyof typeof kinds, parts: Loose): Loose => {
  const [group, version] = kinds[kind];
  return { apiVersion: group ? `${group}/${version}` : version, kind, metadata: { name: 'x', namespace: 'default', ...(parts.metadata as Loose) }, ...Object.fromEntries(Object.entries(parts).filter(([k]) => k !== 'metadata')) };
};
/** As the registry stores it. */
const stored = (obj: KubeObject): KubeObject => deepFreeze({ ...obj, metadata: { ...obj.metadata, uid: 'u' } }) as KubeObject;
const applied = (live: KubeObject | undefined, kind: keyof typeof kinds, parts: Loose, manager: string, more: Partial<ApplyOptions> = {}) =>
  stored(applyPatch(live, deepFreeze(objectOf(kind, parts)), options(kind, manager, more)).object);
const updated = (live: KubeObject, kind: keyof typeof kinds, change: Loose, manager: string): KubeObject => {
  const next = { ...live, ...change, metadata: { ...live.metadata, ...(change.metadata as Loose) } } as unknown as KubeObject;
  return stored({ ...next, metadata: { ...next.metadata, managedFields: updateManagedFields(live, next, options(kind, manager)) } });
};
const entryOf = (obj: KubeObject, manager: string) => obj.metadata.managedFields?.find((e) => e.manager === manager);
const pathsOf = (obj: KubeObject, manager: string): string[] => {
  const out: string[] = [];
  forEachPath((entryOf(obj, manager)?.fieldsV1 ?? {}) as FieldSet, (p) => out.push(p.join(' ')));
  return out;
};
const failure = (run: () => unknown): StatusError => {
  try {
    run();
  } catch (err) {
    assert.ok(err instanceof StatusError, String(err));
    return err;
  }
  return assert.fail('no error');
};

test('applyPatch creates an object and owns what it says', () => {
  const { object, changed } = applyPatch(undefined, objectOf('ConfigMap', { data: { a: '1' } }), options('ConfigMap', 'm'));
  assert.equal(changed, true);
  assert.equal(JSON.stringify(object.metadata.managedFields), JSON.stringify([
    { manager: 'm', operation: 'Apply', apiVersion: 'v1', time: '2026-01-02T03:04:05Z', fieldsType: 'FieldsV1', fieldsV1: { 'f:data': { 'f:a': {} } } },
  ]));
});

test('applyPatch again with the same configuration changes nothing and keeps the entry', () => {
  const live = applied(undefined, 'ConfigMap', { data: { a: '1' } }, 'm');
  const again = applyPatch(live, objectOf('ConfigMap', { data: { a: '1' } }), options('ConfigMap', 'm', { now: T0 + 5000 }));
  assert.equal(again.changed, false);
  assert.equal(again.object.metadata.managedFields![0], live.metadata.managedFields![0]);
});

test("applyPatch conflicts with another manager's field in upstream's words", () => {
  let live = applied(undefined, 'Deployment', { spec: { replicas: 1, paused: false } }, 'one');
  live = updated(live, 'Deployment', { spec: { replicas: 2, paused: true } }, 'kubectl-client-side-apply');
  const err = failure(() => applied(live, 'Deployment', { spec: { replicas: 3 } }, 'one'));
  assert.deepEqual(err.status, {
    kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Failure', reason: 'Conflict', code: 409,
    message: 'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas',
    details: { causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "kubectl-client-side-apply" using apps/v1', field: '.spec.replicas' }] },
  });
  const forced = applied(live, 'Deployment', { spec: { replicas: 3 } }, 'one', { force: true });
  assert.deepEqual(pathsOf(forced, 'one'), ['f:spec f:replicas']);
  assert.deepEqual(pathsOf(forced, 'kubectl-client-side-apply'), ['f:spec f:paused']);
});

test('applyPatch lists several conflicts by manager', () => {
  let live = applied(undefined, 'Deployment', { spec: { replicas: 1, template: { spec: { containers: [{ name: 'c', image: 'a' }] } } } }, 'alpha');
  live = applied(live, 'Deployment', { metadata: { labels: { l: '1' } } }, 'beta');
  const err = failure(() => applied(live, 'Deployment', { metadata: { labels: { l: '2' } }, spec: { replicas: 2, template: { spec: { containers: [{ name: 'c', image: 'b' }] } } } }, 'gamma'));
  assert.equal(err.message, [
    'Apply failed with 3 conflicts: conflicts with "alpha":',
    '- .spec.replicas',
    '- .spec.template.spec.containers[name="c"].image',
    'conflicts with "beta":',
    '- .metadata.labels.l',
  ].join('\n'));
  assert.equal(err.status.details!.causes!.length, 3);
});

test('applyPatch names the subresource that a conflict is with', () => {
  let live = applied(undefined, 'Deployment', { spec: { replicas: 1 } }, 'one');
  const next = deepFreeze({ ...live, spec: { replicas: 4 } }) as unknown as KubeObject;
  const managedFields = updateManagedFields(live, next, options('Deployment', 'hpa', { subresource: 'scale' }));
  live = deepFreeze({ ...next, metadata: { ...next.metadata, managedFields } }) as KubeObject;
  const err = failure(() => applied(live, 'Deployment', { spec: { replicas: 2 } }, 'one'));
  assert.equal(err.message, 'Apply failed with 1 conflict: conflict with "hpa" with subresource "scale" using apps/v1: .spec.replicas');
});

test('applyPatch shares a field that two managers want alike, and keeps it until both let go', () => {
  let live = applied(undefined, 'ConfigMap', { data: { a: '1', b: '1' } }, 'one');
  live = applied(live, 'ConfigMap', { data: { a: '1' } }, 'two');
  live = applied(live, 'ConfigMap', {}, 'one');
  assert.deepEqual((live as unknown as Loose).data, { a: '1' });
  assert.deepEqual(live.metadata.managedFields!.map((e) => e.manager), ['two']);
  live = applied(live, 'ConfigMap', {}, 'two');
  assert.ok(!(live as unknown as Loose).data);
});

test('applyPatch removes list items, keeps what others put into them', () => {
  const base = { spec: { containers: [{ name: 'a', image: 'i' }, { name: 'b', image: 'i', env: [{ name: 'X', value: '1' }] }] } };
  let live = applied(undefined, 'Pod', base, 'one');
  live = applied(live, 'Pod', { spec: { containers: [{ name: 'b', tty: true }] } }, 'two');
  live = applied(live, 'Pod', { spec: { containers: [{ name: 'c', image: 'i' }] } }, 'one');
  assert.deepEqual((live as unknown as Loose).spec, { containers: [{ name: 'b', tty: true }, { name: 'c', image: 'i' }] });
});

test('applyPatch takes along what a controller put into an item that goes', () => {
  let live = applied(undefined, 'Pod', { spec: { containers: [{ name: 'a' }, { name: 'b', image: 'i' }] } }, 'one');
  live = updated(live, 'Pod', { spec: { containers: [{ name: 'a' }, { name: 'b', image: 'i', env: [{ name: 'X', value: '1' }] }] } }, 'controller');
  assert.ok(entryOf(live, 'controller'));
  live = applied(live, 'Pod', { spec: { containers: [{ name: 'a' }] } }, 'one');
  assert.deepEqual((live as unknown as Loose).spec, { containers: [{ name: 'a' }] });
  assert.equal(entryOf(live, 'controller'), undefined);
});

test('applyPatch keeps what managers at other versions own, seen at theirs', () => {
  // Version v0 says data.<key> where v1 says data.new-<key>.
  const rename = (o: Loose, change: (k: string) => string): Loose => ({ ...o, data: Object.fromEntries(Object.entries((o.data as object | undefined) ?? {}).map(([k, v]) => [change(k), v])) });
  const versions = (v: string) =>
    v === 'v0' ? { schema: options('ConfigMap', 'm').schema, convert: (o: Loose) => rename(o, (k) => k.replace('new-', '')), revert: (o: Loose) => rename(o, (k) => `new-${k}`) } : undefined;
  const entry = (manager: string, ...keys: string[]) => ({ manager, operation: 'Apply', apiVersion: 'v0', fieldsType: 'FieldsV1', fieldsV1: { 'f:data': Object.fromEntries(keys.map((k) => [`f:${k}`, {}])) } });
  const live = deepFreeze({ ...objectOf('ConfigMap', { data: { 'new-a': '1', 'new-b': '2', 'new-c': '3' } }), metadata: { name: 'x', uid: 'u', managedFields: [entry('m', 'a', 'b', 'c'), entry('other', 'b')] } });
  const next = applied(live as unknown as KubeObject, 'ConfigMap', { data: { 'new-a': '1' } }, 'm', { versions });
  assert.deepEqual((next as unknown as Loose).data, { 'new-a': '1', 'new-b': '2' });
  const err = failure(() => applied(next, 'ConfigMap', { data: { 'new-b': '9' } }, 'm', { versions }));
  assert.equal(err.message, 'Apply failed with 1 conflict: conflict with "other": .data.b');
});

test('applyPatch keeps the default of a field that nobody owns when its list item stays', () => {
  let live = applied(undefined, 'Service', { spec: { ports: [{ port: 80, name: 'http' }, { port: 81, name: 'x' }] } }, 'one');
  live = stored({ ...live, spec: { clusterIP: '10.0.0.1', ports: [{ port: 80, name: 'http', protocol: 'TCP', targetPort: 80 }, { port: 81, name: 'x', protocol: 'TCP' }] } } as unknown as KubeObject);
  live = applied(live, 'Service', { spec: { ports: [{ port: 80 }] } }, 'one');
  assert.deepEqual((live as unknown as Loose).spec, { clusterIP: '10.0.0.1', ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }] });
});

test('applyPatch replaces atomic parts whole', () => {
  let live = applied(undefined, 'Pod', { spec: { nodeSelector: { a: '1', b: '2' }, containers: [{ name: 'c', args: ['1', '2'] }] } }, 'one');
  live = applied(live, 'Pod', { spec: { nodeSelector: { c: '3' }, containers: [{ name: 'c', args: ['3'] }] } }, 'one');
  assert.deepEqual((live as unknown as Loose).spec, { nodeSelector: { c: '3' }, containers: [{ name: 'c', args: ['3'] }] });
  assert.deepEqual(pathsOf(live, 'one').includes('f:spec f:nodeSelector'), true);
});

test('applyPatch merges sets and lists in the order of the configuration, other items in place', () => {
  let live = applied(undefined, 'Pod', { metadata: { finalizers: ['a/a', 'b/b'] }, spec: { containers: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] } }, 'one');
  live = applied(live, 'Pod', { metadata: { finalizers: ['c/c', 'a/a'] }, spec: { containers: [{ name: 'c' }, { name: 'x' }, { name: 'a' }] } }, 'two');
  assert.deepEqual(live.metadata.finalizers, ['c/c', 'a/a', 'b/b']);
  assert.deepEqual(((live as unknown as Loose).spec as { containers: { name: string }[] }).containers.map((c) => c.name), ['b', 'c', 'x', 'a']);
});

test('applyPatch gives fields of an object without managers to before-first-apply', () => {
  const live = stored(objectOf('ConfigMap', { data: { a: '1', b: '2' } }) as unknown as KubeObject);
  const err = failure(() => applied(live, 'ConfigMap', { data: { a: '2' } }, 'm'));
  assert.equal(err.message, 'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.a');
  const next = applied(live, 'ConfigMap', { data: { a: '1' } }, 'm');
  assert.deepEqual(pathsOf(next, 'before-first-apply'), ['f:data', 'f:data f:a', 'f:data f:b']);
  assert.deepEqual(pathsOf(next, 'm'), ['f:data f:a']);
});

test('applyPatch by kubectl takes over from client-side apply without conflict, and keeps its annotation', () => {
  const config = objectOf('ConfigMap', { data: { a: '1' } });
  const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': `${JSON.stringify(config)}\n` };
  const first = objectOf('ConfigMap', { metadata: { annotations }, data: { a: '1' } }) as unknown as KubeObject;
  const live = stored({ ...first, metadata: { ...first.metadata, managedFields: updateManagedFields(undefined, first, options('ConfigMap', 'kubectl-client-side-apply')) } });
  assert.equal(failure(() => applied(live, 'ConfigMap', { data: { a: '2' } }, 'someone')).code, 409);
  const next = applied(live, 'ConfigMap', { data: { a: '2' } }, 'kubectl');
  assert.equal(next.metadata.annotations!['kubectl.kubernetes.io/last-applied-configuration'], '{"apiVersion":"v1","data":{"a":"2"},"kind":"ConfigMap","metadata":{"name":"x","namespace":"default"}}\n');
  const drifted = updated(live, 'ConfigMap', { data: { a: '9' } }, 'edit');
  assert.equal(failure(() => applied(drifted, 'ConfigMap', { data: { a: '2' } }, 'kubectl')).message, 'Apply failed with 1 conflict: conflict with "edit" using v1: .data.a');
});

test('applyPatch at another version than last time removes by the paths that both share', () => {
  const live = deepFreeze({
    ...objectOf('ConfigMap', { data: { a: '1', b: '2' } }),
    metadata: { name: 'x', uid: 'u', managedFields: [{ manager: 'm', operation: 'Apply', apiVersion: 'v0', fieldsType: 'FieldsV1', fieldsV1: { 'f:data': { 'f:a': {}, 'f:b': {} } } }] },
  }) as unknown as KubeObject;
  const versions = (v: string) => (v === 'v0' ? { schema: options('ConfigMap', 'm').schema, convert: (o: object) => o as Loose, revert: (o: object) => o as Loose } : undefined);
  const next = applied(live, 'ConfigMap', { data: { a: '1' } }, 'm', { versions });
  assert.deepEqual((next as unknown as Loose).data, { a: '1' });
  assert.deepEqual(next.metadata.managedFields!.map((e) => [e.manager, e.apiVersion]), [['m', 'v1']]);
});

const refused: [name: string, patch: unknown, code: number, message: string][] = [
  ['another kind', { apiVersion: 'v1', kind: 'Secret' }, 400, 'invalid object type: /v1, Kind=Secret'],
  ['managed fields', objectOf('Deployment', { metadata: { managedFields: [] } }), 400, 'metadata.managedFields must be nil'],
  ['an unknown field', objectOf('Deployment', { spec: { nope: 1 } }), 400, 'failed to create typed patch object (default/x; apps/v1, Kind=Deployment): .spec.nope: field not declared in schema'],
  ['a wrong type', objectOf('Deployment', { spec: { replicas: '1' } }), 400, 'failed to create typed patch object (default/x; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string'],
  ['a number for text', objectOf('Deployment', { metadata: { labels: { a: 1 } } }), 400, 'failed to create typed patch object (default/x; apps/v1, Kind=Deployment): .metadata.labels.a: expected string, got &value.valueUnstructured{Value:1}'],
  ['duplicates', objectOf('Deployment', { spec: { template: { spec: { containers: [{ name: 'a' }, { name: 'a' }] } } } }), 400, 'failed to create typed patch object (default/x; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name="a"]'],
  ['items without their key, which is then empty', objectOf('Deployment', { spec: { template: { spec: { containers: [{ image: 'a' }, { image: 'b' }] } } } }), 400, 'failed to create typed patch object (default/x; apps/v1, Kind=Deployment): .spec.template.spec.containers: duplicate entries for key [name=""]'],
  ['several faults', objectOf('Deployment', { spec: { replicas: true, paused: 'x' } }), 400, 'failed to create typed patch object (default/x; apps/v1, Kind=Deployment): errors:\n  .spec.replicas: expected numeric (int or float), got bool\n  .spec.paused: expected boolean, got &{x}'],
];
for (const [name, patch, code, message] of refused) {
  test(`applyPatch refuses ${name}`, () => {
    const err = failure(() => applyPatch(undefined, patch, options('Deployment', 'm')));
    assert.deepEqual([err.code, err.message], [code, message]);
  });
}

/** The model: values by key, and for each manager the keys it owns. */
interface Model {
  readonly values: Map<string, string>;
  readonly owners: Map<string, Set<string>>;
}
type Step = { readonly verb: 'apply' | 'force' | 'update'; readonly who: string; readonly data: Readonly<Record<string, string>> };

function stepModel(m: Model, { verb, who, data }: Step): boolean {
  const id = `${verb === 'update' ? 'Update' : 'Apply'} ${who}`;
  const changed = Object.keys(data).filter((k) => m.values.get(k) !== data[k]);
  const others = [...m.owners].filter(([o]) => o !== id);
  if (verb === 'apply' && others.some(([, keys]) => changed.some((k) => keys.has(k)))) return false;
  const owned = (k: string) => k in data || others.some(([, keys]) => keys.has(k));
  const gone = verb === 'update' ? [...m.values.keys()].filter((k) => !(k in data)) : [...(m.owners.get(id) ?? [])].filter((k) => !owned(k));
  for (const k of gone) m.values.delete(k);
  for (const k of changed) m.values.set(k, data[k]!);
  for (const [, keys] of others) for (const k of [...changed, ...gone]) keys.delete(k);
  const mine = verb === 'update' ? new Set([...[...(m.owners.get(id) ?? [])].filter((k) => !gone.includes(k)), ...changed]) : new Set(Object.keys(data));
  m.owners.set(id, mine);
  return true;
}

test('applyPatch and updateManagedFields agree with a model of who owns which key', () => {
  const data = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.constantFrom('1', '2'), { noNullPrototype: true });
  const step: fc.Arbitrary<Step> = fc.record({ verb: fc.constantFrom('apply', 'force', 'update'), who: fc.constantFrom('x', 'y', 'z'), data });
  fc.assert(fc.property(fc.array(step, { maxLength: 10 }), (steps) => {
    // A label keeps one manager alive, so that the object is always tracked.
    let live = applied(undefined, 'ConfigMap', { metadata: { labels: { keep: 'me' } } }, 'keeper');
    const m: Model = { values: new Map(), owners: new Map() };
    for (const s of steps) {
      const fine = stepModel(m, s);
      // A map without keys is a field of its own, which can be owned and conflict: the model knows keys alone.
      const config = Object.keys(s.data).length > 0 ? { data: s.data } : {};
      if (s.verb === 'update') live = updated(live, 'ConfigMap', { data: s.data }, s.who);
      else if (fine) live = applied(live, 'ConfigMap', config, s.who, { force: s.verb === 'force' });
      else assert.equal(failure(() => applied(live, 'ConfigMap', config, s.who)).code, 409);
      assert.deepEqual(new Map(Object.entries(((live as unknown as Loose).data as Record<string, string> | null) ?? {})), m.values);
      for (const [id, keys] of m.owners) {
        const [operation, manager] = id.split(' ');
        const entry = live.metadata.managedFields!.find((e) => e.operation === operation && e.manager === manager);
        const owned = new Set(Object.keys((entry?.fieldsV1 as FieldSet | undefined)?.['f:data'] ?? {}).filter((k) => k !== '.').map((k) => k.slice(2)));
        assert.deepEqual(owned, keys);
      }
    }
  }), { numRuns: 300 });
});
