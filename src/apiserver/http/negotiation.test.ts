import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Query } from '../query.ts';
import { negotiate, parseAccept, wantsPretty } from './negotiation.ts';

const ALL = { protobuf: true, watch: false, transforms: true };
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io';

test('negotiate takes the first clause that can be served, by weight', () => {
  assert.equal(negotiate(undefined, ALL).mediaType, 'application/json');
  assert.equal(negotiate('*/*', ALL).mediaType, 'application/json');
  assert.equal(negotiate('text/html, application/yaml', ALL).mediaType, 'application/yaml');
  assert.equal(negotiate('application/json;q=0.2, application/vnd.kubernetes.protobuf', ALL).mediaType, 'application/vnd.kubernetes.protobuf');
  assert.equal(negotiate('application/vnd.kubernetes.protobuf,application/json', { ...ALL, protobuf: false }).mediaType, 'application/json');
});
test('negotiate takes Table and metadata clauses where they are possible', () => {
  assert.deepEqual([negotiate(`${TABLE},application/json`, ALL).transform, negotiate(`${TABLE},application/json`, { ...ALL, transforms: false }).transform], ['Table', undefined]);
  assert.equal(negotiate('application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json', ALL).transform, undefined);
  assert.equal(negotiate('application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1', ALL).mediaType, 'application/vnd.kubernetes.protobuf');
});
test('negotiate refuses what it cannot serve and names what it can', () => {
  assert.throws(() => negotiate('image/png', ALL), { message: 'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf' });
  assert.throws(() => negotiate('application/yaml', { ...ALL, watch: true }), { message: 'only the following media types are accepted: application/json, application/vnd.kubernetes.protobuf' });
});
test('parseAccept sorts by weight and drops clauses of weight zero', () => {
  assert.deepEqual(parseAccept('a/b;q=0.1,c/d;x="y";q=0.5,e/f;q=0').map((c) => [c.type, c.q, c.parameters.get('x')]), [['c/d', 0.5, 'y'], ['a/b', 0.1, undefined]]);
});
test('wantsPretty follows the query, then the clause, then who asks', () => {
  const plain = negotiate('application/json', ALL);
  assert.equal(wantsPretty(plain, Query.parse('pretty=true'), undefined), true);
  assert.equal(wantsPretty(plain, Query.parse('pretty=0'), 'curl/8.0'), false);
  assert.equal(wantsPretty(plain, Query.empty, 'curl/8.0'), true);
  assert.equal(wantsPretty(plain, Query.empty, 'kubectl/v1.36.0'), false);
  assert.equal(wantsPretty(negotiate('application/json;pretty=1', ALL), Query.empty, undefined), true);
});
