import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KubeObject } from '#api/object.ts';
import { structByKind } from '#api/schema.ts';
import { normalise } from './normalise.ts';
import { objectText, printedObject, readObjectText } from './object-text.ts';

type Loose = Record<string, unknown>;
/** An object in normal form. */
function object(apiVersion: string, kind: string, rest: Loose): KubeObject {
  const [group, version] = apiVersion.includes('/') ? (apiVersion.split('/') as [string, string]) : ['', apiVersion];
  return normalise(structByKind(group, version, kind)!, { apiVersion, kind, metadata: { name: 'a' }, ...rest }) as unknown as KubeObject;
}
const RBAC = 'rbac.authorization.k8s.io/v1';

const texts: [name: string, object: KubeObject, text: string][] = [
  ['a required list that is empty', object(RBAC, 'Role', {}), `{"kind":"Role","apiVersion":"${RBAC}","metadata":{"name":"a"},"rules":null}`],
  ['a required list with items', object(RBAC, 'Role', { rules: [{ verbs: [] }] }), `{"kind":"Role","apiVersion":"${RBAC}","metadata":{"name":"a"},"rules":[{"verbs":null}]}`],
  ['a required reference that is absent, in its place', object('authentication.k8s.io/v1', 'TokenRequest', { spec: { audiences: ['x'], expirationSeconds: 600 } }),
    '{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{"name":"a"},"spec":{"audiences":["x"],"expirationSeconds":600,"boundObjectRef":null},"status":{"token":"","expirationTimestamp":null}}'],
  ['keys of maps', object('v1', 'ConfigMap', { data: { b: '1', a: '2', '10': '3', '9': '4' } }), '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"10":"3","9":"4","a":"2","b":"1"}}'],
  ['characters that HTML knows', object('v1', 'ConfigMap', { data: { '<': '&>\u2028' } }), '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a"},"data":{"\\u003c":"\\u0026\\u003e\\u2028"}}'],
  ['items of a list, which are never none', { kind: 'RoleList', apiVersion: RBAC, metadata: {}, items: [] } as KubeObject, `{"kind":"RoleList","apiVersion":"${RBAC}","metadata":{},"items":[]}`],
  ['items of a list, each as it is alone', { kind: 'RoleList', apiVersion: RBAC, metadata: {}, items: [{ metadata: { name: 'a' }, rules: [] }] } as KubeObject, `{"kind":"RoleList","apiVersion":"${RBAC}","metadata":{},"items":[{"metadata":{"name":"a"},"rules":null}]}`],
  ['a custom resource: all keys', { kind: 'Gadget', apiVersion: 'a.example/v1', metadata: { name: 'a', annotations: { b: '1', a: '2' } }, spec: { z: [{ b: [], a: null }], '10': 1, '9': 9007199254740993n }, aaa: 1 } as KubeObject,
    '{"aaa":1,"apiVersion":"a.example/v1","kind":"Gadget","metadata":{"annotations":{"a":"2","b":"1"},"name":"a"},"spec":{"10":1,"9":9007199254740993,"z":[{"a":null,"b":[]}]}}'],
  ['a custom resource that is named as one of the release', { kind: 'Role', apiVersion: 'rbac.a.example/v1', metadata: { name: 'a' }, rules: [] } as KubeObject, '{"apiVersion":"rbac.a.example/v1","kind":"Role","metadata":{"name":"a"},"rules":[]}'],
];
for (const [name, value, text] of texts) {
  test(`objectText prints ${name}`, () => {
    const before = structuredClone(value);
    assert.equal(objectText(value), text);
    assert.equal(objectText(value, 2).replaceAll(/\n */g, '').replaceAll('": ', '":'), text.replaceAll('": ', '":'));
    assert.deepEqual(value, before, 'the object itself stays as it is');
    assert.deepEqual(readObjectText(text), value);
  });
}

test('objectText indents as JSON.stringify does, also where it must write by itself', () => {
  const map = { a: {}, b: [], c: [1, { d: undefined, e: 'f' }] };
  const custom = (spec: Loose): KubeObject => ({ apiVersion: 'a.example/v1', kind: 'Gadget', metadata: {}, spec }) as KubeObject;
  assert.equal(objectText(custom(map), 2), JSON.stringify(custom(map), null, 2));
  assert.equal(objectText(custom({ '10': map, '9': 1 }), 2), JSON.stringify(custom({ ten: map, z: 1 }), null, 2).replace('"ten"', '"10"').replace('"z"', '"9"'));
});

test('printedObject shares what is printed as it is', () => {
  const role = object(RBAC, 'Role', { rules: [{ verbs: ['get'], resources: ['pods'], apiGroups: [''] }] });
  assert.equal(printedObject(role), role);
  const config = object('v1', 'ConfigMap', { data: { b: '1', a: '2' } }) as KubeObject & { data: Loose };
  const printed = printedObject(config);
  assert.deepEqual([printed.metadata === config.metadata, Object.keys(printed.data), Object.keys(config.data)], [true, ['a', 'b'], ['b', 'a']]);
});

test('readObjectText puts the metadata of a custom resource in their own order, for who is shown them alone', () => {
  const text = '{"apiVersion":"a.example/v1","kind":"Gadget","metadata":{"creationTimestamp":"2026-01-02T03:04:05Z","labels":{"a":"b"},"name":"x","uid":"u"}}';
  assert.deepEqual(Object.keys((readObjectText(text) as KubeObject).metadata), ['name', 'uid', 'creationTimestamp', 'labels']);
});
