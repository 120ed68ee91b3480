import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apiservices } from '../apiregistration/apiservices.ts';
import { rowOf, tryCreate, tryUpdate } from '../trial.ts';
import { customresourcedefinitions } from './customresourcedefinitions.ts';

const schema = (openAPIV3Schema: object = { type: 'object' }) => ({ openAPIV3Schema });
const version = (change: object = {}) => ({ name: 'v1', served: true, storage: true, schema: schema(), ...change });
const definition = (spec: object = {}) => ({
  metadata: { name: 'widgets.example.com' },
  spec: { group: 'example.com', scope: 'Namespaced', names: { plural: 'widgets', kind: 'Widget' }, versions: [version()], ...spec },
});
const errorsOf = (spec: object) => tryCreate(customresourcedefinitions, definition(spec)).errors;

test('customresourcedefinitions completes its names and notes what it stores', () => {
  const { object, errors } = tryCreate(customresourcedefinitions, definition());
  const spec = object['spec'] as { names: object; conversion: object };
  assert.deepEqual([errors, spec.names, spec.conversion], [[], { plural: 'widgets', kind: 'Widget', singular: 'widget', listKind: 'WidgetList' }, { strategy: 'None' }]);
  assert.deepEqual((object['status'] as { storedVersions: string[] }).storedVersions, ['v1']);
});
test('customresourcedefinitions is named by plural and group', () => {
  assert.deepEqual(errorsOf({ group: 'other.com' }), ['metadata.name: Invalid value: "widgets.example.com": must be spec.names.plural+"."+spec.group']);
  assert.deepEqual(tryCreate(customresourcedefinitions, { ...definition({ group: 'x.k8s.io' }), metadata: { name: 'widgets.x.k8s.io' } }).errors, [
    'metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111',
  ]);
});
test('customresourcedefinitions has one storage version, each with a schema', () => {
  const errors = errorsOf({ versions: [version({ storage: false }), version({ name: 'v2', storage: false, schema: undefined })] });
  assert.equal(errors[0], 'spec.versions[1].schema.openAPIV3Schema: Required value');
  assert.match(errors[1]!, /^spec\.versions: Invalid value: \[.*\]: must have exactly one version marked as storage version$/);
});
test('customresourcedefinitions wants structural schemas', () => {
  const of = (openAPIV3Schema: object) => errorsOf({ versions: [version({ schema: schema(openAPIV3Schema) })] });
  assert.deepEqual(of({}), ['spec.validation.openAPIV3Schema.type: Required value: must not be empty at the root']);
  assert.deepEqual(of({ type: 'object', properties: { a: {}, b: { type: 'array', items: {} } } }), [
    'spec.validation.openAPIV3Schema.properties[a].type: Required value: must not be empty for specified object fields',
    'spec.validation.openAPIV3Schema.properties[b].items.type: Required value: must not be empty for specified array items',
  ]);
  assert.deepEqual(of({ type: 'object', properties: { a: { type: 'text' } } }), [
    'spec.validation.openAPIV3Schema.properties[a].type: Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string"',
  ]);
  assert.deepEqual(of({ type: 'object', anyOf: [{ properties: { a: { type: 'string' } } }] }), [
    'spec.validation.openAPIV3Schema.anyOf[0].properties[a].type: Forbidden: must be empty to be structural',
    'spec.validation.openAPIV3Schema.properties[a]: Required value: because it is defined in spec.validation.openAPIV3Schema.anyOf[0].properties[a]',
  ]);
  assert.deepEqual(of({ type: 'object', properties: { port: { 'x-kubernetes-int-or-string': true, anyOf: [{ type: 'integer' }, { type: 'string' }] } } }), []);
});
test('customresourcedefinitions checks columns, scale and selectable fields', () => {
  const spec = { type: 'object', properties: { spec: { type: 'object', properties: { color: { type: 'string' } } } } };
  const parts = {
    schema: schema(spec), additionalPrinterColumns: [{ name: 'Color', type: 'text', jsonPath: 'spec.color' }], subresources: { scale: { specReplicasPath: '.status.a', statusReplicasPath: '.status.b' } },
    selectableFields: [{ jsonPath: '.spec.color' }, { jsonPath: '.spec.size' }],
  };
  assert.deepEqual(errorsOf({ versions: [version(parts)] }), [
    'spec.subresources.scale.specReplicasPath: Invalid value: ".status.a": should be a json path under .spec',
    'spec.additionalPrinterColumns[0].type: Invalid value: "text": must be one of boolean,date,integer,number,string',
    'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec.color": must be a simple json path starting with .',
    'spec.selectableFields[1].jsonPath: Invalid value: ".spec.size": is an invalid path: does not refer to a valid field',
  ]);
});
/** The errors of an update that changes nothing but a column of a definition that is stored as `spec` says. */
const touch = (spec: object, change: (spec: { versions: { schema?: unknown; additionalPrinterColumns?: object[] }[] }) => void = () => {}) =>
  tryUpdate(customresourcedefinitions, definition(spec), (d) => {
    const next = d['spec'] as Parameters<typeof change>[0];
    next.versions[0]!.additionalPrinterColumns = [{ name: 'A', type: 'string', jsonPath: '.a' }];
    change(next);
  }).errors;
test('customresourcedefinitions goes on taking what it took before', () => {
  const of = (properties: object) => ({ versions: [version({ schema: schema({ type: 'object', properties }) })] });
  const list = (type: string, items: object, more: object = {}) => ({ l: { type: 'array', 'x-kubernetes-list-type': type, items, ...more } });
  const dear = { a: { type: 'array', items: { type: 'array', items: { type: 'string', 'x-kubernetes-validations': [{ rule: "self.contains('x')" }] } } } };
  const TABLE: readonly (readonly [rule: string, spec: object])[] = [
    ['structure', of({ a: {} })], ['types', of({ a: { type: 'text' } })], ['schemas', { versions: [version({ schema: undefined })] }], ['atomic sets', of(list('set', { type: 'object', properties: {} }))],
    ['pruned defaults', of({ a: { type: 'object', default: { x: 1 } } })], ['costs of rules', of(dear)],
    ['keys of maps', of(list('map', { type: 'object', properties: { k: { type: 'string' } } }, { 'x-kubernetes-list-map-keys': ['k'] }))],
    ['review versions', { conversion: { strategy: 'Webhook', webhook: { conversionReviewVersions: ['v2'], clientConfig: { url: 'https://a/' } } } }],
  ];
  for (const [rule, spec] of TABLE) {
    assert.notEqual(errorsOf(spec).length, 0, `${rule}: a new definition`);
    // Costs of a whole schema always count, those of one rule where the schema changes.
    assert.deepEqual(touch(spec).filter((e) => !e.includes('entire OpenAPIv3 schema')), [], `${rule}: one that was stored so`);
    assert.notEqual(tryUpdate(customresourcedefinitions, definition(), (d) => Object.assign(d['spec'] as object, spec)).errors.length, 0, `${rule}: one that is made so`);
  }
  const changed = (properties: object) => touch(of(dear), (spec) => (spec.versions[0]!.schema = schema({ type: 'object', properties })));
  assert.ok(changed({ ...dear, b: { type: 'string' } }).some((e) => /rule: Forbidden: estimated rule cost exceeds budget by factor of/.test(e)));
});
test('customresourcedefinitions takes an unusable bundle until it is established', () => {
  const webhook = (caBundle: string) => ({ strategy: 'Webhook', webhook: { conversionReviewVersions: ['v1'], clientConfig: { url: 'https://a/', caBundle } } });
  const established = { conditions: [{ type: 'Established', status: 'True' }] };
  const update = (from: string, to: string, status = {}) => {
    const made = tryCreate(customresourcedefinitions, definition({ conversion: webhook(from) })).object;
    const old = { ...made, status: { storedVersions: ['v1'], ...status } };
    const next = { ...old, spec: { ...(made['spec'] as object), conversion: webhook(to) } };
    return customresourcedefinitions.validateUpdate!(next as never, old as never, undefined as never).map((e) => `${e.field}: ${e.body}`);
  };
  assert.deepEqual(errorsOf({ conversion: webhook('Cg==') }), []);
  assert.deepEqual(update('', 'Cg=='), []);
  const refused = (value: string, why: string) => [`spec.conversion.webhookClientConfig.caBundle: Invalid value: ${value}: unable to load root certificates: ${why}`];
  assert.deepEqual(update('', 'Cg==', established), refused('[]byte{0xa}', 'unable to parse bytes as PEM block'));
  assert.match(update('', Buffer.from('-----BEGIN KEY-----\nAA==\n-----END KEY-----\n').toString('base64'), established)[0]!, /: no valid certificate authority data seen$/);
  assert.deepEqual(update('Cg==', 'Cg==', established), []);
});
test('customresourcedefinitions does not track generations', () => {
  const { object } = tryUpdate(customresourcedefinitions, definition(), (d) => Object.assign(d['status'] as object, { observedGeneration: 2, conditions: [{ type: 'A', status: 'True', observedGeneration: 2 }] }), 'status');
  const { observedGeneration, conditions } = object['status'] as { observedGeneration?: number; conditions: object[] };
  assert.deepEqual([observedGeneration, conditions], [undefined, [{ type: 'A', status: 'True' }]]);
});
test('customresourcedefinitions keeps stored versions', () => {
  const { errors } = tryUpdate(customresourcedefinitions, definition(), (d) => ((d['spec'] as { versions: object[] }).versions = [version({ name: 'v2' })]));
  assert.deepEqual(errors, [
    'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in v1 and removes v1 from status.storedVersions',
  ]);
  assert.deepEqual(rowOf(customresourcedefinitions, { metadata: { name: 'a', creationTimestamp: 't' } }), { Name: 'a', 'Created At': 't' });
});
test('apiservices is named by version and group', () => {
  const service = (spec: object, name = 'v1.example.com') => tryCreate(apiservices, { metadata: { name }, spec: { group: 'example.com', version: 'v1', groupPriorityMinimum: 100, versionPriority: 10, ...spec } });
  const local = service({});
  assert.deepEqual([local.errors, rowOf(apiservices, local.object)], [[], { Name: 'v1.example.com', Service: 'Local', Available: 'True', Age: '<unknown>' }]);
  assert.deepEqual(service({ versionPriority: 0, insecureSkipTLSVerify: true }, 'x').errors, [
    'metadata.name: Invalid value: "x": must be `spec.version+"."+spec.group`: "v1.example.com"', 'spec.versionPriority: Invalid value: 0: must be positive and less than 1000',
    'spec.insecureSkipTLSVerify: Invalid value: true: local APIServices may not have insecureSkipTLSVerify',
  ]);
  const remote = service({ service: { namespace: 'a', name: 'b' }, insecureSkipTLSVerify: true });
  assert.deepEqual([remote.errors, rowOf(apiservices, remote.object)['Available'], (remote.object['spec'] as { service: object }).service], [[], 'Unknown', { namespace: 'a', name: 'b', port: 443 }]);
});
