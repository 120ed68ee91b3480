import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { structByKind } from '#api/schema.ts';
import { deepFreeze } from '#base/draft.ts';
import { StatusError } from '../status-error.ts';
import type { JsonObject } from './json.ts';
import { createStrategicMergePatch, createThreeWayStrategicMergePatch } from './strategic-diff.ts';
import { applyStrategicMergePatch } from './strategic-merge.ts';

const POD = structByKind('', 'v1', 'Pod')!;
const DEPLOYMENT = structByKind('apps', 'v1', 'Deployment')!;
const SERVICE = structByKind('', 'v1', 'Service')!;
const pdb = structByKind('policy', 'v1', 'PodDisruptionBudget')!;

const podOf = (...containers: unknown[]) => ({ spec: { containers } });
const names = (obj: unknown) => (obj as { spec: { containers: { name: string }[] } }).spec.containers.map((c) => c.name).join(' ');

const applies: [name: string, doc: unknown, patch: unknown, want: unknown, type?: typeof POD][] = [
  ['merges containers by name', podOf({ name: 'a', image: '1' }, { name: 'b' }), podOf({ name: 'b', image: '2' }), podOf({ name: 'a', image: '1' }, { name: 'b', image: '2' })],
  ['puts new items of a merge list first', podOf({ name: 'a' }), podOf({ name: 'b' }), podOf({ name: 'b' }, { name: 'a' })],
  ['keeps the place of items that the server has too', podOf({ name: 'a' }, { name: 'b' }, { name: 'c' }), podOf({ name: 'b', image: 'x' }), podOf({ name: 'a' }, { name: 'b', image: 'x' }, { name: 'c' })],
  ['deletes an item with $patch: delete', podOf({ name: 'a' }, { name: 'b' }), podOf({ $patch: 'delete', name: 'a' }), podOf({ name: 'b' })],
  ['replaces a list with $patch: replace', podOf({ name: 'a' }, { name: 'b' }), podOf({ $patch: 'replace' }, { name: 'c' }), podOf({ name: 'c' })],
  ['replaces a map with $patch: replace', { metadata: { labels: { a: '1', b: '2' } } }, { metadata: { labels: { $patch: 'replace', c: '3' } } }, { metadata: { labels: { c: '3' } } }],
  ['empties a map with $patch: delete', { metadata: { labels: { a: '1' } } }, { metadata: { labels: { $patch: 'delete' } } }, { metadata: { labels: {} } }],
  ['leaves no field behind for $patch: delete of an absent map', { metadata: {} }, { metadata: { labels: { $patch: 'delete' } } }, { metadata: {} }],
  ['deletes with null', { metadata: { labels: { a: '1', b: '2' }, annotations: { x: 'y' } } }, { metadata: { labels: { a: null }, annotations: null } }, { metadata: { labels: { b: '2' } } }],
  ['drops nulls of what is new', { metadata: {} }, { metadata: { labels: { a: null, b: '1' } } }, { metadata: { labels: { b: '1' } } }],
  ['replaces lists without merge', podOf({ name: 'a', args: ['1', '2'] }), podOf({ name: 'a', args: ['3'] }), podOf({ name: 'a', args: ['3'] })],
  ['adds to primitive merge lists, new ones first', { metadata: { finalizers: ['a', 'b'] } }, { metadata: { finalizers: ['c', 'a'] } }, { metadata: { finalizers: ['c', 'a', 'b'] } }],
  ['deletes from primitive merge lists', { metadata: { finalizers: ['a', 'b', 'c'] } }, { metadata: { '$deleteFromPrimitiveList/finalizers': ['b', 'x'] } }, { metadata: { finalizers: ['a', 'c'] } }],
  ['orders a primitive list', { metadata: { finalizers: ['a', 'b'] } }, { metadata: { '$setElementOrder/finalizers': ['c', 'b', 'a'], finalizers: ['c'] } }, { metadata: { finalizers: ['c', 'b', 'a'] } }],
  ['orders a list of objects', podOf({ name: 'a' }, { name: 'b' }), { spec: { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] } }, podOf({ name: 'b' }, { name: 'a' })],
  ['orders and merges', podOf({ name: 'a' }, { name: 'b' }), { spec: { '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }, { name: 'b' }], containers: [{ name: 'c' }] } }, podOf({ name: 'c' }, { name: 'a' }, { name: 'b' })],
  ['orders and deletes', podOf({ name: 'a' }, { name: 'b' }), { spec: { '$setElementOrder/containers': [{ name: 'b' }], containers: [{ name: 'b', image: 'i' }, { $patch: 'delete', name: 'a' }] } }, podOf({ name: 'b', image: 'i' })],
  ['keeps server items between ordered ones', podOf({ name: 'a' }, { name: 's' }, { name: 'b' }), { spec: { '$setElementOrder/containers': [{ name: 'a' }, { name: 'b' }] } }, podOf({ name: 'a' }, { name: 's' }, { name: 'b' })],
  [
    'retains only the listed keys of a volume', { spec: { volumes: [{ name: 'v', emptyDir: {} }] } },
    { spec: { volumes: [{ name: 'v', $retainKeys: ['name', 'hostPath'], hostPath: { path: '/x' } }] } }, { spec: { volumes: [{ name: 'v', hostPath: { path: '/x' } }] } },
  ],
  [
    'retains only the listed keys of a strategy', { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } },
    { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } }, { spec: { strategy: { type: 'Recreate' } } }, DEPLOYMENT,
  ],
  ['replaces an object whose strategy is replace', { spec: { selector: { matchLabels: { a: '1' } } } }, { spec: { selector: { matchLabels: { b: '1' } } } }, { spec: { selector: { matchLabels: { b: '1' } } } }, pdb],
  ['merges service ports by port', { spec: { ports: [{ port: 80, name: 'a' }] } }, { spec: { ports: [{ port: 80, name: 'b' }] } }, { spec: { ports: [{ port: 80, name: 'b' }] } }, SERVICE],
  ['takes a patch of another type whole', { spec: null }, { spec: { nodeName: 'n' } }, { spec: { nodeName: 'n' } }],
  ['changes nothing for a null patch', podOf(), null, podOf()],
];
for (const [name, doc, patch, want, type = POD] of applies) {
  test(`applyStrategicMergePatch ${name}`, () => {
    assert.deepEqual(applyStrategicMergePatch(deepFreeze(doc), deepFreeze(patch), type), want);
  });
}

const fails: [name: string, doc: unknown, patch: unknown, code: number, message: string][] = [
  ['an item without its merge key', podOf({ name: 'a' }), podOf({ image: 'x', args: ['1', '2'] }), 400, 'map: map[args:[1 2] image:x] does not contain declared merge key: name'],
  ['a deletion without its merge key', podOf({ name: 'a' }), podOf({ $patch: 'delete' }), 400, 'map: map[$patch:delete] does not contain declared merge key: name'],
  ['an unknown directive in a map', { metadata: { labels: { a: '1' } } }, { metadata: { labels: { $patch: 'what' } } }, 400, 'unknown patch type: what in map: map[$patch:what]'],
  ['an unknown directive in a list', podOf({ name: 'a' }), podOf({ name: 'a', $patch: 'what' }), 400, 'unknown patch type: what in map: map[$patch:what name:a]'],
  ['$patch: merge in a list', podOf({ name: 'a' }), podOf({ $patch: 'merge' }), 400, 'merging lists cannot yet be specified in the patch'],
  ['an order that the patch does not follow', podOf({ name: 'a' }), { spec: { '$setElementOrder/containers': [{ name: 'a' }, { name: 'b' }], containers: [{ name: 'b' }, { name: 'a' }] } }, 400, "The order in patch list:\n[map[name:b] map[name:a]]\n doesn't match $setElementOrder list:\n[map[name:a] map[name:b]]\n"],
  ['a malformed $setElementOrder key', podOf(), { spec: { $setElementOrder: [] } }, 400, 'invalid patch format of setElementOrder list'],
  ['a $setElementOrder that is no list', podOf(), { spec: { '$setElementOrder/containers': 'a' } }, 400, 'expected a []interface {}, but received a string'],
  ['a field that $retainKeys does not list', { spec: { strategy: {} } }, { spec: { strategy: { $retainKeys: ['type'], rollingUpdate: {} } } }, 400, 'invalid patch format of retainKeys'],
  ['lists of mixed items', { metadata: { finalizers: ['a'] } }, { metadata: { finalizers: [1] } }, 400, 'list element types are not identical: [[a] [1]]'],
  ['lists of lists', { metadata: { finalizers: [['a']] } }, { metadata: { finalizers: [['b']] } }, 422, 'the server rejected our request due to an error in our request'],
  ['an unknown field where it has to look', { spec: { nope: { a: 1 } } }, { spec: { nope: { b: 1 } } }, 400, 'unable to find api field in struct PodSpec for the json field "nope"'],
  ['a list', podOf(), [], 400, 'json: cannot unmarshal array into Go value of type map[string]interface {}'],
];
for (const [name, doc, patch, code, message] of fails) {
  const type = JSON.stringify(doc).includes('strategy') ? DEPLOYMENT : POD;
  test(`applyStrategicMergePatch refuses ${name}`, () => {
    assert.throws(() => applyStrategicMergePatch(deepFreeze(doc), deepFreeze(patch), type), (err) => {
      assert.ok(err instanceof StatusError);
      assert.deepEqual([err.code, err.message], [code, message]);
      return true;
    });
  });
}

test('applyStrategicMergePatch refuses $deleteFromPrimitiveList without a field', () => {
  assert.throws(() => applyStrategicMergePatch({ metadata: {} }, { metadata: { $deleteFromPrimitiveList: ['a'] } }, POD), (err) => err instanceof StatusError && err.code === 400 && err.message === 'invalid patch format of primitive list');
});

test('applyStrategicMergePatch keeps __proto__ an ordinary key', () => {
  const patch = JSON.parse('{"metadata":{"labels":{"__proto__":"x"},"annotations":{"__proto__":{"polluted":"1"}}}}') as JsonObject;
  const out = applyStrategicMergePatch({ metadata: { labels: { a: 'b' } } }, patch, POD) as { metadata: { labels: object } };
  assert.deepEqual(Object.entries(out.metadata.labels), [['a', 'b'], ['__proto__', 'x']]);
  assert.equal(({} as { polluted?: string }).polluted, undefined);
});

test('createStrategicMergePatch says what differs with every directive', () => {
  const before = { metadata: { finalizers: ['a', 'b'] }, spec: { containers: [{ name: 'a', image: '1' }, { name: 'b' }], volumes: [{ name: 'v', emptyDir: {} }] } };
  const after = { metadata: { finalizers: ['b', 'c'] }, spec: { containers: [{ name: 'c' }, { name: 'a', image: '2' }], volumes: [{ name: 'v', hostPath: { path: '/' } }] } };
  assert.deepEqual(createStrategicMergePatch(before, after, POD), {
    metadata: { finalizers: ['c'], '$deleteFromPrimitiveList/finalizers': ['a'], '$setElementOrder/finalizers': ['b', 'c'] },
    spec: {
      containers: [{ name: 'c' }, { name: 'a', image: '2' }, { $patch: 'delete', name: 'b' }],
      '$setElementOrder/containers': [{ name: 'c' }, { name: 'a' }],
      volumes: [{ name: 'v', emptyDir: null, hostPath: { path: '/' }, $retainKeys: ['hostPath', 'name'] }],
      '$setElementOrder/volumes': [{ name: 'v' }],
    },
  });
});

test('createThreeWayStrategicMergePatch removes what was applied before and keeps what others added', () => {
  const original = podOf({ name: 'a', image: '1', args: ['x'] }, { name: 'b' });
  const modified = podOf({ name: 'a', image: '2' });
  const current = podOf({ name: 'a', image: '1', args: ['x'], tty: true }, { name: 'b' }, { name: 'injected' });
  const patch = createThreeWayStrategicMergePatch(original, modified, current, POD);
  assert.deepEqual(applyStrategicMergePatch(current, patch, POD), podOf({ name: 'a', image: '2', tty: true }, { name: 'injected' }));
});

const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
const container = fc.record({ name, image: fc.constantFrom('1', '2') }, { requiredKeys: ['name'] }).chain((c) =>
  fc.record({ env: fc.uniqueArray(fc.record({ name, value: fc.constantFrom('x', 'y') }), { selector: (e) => e.name, maxLength: 3 }) }, { requiredKeys: [] }).map((e) => ({ ...c, ...e })));
const pod = fc.record({
  metadata: fc.record({ labels: fc.dictionary(name, name, { noNullPrototype: true }), finalizers: fc.uniqueArray(name, { maxLength: 3 }) }, { requiredKeys: [] }),
  spec: fc.record({
    containers: fc.uniqueArray(container, { selector: (c) => c.name, maxLength: 4 }),
    volumes: fc.uniqueArray(fc.record({ name, emptyDir: fc.record({ medium: name }), hostPath: fc.record({ path: name }) }, { requiredKeys: ['name'] }), { selector: (v) => v.name, maxLength: 3 }),
  }, { requiredKeys: [] }),
}) as fc.Arbitrary<JsonObject>;

/** Items of lists that merge may be left out of the order where a list becomes empty; an emptied list says nothing then. */
const withoutEmptyLists = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutEmptyLists);
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).filter(([, v]) => !(Array.isArray(v) && v.length === 0)).map(([k, v]) => [k, withoutEmptyLists(v)]));
};

test('createStrategicMergePatch makes a patch that applyStrategicMergePatch turns into the target', () => {
  fc.assert(fc.property(pod, pod, (a, b) => {
    const patch = createStrategicMergePatch(deepFreeze(a), deepFreeze(b), POD);
    assert.deepEqual(withoutEmptyLists(applyStrategicMergePatch(a, deepFreeze(patch), POD)), withoutEmptyLists(b));
  }), { numRuns: 300 });
});

test('applyStrategicMergePatch without directives agrees with a model that merges by name', () => {
  type Named = { name: string };
  const merge = (doc: unknown, patch: unknown, key = ''): unknown => {
    if (Array.isArray(doc) && Array.isArray(patch)) {
      if (key === 'finalizers') return [...new Set([...doc, ...patch])];
      const items = new Map((doc as Named[]).map((i) => [i.name, i]));
      for (const item of patch as Named[]) items.set(item.name, items.has(item.name) ? (merge(items.get(item.name), item) as Named) : item);
      return [...items.values()];
    }
    if (Array.isArray(patch) || patch === null || typeof patch !== 'object' || doc === null || typeof doc !== 'object') return patch;
    return { ...doc, ...Object.fromEntries(Object.entries(patch).map(([k, v]) => [k, k in doc ? merge((doc as JsonObject)[k], v, k) : v])) };
  };
  const sorted = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(sorted).sort((x, y) => (JSON.stringify((x as Named).name ?? x) < JSON.stringify((y as Named).name ?? y) ? -1 : 1));
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, sorted(v)]));
  };
  fc.assert(fc.property(pod, pod, (doc, patch) => {
    assert.deepEqual(sorted(applyStrategicMergePatch(deepFreeze(doc), deepFreeze(patch), POD)), sorted(merge(doc, patch)));
  }), { numRuns: 300 });
});

test('applyStrategicMergePatch gives what the patch names in the order of $setElementOrder', () => {
  fc.assert(fc.property(fc.uniqueArray(name, { minLength: 1 }), fc.uniqueArray(name, { minLength: 1 }), (live: string[], order: string[]) => {
    const patch = { spec: { '$setElementOrder/containers': order.map((n) => ({ name: n })), containers: order.map((n) => ({ name: n })) } };
    const got = names(applyStrategicMergePatch(podOf(...live.map((n) => ({ name: n }))), patch, POD)).split(' ');
    assert.deepEqual(got.filter((n) => order.includes(n)), order);
    assert.deepEqual(got.filter((n) => !order.includes(n)), live.filter((n) => !order.includes(n)));
  }));
});
