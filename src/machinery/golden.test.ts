/** Upstream's golden fixtures, where `test/vectors/fetch-golden-fixtures.ts` has put them (or PODYARD_GOLDEN_FIXTURES names their folder). */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { splitApiVersion } from '#api/object.ts';
import { RESOURCES } from '#api/resources.ts';
import { structByKind } from '#api/schema.ts';
import { decodeInto } from './decode.ts';
import { normalise } from './normalise.ts';
import { decodeMessage, decodeObject, encodeMessage, encodeObject } from './protobuf.ts';

const folder = process.env['PODYARD_GOLDEN_FIXTURES'] ?? fileURLToPath(new URL('../../.cache/golden-fixtures', import.meta.url));
const skip = existsSync(folder) ? false : `no golden fixtures in ${folder}: run test/vectors/fetch-golden-fixtures.ts`;

/** Each fixture whose kind release 1.36's facts have: its type, its JSON, its protobuf. */
function* fixtures() {
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.json')).toSorted()) {
    const json = JSON.parse(readFileSync(`${folder}/${file}`, 'utf8')) as Record<string, unknown>;
    if (typeof json['apiVersion'] !== 'string' || typeof json['kind'] !== 'string') continue;
    const { group, version } = splitApiVersion(json['apiVersion']);
    const type = structByKind(group, version, json['kind']);
    if (type) yield { file, type, json, pb: readFileSync(`${folder}/${file.replace(/json$/, 'pb')}`) };
  }
}

test('golden fixtures: every kind that is served is among them', { skip }, () => {
  const found = new Set([...fixtures()].map(({ json }) => `${json['apiVersion'] as string}/${json['kind'] as string}`));
  const elsewhere = new Set(['apiregistration.k8s.io/v1/APIService']); // Debian has no package with its fixtures
  const missing = RESOURCES.map((r) => `${r.group === '' ? '' : `${r.group}/`}${r.version}/${r.kind}`).filter((id) => !found.has(id) && !elsewhere.has(id));
  assert.deepEqual(missing, []);
});

test('golden fixtures: JSON decodes without complaint and is in normal form', { skip }, () => {
  for (const { file, type, json } of fixtures()) {
    const decoded = decodeInto(type, json);
    assert.deepEqual([decoded.errors, decoded.unknown], [[], []], file);
    assert.deepEqual(normalise(type, decoded.object), json, file);
  }
});

test('golden fixtures: protobuf is written byte for byte', { skip }, () => {
  for (const { file, type, json, pb } of fixtures()) assert.ok(encodeObject(json, type).equals(pb), file);
});

test('golden fixtures: protobuf decodes to the same JSON', { skip }, () => {
  for (const { file, type, json, pb } of fixtures()) assert.deepEqual(normalise(type, decodeObject(pb)), json, file);
});

test('golden fixtures: a watch event without envelope', { skip }, () => {
  const type = structByKind('', 'v1', 'WatchEvent')!;
  const json = JSON.parse(readFileSync(`${folder}/core.v1.WatchEvent.json`, 'utf8')) as unknown;
  const message = encodeMessage(type, json);
  assert.ok(readFileSync(`${folder}/core.v1.WatchEvent.pb`).includes(message));
  assert.deepEqual(decodeMessage(type, message), json);
});
