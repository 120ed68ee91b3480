/** Integers of 64 bits in custom resources: none of their digits is lost on any way in or out. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { openMemoryStore } from '#store/memory.ts';
import { startServer, type Fixture } from './fixture.ts';
import { openWatch, Requests, type CallOptions } from './requests.ts';

const store = openMemoryStore();
const LARGE = '9007199254740993';
const MAX = '9223372036854775807';
const PATH = '/apis/example.com/v1/namespaces/default/ledgers';
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
let fixture: Fixture;
let http: Requests;
async function start(): Promise<void> {
  fixture = await startServer({ store });
  http = new Requests(fixture);
}
before(async () => {
  await start();
  const watch = await openWatch(http, `${CRDS}?watch=true&fieldSelector=metadata.name=ledgers.example.com`);
  const spec = {
    type: 'object', 'x-kubernetes-validations': [{ rule: `!has(self.total) || self.total != ${LARGE} + 1`, message: 'one too many' }],
    properties: {
      total: { type: 'integer', format: 'int64', minimum: 0 }, limit: { type: 'integer', default: 'LIMIT' }, set: { type: 'array', items: { type: 'integer' }, 'x-kubernetes-list-type': 'set' },
      free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
    },
  };
  const definition = JSON.stringify({
    apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata: { name: 'ledgers.example.com' },
    spec: {
      group: 'example.com', scope: 'Namespaced', names: { plural: 'ledgers', kind: 'Ledger' },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object', properties: { spec } } }, additionalPrinterColumns: [{ name: 'Total', type: 'integer', jsonPath: '.spec.total' }], selectableFields: [{ jsonPath: '.spec.total' }] }],
    },
  }).replace('"LIMIT"', MAX);
  const made = await http.post(CRDS, definition);
  assert.equal(made.code, 201, made.text);
  for (;;) {
    const { status } = (await watch.next())!.object as unknown as { status?: { conditions?: { type: string; status: string }[] } };
    if (status?.conditions?.some((c) => c.type === 'Established' && c.status === 'True')) break;
  }
  watch.close();
});
after(async () => {
  http.close();
  await fixture.close();
});

/** The text of `spec` in an answer. */
async function specOf(method: string, path: string, options: CallOptions = {}): Promise<string> {
  const answer = await http.call(method, path, options);
  assert.ok(answer.code < 300, answer.text);
  return /"spec":(\{.*?\})(,"status"|\}$|\}\n$|,"metadata"|,"kind")/.exec(answer.text.trim())?.[1] ?? answer.text;
}
const ledger = (name: string, spec: string): string => `{"apiVersion":"example.com/v1","kind":"Ledger","metadata":{"name":"${name}"},"spec":${spec}}`;

test('JSON, YAML and defaults keep their digits', async () => {
  assert.equal(await specOf('POST', PATH, { body: ledger('a', `{"total":${LARGE},"set":[${LARGE},${MAX}],"free":{"n":-${LARGE}}}`) }), `{"free":{"n":-${LARGE}},"limit":${MAX},"set":[${LARGE},${MAX}],"total":${LARGE}}`);
  const yaml = `apiVersion: example.com/v1\nkind: Ledger\nmetadata:\n  name: b\nspec:\n  total: ${LARGE}\n`;
  assert.equal(await specOf('POST', PATH, { body: yaml, headers: { 'content-type': 'application/yaml' } }), `{"limit":${MAX},"total":${LARGE}}`);
  const shown = await http.get(`${PATH}/b`, { accept: 'application/yaml' });
  assert.match(shown.text, new RegExp(`^  total: ${LARGE}$`, 'm'));
});

test('patches of every kind keep them', async () => {
  const patch = (type: string, body: string, query = '') => specOf('PATCH', `${PATH}/b${query}`, { body, headers: { 'content-type': `application/${type}` } });
  assert.match(await patch('merge-patch+json', `{"spec":{"limit":${LARGE}}}`), new RegExp(`"limit":${LARGE}`));
  assert.match(await patch('json-patch+json', `[{"op":"test","path":"/spec/total","value":${LARGE}},{"op":"replace","path":"/spec/total","value":${MAX}}]`), new RegExp(`"total":${MAX}`));
  const conflict = await http.call('PATCH', `${PATH}/b`, { body: '[{"op":"test","path":"/spec/total","value":9223372036854775806}]', headers: { 'content-type': 'application/json-patch+json' } });
  assert.equal(conflict.code, 422);
  const applied = `apiVersion: example.com/v1\nkind: Ledger\nmetadata: {name: c}\nspec: {total: ${LARGE}, set: [${LARGE}, ${MAX}]}\n`;
  for (let i = 0; i < 2; i++) assert.match(await specOf('PATCH', `${PATH}/c?fieldManager=me`, { body: applied, headers: { 'content-type': 'application/apply-patch+yaml' } }), new RegExp(`"set":\\[${LARGE},${MAX}\\]`));
  assert.match((await http.get(`${PATH}/c`)).text, new RegExp(`"v:${LARGE}":\\{\\}`));
});

test('schemas and rules judge the number that was written', async () => {
  const refused = await http.post(PATH, ledger('d', '{"total":9007199254740994}'));
  assert.match(refused.status.message!, /one too many$/);
  assert.match((await http.post(PATH, ledger('d', `{"total":-${LARGE}}`))).status.message!, new RegExp(`spec\\.total: Invalid value: -${LARGE}: spec\\.total in body should be greater than or equal to 0`));
  assert.match((await http.post(PATH, ledger('d', '{"total":1.5}'))).status.message!, /spec\.total in body must be of type int64: "float64"/);
});

test('watches, selectors, tables and a restart show all of them', async () => {
  const watch = await http.open('GET', `${PATH}?watch=true&fieldSelector=spec.total=${LARGE}`);
  const [first] = (await watch[Symbol.asyncIterator]().next()).value.toString().split('\n') as [string];
  watch.destroy();
  assert.match(first, new RegExp(`"total":${LARGE}`));
  const table = await http.get(PATH, { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' });
  assert.match(table.text, new RegExp(`"cells":\\["a",${LARGE}\\]`));
  http.close();
  await fixture.close();
  await start();
  assert.match((await http.get(`${PATH}/a`)).text, new RegExp(`"free":\\{"n":-${LARGE}\\},"limit":${MAX},"set":\\[${LARGE},${MAX}\\],"total":${LARGE}`));
});
