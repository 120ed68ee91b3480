import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fieldPath } from '#machinery/field-errors.ts';
import { compileRule } from './cel-rule.ts';
import { celName, declare } from './cel-schema.ts';
import { validateSchemaExtensions } from './rule-checks.ts';
import type { Schema } from './schema.ts';

const root = (properties: Record<string, Schema>): Schema => ({ type: 'object', properties });
const errorsOf = (schema: Schema): string[] => validateSchemaExtensions(schema, fieldPath('openAPIV3Schema')).map((e) => `${e.field}: ${e.body}`);
const rules = (...texts: string[]) => ({ 'x-kubernetes-validations': texts.map((rule) => ({ rule })) });
const DEAR = '(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are declared)';

describe('celName', () => {
  const TABLE: readonly (readonly [string, string | undefined])[] = [['a', 'a'], ['a-b', 'a__dash__b'], ['a.b/c', 'a__dot__b__slash__c'], ['a__b', 'a__underscores__b'], ['in', '__in__'], ['1a', undefined], ['a b', undefined], ['ä', undefined]];
  for (const [property, name] of TABLE) it(`${property} is ${name}`, () => assert.equal(celName(property), name));
});
describe('compileRule', () => {
  /** Numbers as upstream computes them. */
  const TABLE: readonly (readonly [rule: string, schema: Schema, cost: number])[] = [
    ['self.a == self.b', root({ a: { type: 'integer' }, b: { type: 'integer' } }), 4],
    ['self.a == self.b', root({ a: { type: 'string' }, b: { type: 'string' } }), 314_577],
    ['self.a == self.b', root({ a: { type: 'string', maxLength: 10 }, b: { type: 'string' } }), 8],
    ['1 in self.a', root({ a: { type: 'array', items: { type: 'integer' } } }), 1_572_865],
    ['self.a.all(x, x > 0)', root({ a: { type: 'array', items: { type: 'integer' }, maxItems: 10 } }), 53],
    ["self.e in ['x', 'y']", root({ e: { type: 'string', enum: ['x', 'y'] } }), 14],
  ];
  for (const [rule, schema, cost] of TABLE) it(`${rule} costs at most ${cost}`, () => assert.equal(compileRule({ rule }, declare(schema, true)!)?.maxCost, cost));
});
describe('validateSchemaExtensions', () => {
  const string: Schema = { type: 'string' };
  it('accepts rules about the keys of maps, which have no size', () => {
    assert.deepEqual(errorsOf(root({ m: { type: 'object', maxProperties: 16, additionalProperties: { ...string, maxLength: 63 }, ...rules("self.all(key, key.split('/')[0].size() < 253)") } })), []);
  });
  it('multiplies the cost of a rule by how often it runs', () => {
    const at = 'openAPIV3Schema.properties[l].items.x-kubernetes-validations[0].rule';
    const list = (more: Schema): Schema => root({ l: { type: 'array', items: { ...string, maxLength: 1000, ...rules("self.matches('^[a-z]+$')") }, ...more } });
    assert.deepEqual(errorsOf(list({ maxItems: 100 })), []);
    assert.deepEqual(errorsOf(list({}))[0], `${at}: Forbidden: estimated rule cost exceeds budget by factor of 84.2x ${DEAR}`);
  });
  it('adds up the rules of a schema', () => {
    const dear = { type: 'array', maxItems: 1100, items: { type: 'integer' }, ...rules(...Array.from({ length: 22 }, () => 'self.all(x, self.exists(y, x == y))')) } as const;
    const errors = errorsOf(root({ l: dear }));
    assert.equal(errors.length, 5);
    assert.match(errors[0]!, /rule: Forbidden: contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema$/);
    assert.match(errors[4]!, /^openAPIV3Schema: Forbidden: x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema exceeds budget by factor of 1\.\d+x /);
  });
  it('refuses oldSelf where items cannot be found again', () => {
    const list = (more: Schema): Schema => root({ l: { type: 'array', maxItems: 3, items: { type: 'object', required: ['k'], properties: { k: { ...string, maxLength: 5 }, v: { type: 'integer', ...rules('self >= oldSelf') } } }, ...more } });
    assert.deepEqual(errorsOf(list({})), ['openAPIV3Schema.properties[l].items.properties[v].x-kubernetes-validations[0].rule: Invalid value: "self >= oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within openAPIV3Schema.properties[l]']);
    assert.deepEqual(errorsOf(list({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['k'] })), []);
  });
  it('checks defaults by the rules of their own schema', () => {
    assert.deepEqual(errorsOf(root({ a: { type: 'integer', default: -1, ...rules('self > 0') } })), ['openAPIV3Schema.properties[a].default: Invalid value: -1: failed rule: self > 0']);
    assert.deepEqual(errorsOf(root({ a: { type: 'object', default: { b: 1 }, properties: {} } })), ['openAPIV3Schema.properties[a].default: Invalid value: {"b":1}: must not have unknown fields']);
    assert.deepEqual(errorsOf(root({ metadata: { type: 'object', default: {} } })), ['openAPIV3Schema.properties[metadata].default: Forbidden: must not be set in top-level metadata']);
  });
});
