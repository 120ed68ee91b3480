import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { KubeObject } from '#api/object.ts';
import { objectText } from '#machinery/object-text.ts';
import { encodeObject, locateVersion, VERSION_BYTES } from './encoded.ts';
import { decodeObject, Entry, withRevision } from './entry.ts';

const text = fc.string({ unit: 'grapheme', minLength: 1 });
const texts = fc.dictionary(fc.oneof(text, fc.constantFrom('10', '9', '__proto__')), fc.string({ unit: 'grapheme' }), { minKeys: 1, noNullPrototype: true });
const metadata = fc.record({ name: text, namespace: text, uid: text, resourceVersion: text, generation: fc.integer({ min: 1 }), labels: texts, annotations: texts }, { requiredKeys: [], noNullPrototype: true });
const custom = fc
  .tuple(fc.dictionary(fc.constantFrom('aaa', 'zzz', 'résumé', '"', '1', '__proto__'), fc.jsonValue(), { noNullPrototype: true }), metadata, fc.dictionary(fc.constantFrom('spec', 'status', 'data', '2'), fc.jsonValue(), { noNullPrototype: true }))
  .map(([before, metadata, after]) => ({ ...before, apiVersion: 'a.example/v1', kind: 'Thing', metadata, ...after }) as unknown as KubeObject);
const typed = fc.tuple(metadata, fc.option(texts, { nil: undefined })).map(([metadata, data]) => ({ kind: 'ConfigMap', apiVersion: 'v1', metadata, ...(data ? { data } : {}) }) as unknown as KubeObject);
const object = fc.oneof(custom, typed);

test('an entry made of an encoded object has the bytes that its object has as JSON', () => {
  fc.assert(
    fc.property(object, fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), (object, revision) => {
      const encoded = encodeObject(object);
      assert.equal(encoded.bytes.includes('"resourceVersion":"'), JSON.stringify({ ...object, metadata: { ...object.metadata, resourceVersion: undefined } }).includes('"resourceVersion":"'));
      const entry = new Entry('/k', withRevision(object, revision), revision, encoded);
      assert.ok(entry.holds(encoded));
      assert.equal(entry.json.toString(), objectText(entry.object));
      assert.ok(entry.holds(encoded), 'also once the bytes are made');
      const again = new Entry('/k', decodeObject('/k', encoded.bytes, revision), revision);
      assert.deepEqual(again.json, entry.json, 'and after a restart');
      assert.ok(again.holds(encodeObject(again.object)));
      assert.deepEqual(locateVersion(encoded.bytes), encoded);
      const padded = Buffer.concat([Buffer.from('row'), encoded.bytes, Buffer.from('}}')]);
      const stored = new Entry('/k', undefined, revision, undefined, { view: () => ({ bytes: padded, start: 3, end: padded.length - 2 }) }, encoded.bytes.length);
      assert.ok(stored.holds(encoded));
      assert.deepEqual(stored.passingLine, entry.line, 'and from the store, without being decoded');
      for (const e of [stored, entry, again]) {
        const prefix = entry.line.subarray(0, 4);
        const out = Buffer.alloc(encoded.bytes.length + 2 * VERSION_BYTES + 1);
        const behind = e.writeItem(out, 1, prefix)!;
        assert.equal(out.toString('utf8', 1, behind), `{${entry.line.subarray(4).toString()}`);
        assert.equal(e.writeItem(out, 2 * VERSION_BYTES + 2, prefix), undefined, 'no room');
      }
      assert.deepEqual(stored.object, again.object);
    }),
  );
});

test('the resourceVersion stands where Go writes it', () => {
  const full: KubeObject = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'a', generateName: 'a-', namespace: 'b', uid: 'u', generation: 1 } };
  assert.equal(JSON.stringify(withRevision(full, 7)), '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","generateName":"a-","namespace":"b","uid":"u","resourceVersion":"7","generation":1}}');
  for (const metadata of [{}, { name: 'a' }, { labels: { a: 'b' } }]) {
    const entry = new Entry('/k', withRevision({ metadata }, 7), 7, encodeObject({ metadata }));
    assert.deepEqual(JSON.parse(entry.json.toString()), { metadata: { ...metadata, resourceVersion: '7' } });
  }
});

test('an entry does not hold an object that differs', () => {
  const a: KubeObject = { metadata: { name: 'a' } };
  const entry = new Entry('/k', withRevision(a, 7), 7, encodeObject(a));
  assert.ok(!entry.holds(encodeObject({ metadata: { name: 'b' } })));
  assert.ok(entry.holds(encodeObject({ metadata: { name: 'a', resourceVersion: '6' } })), 'another resourceVersion is no difference');
});

test('decodeObject refuses what is no object with metadata, and names the key', () => {
  for (const text of ['', '{', 'null', '[]', '"x"', '{}', '{"metadata":null}', '{"metadata":1}']) assert.throws(() => decodeObject('/registry/x', Buffer.from(text), 3), /"\/registry\/x" at revision 3 is not/);
});

test('an entry whose value the store has at hand needs it no more once it is replaced', () => {
  const { bytes } = encodeObject({ metadata: { name: 'a' } });
  let reads = 0;
  const source = {
    view: () => {
      reads++;
      return { bytes, start: 0, end: bytes.length };
    },
  };
  const entry = new Entry('/k', undefined, 7, undefined, source, bytes.length);
  assert.equal(entry.object, entry.object, 'decoded once');
  assert.equal(reads, 1);
  entry.release();
  const last = new Entry('/k', undefined, 7, undefined, source, bytes.length);
  last.release();
  assert.equal(reads, 2);
  for (const { object } of [entry, last]) assert.deepEqual(object, { metadata: { name: 'a', resourceVersion: '7' } });
  assert.equal(entry.json.toString(), last.json.toString());
  assert.equal(reads, 2);
});

test('locateVersion refuses what encodeObject did not make', () => {
  for (const text of ['', '[]', '{}', '{"a":1}', '{"metadata":[]}', '{"metadata":{ "name":"a"}}', '{"metadata":{"name":"a"', '{ "metadata":{}}', '{"a"']) assert.equal(locateVersion(Buffer.from(text)), undefined, text);
});
