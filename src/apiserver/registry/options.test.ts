import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StatusError } from '#machinery/status-error.ts';
import { Query } from '../query.ts';
import { decodeContinue, encodeContinue, tokenExpired } from './continue-token.ts';
import { checkDeleteOptions, deleteOptionsOfQuery, listOptions, parseResourceVersion, writeOptions } from './options.ts';

const messageOf = (run: () => unknown): string => {
  try {
    run();
  } catch (err) {
    assert.ok(err instanceof StatusError);
    return `${err.code} ${err.message}`;
  }
  throw new Error('nothing was thrown');
};

test('writeOptions checks every option in upstream\'s words', () => {
  assert.deepEqual(writeOptions(Query.parse('dryRun=All&fieldManager=me&fieldValidation=Strict'), 'CreateOptions'), { dryRun: true, fieldManager: 'me', fieldValidation: 'Strict', fieldValidationGiven: true, force: false });
  assert.match(messageOf(() => writeOptions(Query.parse('dryRun=Some'), 'CreateOptions')), /^422 CreateOptions\.meta\.k8s\.io "" is invalid: dryRun: Unsupported value: /);
  assert.match(messageOf(() => writeOptions(Query.parse(`fieldManager=${'x'.repeat(129)}`), 'UpdateOptions')), /fieldManager: Too long: may not be more than 128 bytes/);
  assert.match(messageOf(() => writeOptions(Query.parse('fieldManager=a%00b'), 'UpdateOptions')), /invalid character U\+0000 \(at position 1\)/);
  assert.match(messageOf(() => writeOptions(Query.empty, 'PatchOptions', true)), /fieldManager: Required value: is required for apply patch/);
  assert.match(messageOf(() => writeOptions(Query.parse('force=true'), 'PatchOptions')), /force: Forbidden: may not be specified for non-apply patch/);
});

test('listOptions checks resourceVersionMatch', () => {
  const refused = (query: string, watch = false) => messageOf(() => listOptions(Query.parse(query), watch));
  assert.match(refused('resourceVersionMatch=Sometimes&resourceVersion=1'), /resourceVersionMatch: Unsupported value: "Sometimes"/);
  assert.match(refused('resourceVersionMatch=Exact&resourceVersion=0'), /resourceVersionMatch "exact" is forbidden for resourceVersion "0"/);
  assert.match(refused('sendInitialEvents=true'), /sendInitialEvents is forbidden for list/);
  assert.match(refused('resourceVersionMatch=NotOlderThan', true), /resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided/);
  assert.equal(listOptions(Query.parse('sendInitialEvents=true&resourceVersionMatch=NotOlderThan'), true).sendInitialEvents, true);
});

test('parseResourceVersion takes numbers alone', () => {
  assert.equal(parseResourceVersion(''), 0);
  assert.equal(parseResourceVersion('12'), 12);
  assert.equal(messageOf(() => parseResourceVersion('-1')), '400 resourceVersion: Invalid value: "-1": strconv.ParseUint: parsing "-1": invalid syntax');
  assert.match(messageOf(() => parseResourceVersion('99999999999999999999999')), /value out of range$/);
});

test('checkDeleteOptions reads both forms and knows the policies', () => {
  assert.deepEqual(checkDeleteOptions(deleteOptionsOfQuery(Query.parse('gracePeriodSeconds=-5&propagationPolicy=Orphan&dryRun=All'))), { gracePeriodSeconds: 1, preconditions: undefined, orphanDependents: undefined, propagationPolicy: 'Orphan', dryRun: true });
  assert.match(messageOf(() => checkDeleteOptions({ orphanDependents: true, propagationPolicy: 'Orphan' })), /orphanDependents and deletionPropagation cannot be both set/);
  assert.match(messageOf(() => checkDeleteOptions({ propagationPolicy: 'X' })), /propagationPolicy: Unsupported value: "X": supported values: "Foreground", "Background", "Orphan", "nil"/);
});

test('continue tokens go there and back, and never leave their list', () => {
  const token = encodeContinue('/registry/pods/default/web', '/registry/pods/', 7);
  assert.deepEqual(decodeContinue(token, '/registry/pods/'), { revision: 7, startKey: '/registry/pods/default/web\0' });
  const forged = (start: unknown, rv: unknown = 1, v: unknown = 'meta.k8s.io/v1') => Buffer.from(JSON.stringify({ v, rv, start })).toString('base64url');
  for (const bad of ['!', 'abc', forged('../secrets/x'), forged('/x'), forged(''), forged('a', 0), forged('a', 'x'), forged('a', 1, 'v2')]) {
    assert.match(messageOf(() => decodeContinue(bad, '/registry/pods/')), /^400 invalid continue token: continue key is not valid: /);
  }
  const again = tokenExpired(decodeContinue(token, '/registry/pods/'), '/registry/pods/');
  assert.equal(again.code, 410);
  assert.deepEqual(decodeContinue(again.status.metadata.continue!, '/registry/pods/'), { revision: -1, startKey: '/registry/pods/default/web\0' });
});
