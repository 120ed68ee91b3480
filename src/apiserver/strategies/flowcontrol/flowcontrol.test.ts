import assert from 'node:assert/strict';
import { test } from 'node:test';
import { rowOf, tryCreate } from '../trial.ts';
import { flowschemas } from './flowschemas.ts';
import { prioritylevelconfigurations } from './prioritylevelconfigurations.ts';

const rule = { subjects: [{ kind: 'Group', group: { name: 'g' } }], nonResourceRules: [{ verbs: ['get'], nonResourceURLs: ['/healthz'] }] };
const schema = (spec: object, name = 'a') => tryCreate(flowschemas, { metadata: { name }, spec: { priorityLevelConfiguration: { name: 'p' }, rules: [rule], ...spec } });
const level = (spec: object, name = 'a') => tryCreate(prioritylevelconfigurations, { metadata: { name }, spec });

test('flowschemas has a precedence and rules', () => {
  const { object, errors } = schema({});
  assert.deepEqual([errors, (object['spec'] as { matchingPrecedence: number }).matchingPrecedence], [[], 1000]);
  assert.deepEqual(schema({ matchingPrecedence: 1 }).errors, ["spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1"]);
  assert.deepEqual(schema({ rules: [{ subjects: [{ kind: 'User', group: { name: 'g' } }] }] }).errors, [
    "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
    "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
    'spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty',
  ]);
  const fixed = schema({}, 'catch-all').errors;
  assert.equal(fixed.length, 1);
  assert.match(fixed[0]!, /^spec: Invalid value: .*: spec of 'catch-all' must equal the fixed value$/);
});
test('flowschemas row', () => {
  const row = rowOf(flowschemas, { ...schema({ distinguisherMethod: { type: 'ByUser' } }).object, status: { conditions: [{ type: 'Dangling', status: 'False' }] } });
  assert.deepEqual(row, { Name: 'a', PriorityLevel: 'p', MatchingPrecedence: 1000, DistinguisherMethod: 'ByUser', Age: '<unknown>', MissingPL: 'False' });
});
test('prioritylevelconfigurations is limited or exempt', () => {
  const queued = level({ type: 'Limited', limited: { limitResponse: { type: 'Queue', queuing: {} } } });
  assert.deepEqual([queued.errors, rowOf(prioritylevelconfigurations, queued.object)], [
    [], { Name: 'a', Type: 'Limited', NominalConcurrencyShares: 30, Queues: 64, HandSize: 8, QueueLengthLimit: 50, Age: '<unknown>' },
  ]);
  assert.deepEqual(level({ type: 'Exempt' }).errors, ["spec.type: Invalid value: \"Exempt\": must be 'Exempt' if and only if `name` is 'exempt'"]);
  assert.deepEqual(level({ type: 'Limited' }).errors, ['spec.limited: Required value: must not be empty when type is Limited']);
  assert.deepEqual(level({ type: 'Limited', limited: { limitResponse: { type: 'Queue', queuing: { queues: 512, handSize: 8 } } } }).errors, [
    'spec.limited.limitResponse.queuing.handSize: Invalid value: 8: required entropy bits of deckSize 512 and handSize 8 should not be greater than 60',
  ]);
});
