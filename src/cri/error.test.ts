import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CriError, isCriError } from './error.ts';

test('CriError prints as Go prints an rpc error', () => {
  assert.equal(new CriError('NotFound', 'x: not found').message, 'rpc error: code = NotFound desc = x: not found');
});

test('CriError.from maps the numeric code and the details of a gRPC error', () => {
  const error = CriError.from({ code: 5, details: 'no such thing', message: '5 NOT_FOUND: no such thing' });
  assert.equal(error.code, 'NotFound');
  assert.equal(error.desc, 'no such thing');
  assert.equal(isCriError(error, 'NotFound'), true);
  assert.equal(isCriError(new Error('x'), 'NotFound'), false);
});

test('CriError.from takes what is no gRPC error as Unknown and keeps it as the cause', () => {
  const cause = new TypeError('boom');
  const error = CriError.from(cause);
  assert.equal(error.message, 'rpc error: code = Unknown desc = boom');
  assert.equal(error.cause, cause);
  assert.equal(CriError.from(error), error);
});

test('CriError.from says a failed connection in the words of Go', () => {
  const from = (details: string) => CriError.from({ code: 14, details }, 'unix:///run/c.sock').desc;
  assert.equal(from('No connection established. Last error: Error: connect ENOENT /run/c.sock'), 'connection error: desc = "transport: Error while dialing: dial unix /run/c.sock: connect: no such file or directory"');
  assert.equal(from('No connection established. Last error: Error: connect ECONNREFUSED /run/c.sock'), 'connection error: desc = "transport: Error while dialing: dial unix /run/c.sock: connect: connection refused"');
  assert.equal(from('read ECONNRESET'), 'error reading from server: connection reset by peer');
  assert.equal(from('shutting down'), 'shutting down');
});
