import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Secret, ServiceAccount } from '#api/gen/core-v1.ts';
import { judge } from './legacy-serviceaccount-token-cleaner.ts';

const NOW = Date.parse('2026-06-15T12:00:00Z');
const ACCOUNT: ServiceAccount = { metadata: { name: 'a', namespace: 'n', uid: 'u' }, secrets: [{ name: 't' }] };
const token = (creationTimestamp: string, labels: Record<string, string> = {}, uid = 'u'): Secret => ({ metadata: { name: 't', namespace: 'n', creationTimestamp, labels, annotations: { 'kubernetes.io/service-account.name': 'a', 'kubernetes.io/service-account.uid': uid } }, type: 'kubernetes.io/service-account-token' });
const OLD = '2024-01-01T00:00:00Z';
const used = (day: string, invalid?: string) => ({ 'kubernetes.io/legacy-token-last-used': day, ...(invalid === undefined ? {} : { 'kubernetes.io/legacy-token-invalid-since': invalid }) });

test('tokens that nobody uses are marked, and go a year later', () => {
  assert.equal(judge(token('2026-01-01T00:00:00Z'), ACCOUNT, NOW), 'keep');
  assert.equal(judge(token(OLD), ACCOUNT, NOW), 'mark');
  assert.equal(judge(token(OLD, used('2026-06-01')), ACCOUNT, NOW), 'keep');
  assert.equal(judge(token(OLD, used('someday')), ACCOUNT, NOW), 'keep');
  assert.equal(judge(token(OLD, used('2025-06-14')), ACCOUNT, NOW), 'mark');
  assert.equal(judge(token(OLD, used('2024-06-14', '2025-06-15')), ACCOUNT, NOW), 'keep');
  assert.equal(judge(token(OLD, used('2024-06-14', '2025-06-14')), ACCOUNT, NOW), 'delete');
});

test('tokens that somebody asked for stay, as do those of other accounts', () => {
  assert.equal(judge(token(OLD), undefined, NOW), 'keep');
  assert.equal(judge(token(OLD), { ...ACCOUNT, secrets: [] }, NOW), 'keep');
  assert.equal(judge(token(OLD, {}, 'other'), ACCOUNT, NOW), 'keep');
});
