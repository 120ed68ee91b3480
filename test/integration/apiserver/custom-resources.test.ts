import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { CustomResourceDefinition } from '#api/gen/apiextensions-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { manifest, startServer, type Fixture } from './fixture.ts';
import { openWatch, Requests } from './requests.ts';

let fixture: Fixture;
let http: Requests;
before(async () => {
  fixture = await startServer();
  http = new Requests(fixture);
});
after(async () => {
  http.close();
  await fixture.close();
});

const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const TABS = '/apis/stable.example.com/v1/namespaces/default/crontabs';
const SPEC = {
  type: 'object', description: 'What runs when.', required: ['cronSpec'],
  'x-kubernetes-validations': [
    { rule: 'self.minReplicas <= self.replicas', messageExpression: "'too few replicas' + (has(self.image) ? ' of ' + self.image : '')" },
    { rule: "!has(oldSelf.image) || has(self.image)", message: 'image may not be removed', fieldPath: '.image', reason: 'FieldValueRequired' },
  ],
  properties: {
    cronSpec: { type: 'string', description: 'Five fields.', pattern: '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$' },
    image: { type: 'string', maxLength: 20 },
    replicas: { type: 'integer', minimum: 1, maximum: 10, default: 1 },
    minReplicas: { type: 'integer', default: 1 },
    port: { 'x-kubernetes-int-or-string': true },
    mode: { type: 'string', enum: ['Fast', 'Slow'], 'x-kubernetes-validations': [{ rule: "self == oldSelf", message: 'mode is immutable' }] },
    at: { type: 'string', format: 'date-time' },
    tags: { type: 'array', items: { type: 'string' }, 'x-kubernetes-list-type': 'set', maxItems: 3 },
    steps: {
      type: 'array', maxItems: 5, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['name'],
      items: { type: 'object', required: ['name'], properties: { name: { type: 'string' }, command: { type: 'string' }, retries: { type: 'integer', default: 3 } } },
    },
    free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    template: { type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true },
  },
};
const crd = (change: object = {}): object => ({
  apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: 'crontabs.stable.example.com' },
  spec: {
    group: 'stable.example.com', scope: 'Namespaced', names: { plural: 'crontabs', singular: 'crontab', kind: 'CronTab', shortNames: ['ct'], categories: ['all'] },
    versions: [
      {
        name: 'v1', served: true, storage: true,
        schema: { openAPIV3Schema: { type: 'object', properties: { spec: SPEC, status: { type: 'object', properties: { replicas: { type: 'integer' }, selector: { type: 'string' } } } } } },
        subresources: { status: {}, scale: { specReplicasPath: '.spec.replicas', statusReplicasPath: '.status.replicas', labelSelectorPath: '.status.selector' } },
        additionalPrinterColumns: [{ name: 'Spec', type: 'string', jsonPath: '.spec.cronSpec' }, { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas' }, { name: 'First', type: 'string', jsonPath: '.spec.steps[?(@.name=="first")].command', priority: 1 }],
        selectableFields: [{ jsonPath: '.spec.image' }],
      },
      {
        name: 'v1beta1', served: true, storage: false, deprecated: true,
        schema: { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: { cronSpec: { type: 'string' }, replicas: { type: 'integer' } } } } } },
      },
    ],
    ...change,
  },
});
const tab = (name: string, spec: object = {}): object => ({ apiVersion: 'stable.example.com/v1', kind: 'CronTab', metadata: { name }, spec: { cronSpec: '* * * * */5', ...spec } });
const conditions = (object: KubeObject): Record<string, string> => Object.fromEntries(((object as unknown as CustomResourceDefinition).status?.conditions ?? []).map((c) => [c.type, `${c.status} ${c.reason}: ${c.message}`]));
async function established(name: string): Promise<KubeObject> {
  const watch = await openWatch(http, `${CRDS}?watch=true&fieldSelector=metadata.name=${name}`);
  try {
    for (;;) {
      const event = await watch.next();
      if (!event) throw new Error('the watch ended');
      if (conditions(event.object)['Established']?.startsWith('True')) return event.object;
    }
  } finally {
    watch.close();
  }
}

test('a definition is named, established and served at once', async () => {
  const made = await http.post(CRDS, crd());
  assert.equal(made.code, 201, made.text);
  const object = await established('crontabs.stable.example.com');
  assert.deepEqual(conditions(object), { NamesAccepted: 'True NoConflicts: no conflicts found', Established: 'True InitialNamesAccepted: the initial names have been accepted' });
  const { status } = object as unknown as CustomResourceDefinition;
  assert.deepEqual(status?.storedVersions, ['v1']);
  assert.equal(status?.acceptedNames?.listKind, 'CronTabList');
  const list = await http.get('/apis/stable.example.com/v1');
  assert.deepEqual(list.json<{ resources: { name: string; shortNames?: string[] }[] }>().resources.map((r) => r.name), ['crontabs', 'crontabs/status', 'crontabs/scale']);
  const group = await http.get('/apis/stable.example.com');
  assert.deepEqual(group.json<{ versions: { version: string }[] }>().versions.map((v) => v.version), ['v1', 'v1beta1']);
  const empty = await http.get(TABS);
  assert.deepEqual([empty.code, empty.json<{ kind: string; items: unknown[] }>().kind, empty.json<{ items: unknown[] }>().items], [200, 'CronTabList', []]);
});

test('objects are pruned and defaulted, strict requests hear of it', async () => {
  const made = await http.post(`${TABS}?fieldValidation=Warn`, tab('one', { bogus: 1, steps: [{ name: 'first', command: 'a', extra: true }], free: { any: { thing: 1 } } }));
  assert.equal(made.code, 201, made.text);
  const { spec, metadata } = made.json<KubeObject & { spec: object }>();
  assert.deepEqual(spec, { cronSpec: '* * * * */5', replicas: 1, minReplicas: 1, steps: [{ name: 'first', command: 'a', retries: 3 }], free: { any: { thing: 1 } } });
  assert.equal(metadata.generation, 1);
  const metrics = (await http.get('/metrics')).text;
  assert.match(metrics, /^apiserver_cel_compilation_duration_seconds_count 1$/m);
  assert.match(metrics, /^apiserver_cel_evaluation_duration_seconds_count 1$/m);
  assert.match(String(made.headers['warning']), /unknown field \\"spec.bogus\\".*unknown field \\"spec.steps\[0\].extra\\"/s);
  const strict = await http.post(`${TABS}?fieldValidation=Strict`, tab('two', { bogus: 1 }));
  assert.deepEqual([strict.code, strict.status.message], [400, 'CronTab in version "v1" cannot be handled as a CronTab: strict decoding error: unknown field "spec.bogus"']);
  const template = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'inner', namespace: 'default', other: 1 }, any: 1 };
  const embedded = await http.post(`${TABS}?fieldValidation=Strict`, tab('two', { template }));
  assert.deepEqual([embedded.code, embedded.status.message], [400, 'CronTab in version "v1" cannot be handled as a CronTab: strict decoding error: unknown field "spec.template.metadata.other"']);
  const dropped = await http.post(`${TABS}?dryRun=All`, tab('two', { template }));
  assert.deepEqual(dropped.json<KubeObject & { spec: { template: object } }>().spec.template, { ...template, metadata: { name: 'inner', namespace: 'default' } });
});

test('bad objects are refused in the words of upstream', async () => {
  const BAD: readonly (readonly [object, string])[] = [
    [{ cronSpec: 5 }, 'spec.cronSpec: Invalid value: "integer": spec.cronSpec in body must be of type string: "integer"'],
    [{ replicas: 11 }, 'spec.replicas: Invalid value: 11: spec.replicas in body should be less than or equal to 10'],
    [{ cronSpec: 'x' }, "spec.cronSpec: Invalid value: \"x\": spec.cronSpec in body should match '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$'"],
    [{ mode: 'No' }, 'spec.mode: Unsupported value: "No": supported values: "Fast", "Slow"'],
    [{ image: 'x'.repeat(21) }, 'spec.image: Too long: may not be more than 20 bytes'],
    [{ at: 'now' }, 'spec.at: Invalid value: "now": spec.at in body must be of type date-time: "now"'],
    [{ tags: ['a', 'b', 'c', 'd'] }, 'spec.tags: Too many: 4: must have at most 3 items'],
    [{ tags: ['a', 'a'] }, 'spec.tags[1]: Duplicate value: "a"'],
    [{ steps: [{ name: 'a' }, { name: 'a' }] }, 'spec.steps[1]: Duplicate value: {"name":"a"}'],
    [{ port: true }, 'spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean"'],
    [{ replicas: 2, minReplicas: 3, image: 'i' }, 'spec: Invalid value: too few replicas of i'],
    [{ template: { kind: 'Pod' } }, 'spec.template.apiVersion: Required value'],
  ];
  for (const [spec, message] of BAD) {
    const answer = await http.post(TABS, tab('bad', spec));
    assert.equal(answer.code, 422, answer.text);
    const text = answer.status.message ?? '';
    assert.ok(text.startsWith('CronTab.stable.example.com "bad" is invalid: '), text);
    assert.ok(text.includes(message), `${text}\nlacks\n${message}`);
  }
  const missing = await http.post(TABS, { apiVersion: 'stable.example.com/v1', kind: 'CronTab', metadata: { name: 'bad' }, spec: {} });
  assert.equal(missing.status.message, 'CronTab.stable.example.com "bad" is invalid: [spec.cronSpec: Required value, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]');
});

test('updates need a version, count generations and follow transition rules', async () => {
  const made = (await http.post(TABS, tab('moving', { image: 'a', mode: 'Fast' }))).json<KubeObject & { spec: Record<string, unknown> }>();
  const put = (change: object, meta: object = {}) => http.call('PUT', `${TABS}/moving`, { body: { ...made, metadata: { ...made.metadata, ...meta }, spec: { ...made.spec, ...change } } });
  assert.equal((await put({}, { resourceVersion: '' })).status.message, 'crontabs.stable.example.com "moving" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified for an update');
  assert.equal((await put({ mode: 'Slow' })).status.message, 'CronTab.stable.example.com "moving" is invalid: spec.mode: Invalid value: "Slow": mode is immutable');
  assert.equal((await put({ image: undefined })).status.message, 'CronTab.stable.example.com "moving" is invalid: spec.image: Required value: image may not be removed');
  const changed = (await put({ replicas: 4 })).json();
  assert.equal(changed.metadata.generation, 2);
  const merged = await http.call('PATCH', `${TABS}/moving`, { body: { spec: { replicas: 5 } }, headers: { 'content-type': 'application/merge-patch+json' } });
  assert.deepEqual([merged.code, merged.json().metadata.generation], [200, 3]);
  const strategic = await http.call('PATCH', `${TABS}/moving`, { body: {}, headers: { 'content-type': 'application/strategic-merge-patch+json' } });
  assert.equal(strategic.code, 415);
});

test('status and scale are endpoints of their own', async () => {
  const made = (await http.post(TABS, { ...tab('scaled'), status: { replicas: 9 } })).json<KubeObject & { status?: object }>();
  assert.equal(made.status, undefined);
  const status = await http.call('PATCH', `${TABS}/scaled/status`, { body: { status: { replicas: 2, selector: 'app=x' }, spec: { replicas: 9 } }, headers: { 'content-type': 'application/merge-patch+json' } });
  assert.deepEqual([status.code, status.json()['status'], (status.json()['spec'] as { replicas: number }).replicas, status.json().metadata.generation], [200, { replicas: 2, selector: 'app=x' }, 1, 1]);
  const scale = await http.get(`${TABS}/scaled/scale`);
  assert.deepEqual([scale.json()['kind'], scale.json()['spec'], scale.json()['status']], ['Scale', { replicas: 1 }, { replicas: 2, selector: 'app=x' }]);
  const scaled = await fixture.kubectl(['scale', 'crontab/scaled', '--replicas=3']);
  assert.equal(scaled.stdout.trim(), 'crontab.stable.example.com/scaled scaled', scaled.stderr);
  assert.equal(((await http.get(`${TABS}/scaled`)).json()['spec'] as { replicas: number }).replicas, 3);
  const bad = await http.call('PATCH', `${TABS}/scaled/status`, { body: { status: { replicas: 'x' } }, headers: { 'content-type': 'application/merge-patch+json' } });
  assert.match(bad.status.message!, /status.replicas: Invalid value: "string": replicas in body must be of type integer: "string"/);
});

test('versions without a webhook are the same object under another name', async () => {
  const old = await http.get('/apis/stable.example.com/v1beta1/namespaces/default/crontabs/one');
  assert.equal(old.json().apiVersion, 'stable.example.com/v1beta1');
  assert.deepEqual(old.json()['spec'], { cronSpec: '* * * * */5', replicas: 1 });
  assert.match(String(old.headers['warning']), /stable.example.com\/v1beta1 CronTab is deprecated; use stable.example.com\/v1 CronTab/);
  const made = await http.post('/apis/stable.example.com/v1beta1/namespaces/default/crontabs', { ...tab('beta'), apiVersion: 'stable.example.com/v1beta1' });
  assert.equal(made.json().apiVersion, 'stable.example.com/v1beta1');
  assert.equal(((await http.get(`${TABS}/beta`)).json()['spec'] as { replicas: number }).replicas, 1);
});

test('server-side apply merges map lists by their keys and tells conflicts', async () => {
  const apply = (manager: string, spec: object, query = '') => http.call('PATCH', `${TABS}/applied?fieldManager=${manager}${query}`, { body: tab('applied', spec), headers: { 'content-type': 'application/apply-patch+yaml' } });
  const first = await apply('a', { replicas: 2, steps: [{ name: 'x', command: '1' }] });
  assert.equal(first.code, 201, first.text);
  const second = await http.call('PATCH', `${TABS}/applied?fieldManager=b`, { body: { apiVersion: 'stable.example.com/v1', kind: 'CronTab', metadata: { name: 'applied' }, spec: { steps: [{ name: 'y', command: '2' }] } }, headers: { 'content-type': 'application/apply-patch+yaml' } });
  assert.deepEqual((second.json()['spec'] as { steps: { name: string }[] }).steps.map((s) => s.name), ['x', 'y']);
  const conflict = await apply('c', { replicas: 3 });
  assert.equal(conflict.code, 409);
  assert.match(conflict.status.message!, /conflict with "a": .spec.replicas/);
  assert.equal((await apply('c', { replicas: 3 }, '&force=true')).code, 200);
});

test('watches and field selectors see custom objects', async () => {
  const { metadata } = (await http.get(TABS)).json<{ metadata: { resourceVersion: string } }>();
  const watch = await openWatch(http, `${TABS}?watch=true&resourceVersion=${metadata.resourceVersion}&fieldSelector=spec.image=seen`);
  await http.post(TABS, tab('unseen', { image: 'other' }));
  await http.post(TABS, tab('seen', { image: 'seen' }));
  const event = await watch.next();
  assert.deepEqual([event?.type, event?.object.metadata.name], ['ADDED', 'seen']);
  watch.close();
  const list = await http.get(`${TABS}?fieldSelector=spec.image=seen`);
  assert.deepEqual(list.json<{ items: KubeObject[] }>().items.map((o) => o.metadata.name), ['seen']);
  assert.equal((await http.get(`${TABS}?fieldSelector=spec.mode=x`)).status.message, 'field label not supported: spec.mode');
});

test('kubectl gets, explains, applies and deletes custom resources', async () => {
  const kubectl = (...args: string[]) => fixture.kubectl(args);
  const get = await kubectl('get', 'ct', 'one', '-o', 'wide');
  assert.match(get.stdout, /^NAME\s+SPEC\s+REPLICAS\s+FIRST\none\s+\* \* \* \* \*\/5\s+1\s+a\n$/, get.stderr);
  const explain = await kubectl('explain', 'crontabs.spec.cronSpec');
  assert.match(explain.stdout, /KIND: +CronTab\nVERSION: +v1\n\nFIELD: cronSpec <string>[^]*Five fields\./, explain.stdout + explain.stderr);
  const path = await manifest(fixture, 'tab.yaml', 'apiVersion: stable.example.com/v1\nkind: CronTab\nmetadata: {name: k}\nspec:\n  cronSpec: "* * * * */5"\n');
  assert.equal((await kubectl('apply', '-f', path)).stdout.trim(), 'crontab.stable.example.com/k created');
  assert.equal((await kubectl('apply', '-f', path)).stdout.trim(), 'crontab.stable.example.com/k unchanged');
  const bad = await fixture.kubectl(['apply', '-f', '-'], 'apiVersion: stable.example.com/v1\nkind: CronTab\nmetadata: {name: k}\nspec:\n  cronSpec: "* * * * */5"\n  replicas: 99\n  foo: 1\n');
  assert.match(bad.stderr, /strict decoding error: unknown field "spec.foo"/);
  const invalid = await fixture.kubectl(['apply', '-f', '-'], 'apiVersion: stable.example.com/v1\nkind: CronTab\nmetadata: {name: k}\nspec:\n  cronSpec: "* * * * */5"\n  replicas: 99\n');
  assert.equal(invalid.stderr.trim(), 'The CronTab "k" is invalid: spec.replicas: Invalid value: 99: spec.replicas in body should be less than or equal to 10');
  // Since 1.34 kubectl names the namespace as well.
  assert.match((await kubectl('delete', 'crontab', 'k')).stdout, /^crontab.stable.example.com "k" deleted(?: from default namespace)?\n$/);
  assert.match((await kubectl('api-resources', '--api-group=stable.example.com')).stdout, /crontabs +ct +stable.example.com\/v1 +true +CronTab/);
});

test('definitions are checked to the last rule', async () => {
  const withSpec = (spec: object) => http.post(`${CRDS}?dryRun=All`, { ...crd({ versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', properties: { spec } } } }] }), metadata: { name: 'crontabs.stable.example.com' } });
  const rule = (text: string, more: object = {}) => ({ type: 'object', properties: { n: { type: 'integer' }, list: { type: 'array', items: { type: 'string' } } }, 'x-kubernetes-validations': [{ rule: text, ...more }] });
  const at = 'spec.validation.openAPIV3Schema.properties[spec]';
  const WRONG: readonly (readonly [object, string])[] = [
    [rule('self.x > 1'), `${at}.x-kubernetes-validations[0].rule: Invalid value: {"Rule":"self.x \\u003e 1","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: compilation failed: ERROR: <input>:1:5: undefined field 'x'\n | self.x > 1\n | ....^`],
    [rule('self.n'), `${at}.x-kubernetes-validations[0].rule: Invalid value: {"Rule":"self.n","Message":"","MessageExpression":"","Reason":null,"FieldPath":"","OptionalOldSelf":null}: cel expression must evaluate to a bool`],
    [rule(''), `${at}.x-kubernetes-validations[0].rule: Required value: rule is not specified`],
    [rule('self.n > 0', { reason: 'Why' }), `${at}.x-kubernetes-validations[0].reason: Unsupported value: "Why": supported values: "FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired"`],
    [rule("self.list.all(x, self.list.all(y, x != y))"), `${at}.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)`],
    [{ type: 'object', properties: { n: { type: 'integer', default: 'x' } } }, `${at}.properties[n].default: Invalid value: "string": ${at}.properties[n].default in body must be of type integer: "string"`],
    [{ type: 'object', properties: { l: { type: 'array', 'x-kubernetes-list-type': 'map', items: { type: 'object', properties: { a: { type: 'string' } } } } } }, `${at}.properties[l].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map`],
    [{ type: 'object', properties: { s: { type: 'string', pattern: '(' } } }, `${at}.properties[s].pattern: Invalid value: "(": must be a valid regular expression, but isn't: `],
  ];
  for (const [spec, message] of WRONG) {
    const answer = await withSpec(spec);
    assert.equal(answer.code, 422, answer.text);
    const causes = (answer.status.details?.causes ?? []).map((c) => `${c.field}: ${c.message}`);
    assert.ok(causes.some((c) => c.startsWith(message.replace(`${at}.properties[n].default in`, ' in')) || c.startsWith(message)), `${causes.join('\n')}\nlacks\n${message}`);
  }
});

test('names that are taken are refused until they are free', async () => {
  const other = { ...crd({ group: 'stable.example.com', names: { plural: 'others', kind: 'CronTab', shortNames: ['ct'] } }), metadata: { name: 'others.stable.example.com' } };
  assert.equal((await http.post(CRDS, other)).code, 201);
  const watch = await openWatch(http, `${CRDS}?watch=true&fieldSelector=metadata.name=others.stable.example.com`);
  let shown: Record<string, string> = {};
  while (!shown['NamesAccepted']) shown = conditions((await watch.next())!.object);
  watch.close();
  assert.deepEqual(shown, { NamesAccepted: 'False ListKindConflict: "CronTabList" is already in use', Established: 'False NotAccepted: not all names are accepted' });
  assert.equal((await http.get('/apis/stable.example.com/v1/namespaces/default/others')).code, 404);
  assert.equal((await http.call('DELETE', `${CRDS}/others.stable.example.com`)).code, 200);
});

test('a definition takes its instances with it, and its watches end', async () => {
  await http.call('PATCH', `${TABS}/one`, { body: { metadata: { finalizers: ['example.com/hold'] } }, headers: { 'content-type': 'application/merge-patch+json' } });
  const instances = await openWatch(http, `${TABS}?watch=true`);
  const deleted = await http.call('DELETE', `${CRDS}/crontabs.stable.example.com`);
  assert.equal(deleted.code, 200);
  assert.equal(conditions(deleted.json())['Terminating'], 'True InstanceDeletionPending: CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon');
  const watch = await openWatch(http, `${CRDS}?watch=true&fieldSelector=metadata.name=crontabs.stable.example.com`);
  for (;;) {
    const event = await watch.next();
    if (conditions(event!.object)['Terminating']?.includes('InstanceDeletionInProgress')) break;
  }
  const refused = await http.post(TABS, tab('late'));
  assert.deepEqual([refused.code, refused.status.message], [405, 'create not allowed while custom resource definition is terminating']);
  for (;;) {
    const left = (await http.get(TABS)).json<{ items: KubeObject[] }>().items.map((o) => o.metadata.name);
    if (left.length === 1) {
      assert.deepEqual(left, ['one']);
      break;
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  await http.call('PATCH', `${TABS}/one`, { body: { metadata: { finalizers: null } }, headers: { 'content-type': 'application/merge-patch+json' } });
  for (;;) {
    const event = await watch.next();
    if (event?.type === 'DELETED') break;
  }
  watch.close();
  while (await instances.next());
  assert.equal((await http.get(TABS)).code, 404);
  assert.equal((await http.get('/apis/stable.example.com')).code, 404);
});
