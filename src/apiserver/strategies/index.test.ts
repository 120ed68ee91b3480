import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ALL_RESOURCES, RESOURCES, resourceOf, type ResourceInfo } from '#api/resources.ts';
import { structByKind, type StructType } from '#api/schema.ts';
import { normalise } from '#machinery/decode.ts';
import { clientDescriptions } from '#machinery/openapi.ts';
import { columnDefinitions } from '../http/table.ts';
import { hasOwnStrategy, strategyFor } from './index.ts';
import { rowOf, tryCreate, tryUpdate } from './trial.ts';

/** Kinds that clients create and the server keeps: reviews, bindings and the component statuses are neither. */
const stored = ALL_RESOURCES.filter(({ verbs, sameAs }) => sameAs === undefined && verbs.includes('create') && verbs.includes('list'));
const nameOf = ({ group, version, plural }: ResourceInfo) => `${plural}.${version}.${group || 'core'}`;

/** The text of every test of a folder, by its title. */
function testsIn(folder: string): { readonly title: string; readonly text: string }[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.name.endsWith('.test.ts'));
  return entries.flatMap((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8').split(/^(?=test\()/m).map((text) => ({ title: /^test\('([^'\\]*)/.exec(text)?.[1] ?? '', text })));
}
/** What the test of a fault says: the words of a refusal, or how many there are. */
const REFUSAL = /(Invalid|Required|Unsupported|Duplicate) value|Forbidden: |Too (long|many)|field is immutable|errors\.length, [1-9]/;
/** Nothing but the metadata, which all kinds have, can be wrong with these. */
const WITHOUT_FAULTS: ReadonlySet<string> = new Set(['serviceaccounts']);

test('every stored kind has a strategy of its own, with validation and columns', () => {
  assert.ok(stored.length > 55, String(stored.length));
  assert.deepEqual(stored.filter((info) => !hasOwnStrategy(info)).map(nameOf), []);
  // What RBAC and data kinds accept is checked, too: none is without.
  assert.deepEqual(stored.filter((info) => strategyFor(info).validate === undefined).map(nameOf), []);
  for (const info of stored) {
    const { columns, resource } = strategyFor(info);
    assert.equal(resource, info);
    assert.deepEqual([columns[0]!.name === 'Name' || columns.some(({ format }) => format === 'name'), new Set(columns.map(({ name }) => name)).size], [true, columns.length], nameOf(info));
  }
});
test('every column of a stored kind says what it shows', { skip: clientDescriptions() ? false : 'the package @kubernetes/client-node is not installed' }, () => {
  const silent = stored.flatMap((info) => columnDefinitions({ strategy: strategyFor(info) }).filter(({ description }) => description === '').map(({ name }) => `${nameOf(info)}: ${name}`));
  assert.deepEqual(silent, ['runtimeclasses.v1.node.k8s.io: Handler']);
});
test('every stored kind has a test of its own, named after it, in which its validation refuses something', () => {
  const tests = testsIn(import.meta.dirname);
  const of = ({ plural }: ResourceInfo) => tests.filter(({ title }) => title.startsWith(`${plural} `));
  assert.deepEqual(stored.filter((info) => of(info).length === 0).map(nameOf), []);
  assert.deepEqual(stored.filter((info) => !WITHOUT_FAULTS.has(info.plural) && !of(info).some(({ text }) => REFUSAL.test(text))).map(nameOf), []);
});
test('every stored kind is printed in a row that has a cell for each column', () => {
  for (const info of stored) {
    const type = structByKind(info.group, info.version, info.kind)!;
    const cells = rowOf(strategyFor(info), normalise(type, { metadata: { name: 'a' } }));
    assert.equal(cells['Name'] ?? 'a', 'a', nameOf(info));
    for (const [column, cell] of Object.entries(cells)) assert.ok(cell === null || typeof cell !== 'object', `${nameOf(info)}: ${column}`);
  }
});
/** An object with every struct that the type has, each list with one item, and no value anywhere. */
function hollow(type: StructType, depth: number): Record<string, unknown> {
  const fields = [...type.fields.values()].filter(({ name }) => !['metadata', 'kind', 'apiVersion'].includes(name));
  return Object.fromEntries(fields.flatMap(({ name, type: ref }): [string, unknown][] => {
    const item = ref.kind === 'list' ? ref.item : ref;
    if (item.kind !== 'struct' || depth === 0) return [];
    const value = hollow(item.type, depth - 1);
    return [[name, ref.kind === 'list' ? [value] : value]];
  }));
}
test('objects without values get through every strategy', () => {
  for (const info of stored) {
    const type = structByKind(info.group, info.version, info.kind)!;
    const strategy = strategyFor(info);
    for (const depth of [0, 1, 2, 3, 4, 5, 6]) {
      const input = normalise(type, { metadata: { name: 'a', uid: 'u' }, ...hollow(type, depth) });
      const where = `${nameOf(info)} at depth ${depth}`;
      assert.doesNotThrow(() => {
        const { object } = tryCreate(strategy, input);
        rowOf(strategy, object);
        for (const subresource of ['', 'status']) tryUpdate(strategy, input, (next) => Object.assign(next, normalise(type, { ...next, ...hollow(type, depth + 1) })), subresource);
        for (const select of Object.values(strategy.selectableFields ?? {})) assert.equal(typeof select(object), 'string', where);
      }, where);
    }
  }
});
test('other kinds get the two columns that all have', () => {
  const bindings = RESOURCES.find(({ plural }) => plural === 'bindings')!;
  assert.deepEqual(strategyFor(bindings).columns.map(({ name }) => name), ['Name', 'Created At']);
});
test('another version of the same kind has the strategy of the one that is stored, and fields for all of it', () => {
  const fieldsOf = ({ group, version, kind }: ResourceInfo) => JSON.stringify(normalise(structByKind(group, version, kind)!, { metadata: { name: 'a' }, ...hollow(structByKind(group, version, kind)!, 9) }), (key, value: unknown) => (key === 'apiVersion' ? undefined : value));
  const versions = ALL_RESOURCES.filter(({ sameAs }) => sameAs !== undefined);
  assert.ok(versions.length > 10, String(versions.length));
  for (const info of versions) {
    const stored = resourceOf(info.group, info.sameAs!, info.plural);
    assert.deepEqual(strategyFor(info), { ...strategyFor(stored), resource: info });
    assert.equal(fieldsOf(info), fieldsOf(stored), nameOf(info));
  }
});
