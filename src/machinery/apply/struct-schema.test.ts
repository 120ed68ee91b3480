import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { facts, structByFactsName, structByKind, type StructType } from '#api/schema.ts';
import { violationsOf } from './validate.ts';
import type { ApplySchema } from './schema.ts';
import { structSchema } from './struct-schema.ts';

test('structSchema resolves recursive types', () => {
  const crd = structSchema(structByKind('apiextensions.k8s.io', 'v1', 'CustomResourceDefinition')!);
  const nested = { spec: { versions: [{ name: 'v1', schema: { openAPIV3Schema: { properties: { a: { properties: { b: { type: 'string' } } } } } } }] } };
  assert.equal(violationsOf(nested, crd), undefined);
});

test('structSchema gives list keys their defaults', () => {
  const service = structSchema(structByKind('', 'v1', 'Service')!);
  const spec = service.fields.get('spec');
  const ports = spec?.kind === 'map' ? spec.fields.get('ports') : undefined;
  assert.ok(ports?.kind === 'list');
  assert.deepEqual([ports.relationship, ports.keys, ports.keyDefaults], ['map', ['port', 'protocol'], { port: 0, protocol: 'TCP' }]);
});

interface Definition {
  readonly type?: string;
  readonly $ref?: string;
  readonly items?: Definition;
  readonly additionalProperties?: Definition;
  readonly properties?: Readonly<Record<string, Definition>>;
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-map-type'?: string;
  readonly 'x-kubernetes-patch-strategy'?: string;
  readonly 'x-kubernetes-patch-merge-key'?: string;
}
const reference = new URL('../../../../shared/data/openapi-facts-1.36.json', import.meta.url);

/** How a schema merges, as one line; `target` is what a reference in the OpenAPI document points to. */
function describe(schema: ApplySchema): string {
  if (schema.kind === 'list') return `list ${schema.relationship} ${schema.keys.join(',')}`;
  return schema.kind === 'map' ? `map ${schema.atomic ? 'atomic' : 'granular'}` : schema.kind;
}
function expected(prop: Definition, target: Definition | undefined): string {
  if (prop.type === 'array') return `list ${prop['x-kubernetes-list-type'] ?? 'atomic'} ${(prop['x-kubernetes-list-map-keys'] ?? []).toSorted().join(',')}`;
  // The OpenAPI document does not say it, but somebody else's object is owned as a whole (an untyped value is atomic for server-side apply).
  if (prop.$ref?.endsWith('.RawExtension')) return 'map atomic';
  const mapType = prop['x-kubernetes-map-type'] ?? target?.['x-kubernetes-map-type'];
  if (prop.type === 'object' || target?.type === 'object') return `map ${mapType === 'atomic' ? 'atomic' : 'granular'}`;
  return 'scalar';
}

test('the table of facts merges as the OpenAPI document says', { skip: existsSync(reference) ? false : 'no reference document here' }, () => {
  const { definitions } = JSON.parse(readFileSync(reference, 'utf8')) as { definitions: Record<string, Definition> };
  const types = new Map(Object.keys(facts().types).map((name): [string, StructType] => [structByFactsName(name).name, structByFactsName(name)]));
  const wrong: string[] = [];
  let compared = 0;
  for (const [name, type] of types) {
    const definition = definitions[name];
    if (!definition?.properties) continue;
    for (const [fieldName, schema] of structSchema(type).fields) {
      const prop = definition.properties[fieldName];
      const field = type.fields.get(fieldName)!;
      if (!prop) continue;
      compared++;
      const target = prop.$ref === undefined ? undefined : definitions[prop.$ref.slice('#/definitions/'.length)];
      const [got, want] = [describe(schema), expected(prop, target)];
      // A value of any shape, and a struct that is text on the wire, are said differently in OpenAPI.
      if (schema.kind !== 'untyped' && got !== want) wrong.push(`${name}.${fieldName}: ${got}, not ${want}`);
      const patch = `${field.patchStrategy?.join(',') ?? ''} ${field.patchMergeKey ?? ''}`;
      const wantPatch = `${prop['x-kubernetes-patch-strategy'] ?? ''} ${prop['x-kubernetes-patch-merge-key'] ?? ''}`;
      if (patch !== wantPatch) wrong.push(`${name}.${fieldName}: patch ${patch}, not ${wantPatch}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(compared > 2000, `${compared} fields`);
});
