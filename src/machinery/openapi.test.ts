import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { RESOURCES, type ResourceInfo } from '#api/resources.ts';
import { buildOpenApiV2, buildOpenApiV3, clientDescriptions, encodeOpenApiV2, openApiHash, openApiV3Index, openApiV3Keys, type CustomKind, type Json } from './openapi.ts';
import { Reader } from './protobuf-wire.ts';

type Doc = Record<string, Record<string, Json>>;
const VERSION = 'v1.36.0';
const v2 = buildOpenApiV2({ version: VERSION }) as Doc;
/** A value deep inside a document. */
function at(value: unknown, ...path: string[]): unknown {
  return path.reduce((v, key) => (v as Record<string, unknown> | undefined)?.[key], value);
}
/** Every `$ref` in a document. */
function refs(value: unknown, out = new Set<string>()): Set<string> {
  if (value === null || typeof value !== 'object') return out;
  for (const [key, child] of Object.entries(value)) {
    if (key === '$ref' && typeof child === 'string') out.add(child);
    else refs(child, out);
  }
  return out;
}

const CRON_TABS: ResourceInfo = {
  group: 'stable.example.com', version: 'v1', plural: 'crontabs', singular: 'crontab', kind: 'CronTab', listKind: 'CronTabList', namespaced: true, verbs: RESOURCES.find((r) => r.plural === 'pods')!.verbs, shortNames: [], categories: [], subresources: [],
};
const CUSTOM: CustomKind = { resource: CRON_TABS, schema: { type: 'object', description: 'A table.', properties: { spec: { type: 'object', properties: { cronSpec: { type: 'string' } } } } } };

test('buildOpenApiV2 describes types with their extensions', () => {
  const ports = at(v2, 'definitions', 'io.k8s.api.core.v1.Container', 'properties', 'ports');
  assert.deepEqual(ports, {
    type: 'array', items: { $ref: '#/definitions/io.k8s.api.core.v1.ContainerPort' }, 'x-kubernetes-list-map-keys': ['containerPort', 'protocol'], 'x-kubernetes-list-type': 'map', 'x-kubernetes-patch-merge-key': 'containerPort', 'x-kubernetes-patch-strategy': 'merge',
  });
  assert.deepEqual(at(v2, 'definitions', 'io.k8s.api.core.v1.Pod', 'x-kubernetes-group-version-kind'), [{ group: '', version: 'v1', kind: 'Pod' }]);
  assert.deepEqual(at(v2, 'definitions', 'io.k8s.api.core.v1.Container', 'required'), ['name']);
  assert.deepEqual(at(v2, 'definitions', 'io.k8s.apimachinery.pkg.util.intstr.IntOrString'), { type: 'string', format: 'int-or-string' });
  assert.deepEqual(at(v2, 'definitions', 'io.k8s.api.core.v1.Container', 'properties', 'imagePullPolicy', 'enum'), ['Always', 'IfNotPresent', 'Never'].toSorted());
});

test('every reference of a document leads to a definition', () => {
  for (const ref of refs(v2)) assert.ok(at(v2, 'definitions', ref.replace('#/definitions/', '')), ref);
  for (const key of openApiV3Keys({ custom: [CUSTOM] })) {
    const doc = buildOpenApiV3(key, { version: VERSION, custom: [CUSTOM] });
    for (const ref of refs(doc)) assert.ok(at(doc, 'components', 'schemas', ref.replace('#/components/schemas/', '')), `${key}: ${ref}`);
  }
});

test('operations have unique ids, and paths exist for every resource and subresource', () => {
  const ids: string[] = [];
  for (const item of Object.values(v2['paths']!)) for (const [method, operation] of Object.entries(item)) if (method !== 'parameters') ids.push((operation as Json)['operationId'] as string);
  assert.equal(new Set(ids).size, ids.length);
  for (const id of ['createCoreV1NamespacedPod', 'listCoreV1PodForAllNamespaces', 'deleteCoreV1CollectionNamespacedPod', 'readCoreV1NamespacedPodLog', 'connectCoreV1GetNamespacedPodExec', 'connectCoreV1PutNamespacedPodProxyWithPath', 'patchAppsV1NamespacedDeploymentScale', 'createCoreV1NamespacedServiceAccountToken', 'replaceCoreV1NamespaceFinalize', 'readRbacAuthorizationV1ClusterRole', 'listFlowcontrolApiserverV1FlowSchema', 'createAuthorizationV1SelfSubjectAccessReview']) assert.ok(ids.includes(id), id);
  for (const r of RESOURCES) {
    const base = `${r.group === '' ? '/api/' : `/apis/${r.group}/`}${r.version}/${r.namespaced ? 'namespaces/{namespace}/' : ''}${r.plural}`;
    assert.ok(v2['paths']![base], base);
    for (const sub of r.subresources) assert.ok(v2['paths']![`${base}/{name}/${sub.name}`], `${base} ${sub.name}`);
  }
});

test('patch operations say that they take dryRun and fieldValidation, which kubectl looks for', () => {
  const patch = at(v2, 'paths', '/apis/apps/v1/namespaces/{namespace}/deployments/{name}', 'patch');
  assert.deepEqual(at(patch, 'x-kubernetes-group-version-kind'), { group: 'apps', kind: 'Deployment', version: 'v1' });
  assert.equal(at(patch, 'x-kubernetes-action'), 'patch');
  const names = (at(patch, 'parameters') as Json[]).map((p) => p['name']);
  for (const name of ['dryRun', 'fieldManager', 'fieldValidation', 'force', 'body']) assert.ok(names.includes(name), name);
});

test('buildOpenApiV3 gives a document for each group version', () => {
  assert.ok(openApiV3Keys({}).includes('api/v1'));
  const doc = buildOpenApiV3('api/v1', { version: VERSION });
  assert.deepEqual(at(doc, 'components', 'schemas', 'io.k8s.apimachinery.pkg.api.resource.Quantity'), { oneOf: [{ type: 'string' }, { type: 'number' }] });
  assert.deepEqual(at(doc, 'components', 'schemas', 'io.k8s.api.core.v1.ContainerPort', 'properties', 'protocol', 'default'), 'TCP');
  assert.deepEqual(at(doc, 'components', 'schemas', 'io.k8s.api.core.v1.PersistentVolumeSpec', 'properties', 'claimRef'), { 'x-kubernetes-map-type': 'granular', allOf: [{ $ref: '#/components/schemas/io.k8s.api.core.v1.ObjectReference' }] });
  assert.deepEqual(Object.keys(at(doc, 'paths', '/api/v1/namespaces/{namespace}/pods', 'post', 'requestBody', 'content') as object), ['*/*']);
  assert.equal(at(doc, 'paths', '/apis/apps/v1/'), undefined);
  assert.equal(buildOpenApiV3('apis/nope/v1', { version: VERSION }), undefined);
  const hash = openApiHash(JSON.stringify(doc));
  assert.deepEqual(openApiV3Index(new Map([['api/v1', hash]])), { paths: { 'api/v1': { serverRelativeURL: `/openapi/v3/api/v1?hash=${hash}` } } });
});

test('custom resources come with their own schema', () => {
  const doc = buildOpenApiV3('apis/stable.example.com/v1', { version: VERSION, custom: [CUSTOM] });
  const schema = at(doc, 'components', 'schemas', 'com.example.stable.v1.CronTab') as Json;
  assert.deepEqual(schema['x-kubernetes-group-version-kind'], [{ group: 'stable.example.com', version: 'v1', kind: 'CronTab' }]);
  assert.deepEqual(Object.keys(schema['properties'] as object).toSorted(), ['apiVersion', 'kind', 'metadata', 'spec']);
  assert.equal(at(doc, 'paths', '/apis/stable.example.com/v1/namespaces/{namespace}/crontabs', 'post', 'operationId'), 'createStableExampleComV1NamespacedCronTab');
  assert.match(String(at(schema, 'properties', 'apiVersion', 'description')), /^APIVersion defines the versioned schema/);
  assert.match(String(at(schema, 'properties', 'metadata', 'description')), /^Standard object's metadata/);
  assert.deepEqual(at(schema, 'properties', 'metadata', 'allOf'), [{ $ref: '#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta' }]);
  assert.equal(at(doc, 'components', 'schemas', 'com.example.stable.v1.CronTabList', 'description'), 'CronTabList is a list of CronTab');
  const whole = buildOpenApiV2({ version: VERSION, custom: [CUSTOM] });
  assert.ok(at(whole, 'definitions', 'com.example.stable.v1.CronTabList'));
});

test('operations of custom resources take and give JSON and YAML alone, and name the custom kind', () => {
  const scaled = { ...CRON_TABS, subresources: RESOURCES.find((r) => r.plural === 'deployments')!.subresources.filter((sub) => sub.name === 'scale') };
  const doc = buildOpenApiV2({ version: VERSION, custom: [{ ...CUSTOM, resource: scaled }] });
  const root = '/apis/stable.example.com/v1/namespaces/{namespace}/crontabs';
  const operation = (path: string, method: string) => at(doc, 'paths', `${root}${path}`, method) as Json;
  const parameters = (path: string, method: string) => (operation(path, method)['parameters'] as Json[]).map((p) => p['name']);
  assert.deepEqual(operation('', 'get')['produces'], ['application/json', 'application/yaml']);
  assert.deepEqual(operation('', 'post')['consumes'], ['application/json', 'application/yaml']);
  assert.deepEqual(parameters('/{name}', 'get'), ['resourceVersion']);
  assert.ok(!parameters('', 'delete').includes('body') && parameters('', 'delete').includes('watch'));
  assert.deepEqual(Object.keys(operation('/{name}', 'patch')['responses'] as object), ['200', '401']);
  assert.deepEqual(operation('/{name}/scale', 'patch')['x-kubernetes-group-version-kind'], { group: 'stable.example.com', kind: 'CronTab', version: 'v1' });
  assert.equal(at(operation('/{name}/scale', 'patch'), 'responses', '200', 'schema', '$ref'), '#/definitions/io.k8s.api.autoscaling.v1.Scale');
  assert.ok(!(operation('/{name}/scale', 'patch')['consumes'] as string[]).includes('application/strategic-merge-patch+json'));
  assert.equal(at(doc, 'paths', '/apis/stable.example.com/v1/'), undefined, 'their groups have no discovery operations');
});

test('custom resources list type and metadata of the objects within them, but in v2 where those keep all that is unknown', () => {
  const template = (open: boolean) => ({ type: 'object', 'x-kubernetes-embedded-resource': true, properties: { spec: { type: 'object' } }, ...(open ? { 'x-kubernetes-preserve-unknown-fields': true } : {}) });
  const custom = [{ ...CUSTOM, schema: { type: 'object', properties: { closed: { type: 'array', items: template(false) }, open: template(true) } } }];
  const v3 = at(buildOpenApiV3('apis/stable.example.com/v1', { version: VERSION, custom }), 'components', 'schemas', 'com.example.stable.v1.CronTab', 'properties');
  const old = at(buildOpenApiV2({ version: VERSION, custom }), 'definitions', 'com.example.stable.v1.CronTab', 'properties');
  const names = (schema: unknown) => Object.keys(at(schema, 'properties') as object).toSorted();
  const all = ['apiVersion', 'kind', 'metadata', 'spec'];
  assert.deepEqual([at(v3, 'closed', 'items'), at(v3, 'open'), at(old, 'closed', 'items'), at(old, 'open')].map(names), [all, all, all, ['spec']]);
  assert.deepEqual(at(v3, 'open', 'required'), ['kind', 'apiVersion']);
  assert.match(String(at(v3, 'open', 'properties', 'kind', 'description')), /^kind is a string value representing the type of this object/);
});

test('encodeOpenApiV2 writes the document that kubectl 1.20 reads', () => {
  const bytes = encodeOpenApiV2(v2);
  const numbers: number[] = [];
  let definitions = 0;
  let pod: string[] = [];
  const reader = new Reader(bytes);
  while (!reader.done) {
    const tag = reader.small();
    const number = Math.floor(tag / 8);
    numbers.push(number);
    assert.equal(tag % 8, 2);
    const value = reader.bytes();
    if (number === 1) assert.equal(value.toString(), '2.0');
    if (number !== 9) continue;
    const inner = new Reader(value);
    while (!inner.done) {
      assert.equal(inner.small(), (1 << 3) | 2);
      definitions++;
      const named = new Reader(inner.bytes());
      assert.equal(named.small(), (1 << 3) | 2);
      const name = named.string();
      if (name === 'io.k8s.api.core.v1.Pod') pod = propertyNames(named);
    }
  }
  assert.deepEqual(numbers, [1, 2, 8, 9, 12, 13]);
  assert.equal(definitions, Object.keys(v2['definitions']!).length);
  assert.deepEqual(pod, ['apiVersion', 'kind', 'metadata', 'spec', 'status']);
});

/** Names in `properties` (25) of the schema that is the value (2) of a named schema. */
function propertyNames(named: Reader): string[] {
  named.small();
  const schema = new Reader(named.bytes());
  const out: string[] = [];
  while (!schema.done) {
    const number = Math.floor(schema.small() / 8);
    const value = schema.bytes();
    if (number !== 25) continue;
    const properties = new Reader(value);
    while (!properties.done) {
      properties.small();
      const property = new Reader(properties.bytes());
      property.small();
      out.push(property.string());
    }
  }
  return out;
}

const describe = clientDescriptions();
test('descriptions come from the installed client', { skip: describe ? false : 'the package @kubernetes/client-node is not installed' }, () => {
  const doc = buildOpenApiV3('api/v1', { version: VERSION, ...(describe ? { describe } : {}) });
  assert.match(at(doc, 'components', 'schemas', 'io.k8s.api.core.v1.EnvVar', 'properties', 'value', 'description') as string, /^Variable references \$\(VAR_NAME\) are expanded/);
  assert.match(at(doc, 'components', 'schemas', 'io.k8s.api.core.v1.Event', 'description') as string, /^Event is a report of an event/);
  assert.match(at(doc, 'components', 'schemas', 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta', 'properties', 'creationTimestamp', 'description') as string, /is in UTC\.\n\nPopulated by/, 'a paragraph');
  const [described, all] = Object.values(at(doc, 'components', 'schemas') as Record<string, Json>).reduce(([have, of], s) => [have + (s['description'] === undefined ? 0 : 1), of + 1], [0, 0]);
  assert.ok(described! > all! * 0.9, `${described} of ${all}`);
});

const factsFile = process.env['PODYARD_OPENAPI_FACTS'];
test('an independent table of OpenAPI facts agrees', { skip: factsFile ? false : 'PODYARD_OPENAPI_FACTS names no file' }, () => {
  const facts = JSON.parse(readFileSync(factsFile!, 'utf8')) as { definitions: Record<string, Json>; paths: Record<string, Record<string, Json>> };
  /** Without what the facts leave out or name for more versions than are served. */
  const comparable = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(comparable);
    if (value === null || typeof value !== 'object') return value;
    const kept = Object.entries(value).filter(([key, child]) => !(key === 'enum' && Array.isArray(child)) && key !== 'x-kubernetes-unions' && key !== 'x-kubernetes-group-version-kind');
    return Object.fromEntries(kept.map(([key, child]) => [key, key === 'required' && Array.isArray(child) ? child.toSorted() : comparable(child)]));
  };
  for (const [name, schema] of Object.entries(v2['definitions']!)) {
    assert.ok(facts.definitions[name], name);
    assert.deepEqual(comparable(schema), comparable(facts.definitions[name]), name);
    const theirs = new Set(((facts.definitions[name]!['x-kubernetes-group-version-kind'] as Json[] | undefined) ?? []).map((k) => JSON.stringify([k['group'], k['version'], k['kind']])));
    for (const k of (schema['x-kubernetes-group-version-kind'] as Json[] | undefined) ?? []) assert.ok(theirs.has(JSON.stringify([k['group'], k['version'], k['kind']])), name);
  }
  for (const [path, item] of Object.entries(v2['paths']!)) {
    const theirs = facts.paths[path];
    assert.ok(theirs, path);
    assert.deepEqual(Object.keys(item).filter((k) => k !== 'parameters').toSorted(), Object.keys(theirs).toSorted(), path);
    for (const [method, fact] of Object.entries(theirs)) {
      const own = (item as Record<string, Json>)[method]!;
      assert.deepEqual([own['x-kubernetes-action'], own['x-kubernetes-group-version-kind'], Object.keys(own['responses'] as object).toSorted()], [fact['action'], fact['gvk'], fact['responses']], `${method} ${path}`);
    }
  }
});

test('a delete answers with the object of some kinds, with a Status of others', () => {
  const answer = (path: string) => at(v2, 'paths', path, 'delete', 'responses', '200', 'schema', '$ref');
  assert.equal(answer('/apis/storage.k8s.io/v1/storageclasses/{name}'), '#/definitions/io.k8s.api.storage.v1.StorageClass');
  assert.equal(answer('/api/v1/namespaces/{namespace}/configmaps/{name}'), '#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.Status');
});

test('fields that are never null have a default in v3', () => {
  const doc = buildOpenApiV3('apis/flowcontrol.apiserver.k8s.io/v1', { version: VERSION });
  const property = (type: string, name: string) => at(doc, 'components', 'schemas', `io.k8s.api.flowcontrol.v1.${type}`, 'properties', name) as Json;
  assert.deepEqual(property('FlowSchema', 'status')['default'], {});
  assert.equal(property('FlowDistinguisherMethod', 'type')['default'], '');
  assert.equal(property('FlowSchemaSpec', 'matchingPrecedence')['default'], 0);
  assert.equal('default' in property('FlowSchemaSpec', 'distinguisherMethod'), false, 'a pointer');
  assert.equal('default' in property('FlowSchemaCondition', 'message'), false, 'left out when empty');
  assert.equal('default' in (at(v2, 'definitions', 'io.k8s.api.flowcontrol.v1.FlowSchema', 'properties', 'status') as Json), false, 'v2 tells none');
});

test('reasons of validation rules are a closed set', () => {
  const reason = at(v2, 'definitions', 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.ValidationRule', 'properties', 'reason', 'enum');
  assert.deepEqual(reason, ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired']);
});

test('unions tell their discriminator and members', () => {
  const unions = (type: string) => at(v2, 'definitions', `io.k8s.api.core.v1.${type}`, 'x-kubernetes-unions');
  assert.deepEqual(unions('SeccompProfile'), [{ discriminator: 'type', 'fields-to-discriminateBy': { localhostProfile: 'LocalhostProfile' } }]);
  assert.deepEqual(unions('PodSchedulingGroup'), [{ 'fields-to-discriminateBy': { podGroupName: 'PodGroupName' } }]);
});

test('v3 has documents of what holds no resources', () => {
  for (const key of ['api', 'apis', 'apis/apps', 'version', '.well-known/openid-configuration', 'openid/v1/jwks']) {
    assert.ok(openApiV3Keys({}).includes(key), key);
    assert.deepEqual(Object.keys(at(buildOpenApiV3(key, { version: VERSION }), 'paths') as object), [`/${key}/`]);
  }
  assert.deepEqual(at(v2, 'paths', '/apis/apps/', 'get', 'tags'), ['apps']);
});
