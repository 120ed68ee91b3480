/** Upstream's golden fixtures, where `test/vectors/fetch-golden-fixtures.ts` has put them (or PODYARD_GOLDEN_FIXTURES names their folder). */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { splitApiVersion, type KubeObject } from '#api/object.ts';
import { ALL_RESOURCES } from '#api/resources.ts';
import { structByKind, type StructType } from '#api/schema.ts';
import { decodeInto } from './decode.ts';
import { normalise } from './normalise.ts';
import { objectText } from './object-text.ts';
import { decodeMessage, decodeObject, encodeMessage, encodeObject, encodeWatchFrame } from './protobuf.ts';
import { dumpYaml, parseYaml } from './yaml.ts';

const folder = process.env['PODYARD_GOLDEN_FIXTURES'] ?? fileURLToPath(new URL('../../.cache/golden-fixtures', import.meta.url));
const skip = existsSync(`${folder}/core.v1.Pod.yaml`) ? false : `no golden fixtures, or old ones, in ${folder}: run test/vectors/fetch-golden-fixtures.ts`;

interface Fixture {
  readonly file: string;
  readonly type: StructType;
  readonly text: string;
  readonly json: Record<string, unknown>;
  readonly yaml: string;
  readonly pb: Buffer;
}
/** Each fixture whose kind release 1.36's facts have; the names of the others. */
function readFixtures(): { readonly known: readonly Fixture[]; readonly others: readonly string[] } {
  const known: Fixture[] = [];
  const others: string[] = [];
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.json')).toSorted()) {
    const text = readFileSync(`${folder}/${file}`, 'utf8');
    const json = JSON.parse(text) as Record<string, unknown>;
    const { group, version } = splitApiVersion(String(json['apiVersion'] ?? ''));
    const type = structByKind(group, version, String(json['kind'] ?? ''));
    const name = file.slice(0, -'.json'.length);
    if (type) known.push({ file, type, text, json, yaml: readFileSync(`${folder}/${name}.yaml`, 'utf8'), pb: readFileSync(`${folder}/${name}.pb`) });
    else others.push(name);
  }
  return { known, others };
}
const { known: fixtures, others } = skip ? { known: [], others: [] } : readFixtures();

test('golden fixtures: every kind that is served is among them', { skip }, () => {
  const found = new Set(fixtures.map(({ json }) => `${json['apiVersion'] as string}/${json['kind'] as string}`));
  const elsewhere = new Set(['apiregistration.k8s.io/v1/APIService']); // Debian has no package with its fixtures
  const missing = ALL_RESOURCES.map((r) => `${r.group === '' ? '' : `${r.group}/`}${r.version}/${r.kind}`).filter((id) => !found.has(id) && !elsewhere.has(id));
  assert.deepEqual(missing, []);
});

test('golden fixtures: JSON decodes without complaint and is in normal form', { skip }, () => {
  for (const { file, type, json } of fixtures) {
    const decoded = decodeInto(type, json);
    assert.deepEqual([decoded.errors, decoded.unknown], [[], []], file);
    assert.deepEqual(normalise(type, decoded.object), json, file);
  }
});

/** Versions that release 1.36 serves nobody who does not ask for them, or no longer; and reviews that go to servers of others. */
const NOT_SERVED = /^(admission|apiextensions|apidiscovery)\.k8s\.io\.v[12]beta1\.|\.v1alpha\d\.|^imagepolicy|^apps\.v1beta\d\.|^extensions\.|^(authentication|authorization|discovery|events|node|rbac\.authorization|scheduling|storagemigration)\.k8s\.io\.v1beta1\.|^flowcontrol\.apiserver\.k8s\.io\.v1beta\d\.|^(batch|policy)\.v1beta1\./;
test('golden fixtures: those left out are of versions that are not served', { skip }, () => {
  assert.deepEqual(others.filter((name) => !NOT_SERVED.test(name)), ['core.v1.WatchEvent']); // which has no apiVersion of its own, and a test below
  assert.ok(fixtures.length > 115, `${fixtures.length} kinds`);
});

test('golden fixtures: JSON is written byte for byte, its fields in upstream’s order', { skip }, () => {
  for (const { file, type, text, json } of fixtures) assert.equal(objectText(normalise(type, decodeInto(type, json).object) as unknown as KubeObject, 2), text, file);
});

test('golden fixtures: YAML is written byte for byte, and read to the same JSON', { skip }, () => {
  for (const { file, json, yaml } of fixtures) {
    assert.equal(dumpYaml(json), yaml, file);
    assert.deepEqual(parseYaml(yaml), json, file);
  }
});

test('golden fixtures: protobuf is written byte for byte', { skip }, () => {
  for (const { file, type, json, pb } of fixtures) assert.ok(encodeObject(json, type).equals(pb), file);
});

test('golden fixtures: protobuf decodes to the same JSON', { skip }, () => {
  for (const { file, type, json, pb } of fixtures) assert.deepEqual(normalise(type, decodeObject(pb)), json, file);
});

test('golden fixtures: a watch event without envelope', { skip }, () => {
  const type = structByKind('', 'v1', 'WatchEvent')!;
  const json = JSON.parse(readFileSync(`${folder}/core.v1.WatchEvent.json`, 'utf8')) as unknown;
  const message = encodeMessage(type, json);
  assert.ok(readFileSync(`${folder}/core.v1.WatchEvent.pb`).includes(message));
  assert.deepEqual(decodeMessage(type, message), json);
});

/** A length-delimited field, written for this test alone. */
function field(number: number, bytes: Uint8Array): Buffer {
  const length: number[] = [];
  let rest = bytes.length;
  do {
    length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    rest >>>= 7;
  } while (rest > 0);
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}
test('golden fixtures: a frame of a watch holds every kind’s own bytes', { skip }, () => {
  for (const { file, type, json, pb } of fixtures) {
    const event = Buffer.concat([field(1, Buffer.from('MODIFIED')), field(2, field(1, pb))]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(event.length);
    assert.ok(encodeWatchFrame('MODIFIED', encodeObject(json, type)).equals(Buffer.concat([length, event])), file);
  }
});
