import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../arguments.ts';
import { token } from './token.ts';

const table: readonly (readonly [args: readonly string[], message: RegExp])[] = [
  [[], /^token: use "token create", "token list" or "token delete TOKEN_ID"$/],
  [['create', 'abcdef.0123456789abcdef'], /^token: use/],
  [['delete'], /^token: use/],
  [['create', '--ttl', 'soon'], /^--ttl "soon": must be a duration of a second or more such as 24h or 30m, or 0 for a token that does not expire$/],
  [['create', '--ttl', '10ms'], /^--ttl "10ms": /],
  [['create', '--ttl=-1h'], /^--ttl "-1h": /],
];
for (const [args, message] of table) {
  test(`token ${args.join(' ')}: a usage error`, () => assert.rejects(token([...args, '--data-dir', '/nonexistent']), (err: Error) => err instanceof UsageError && message.test(err.message)));
}
