import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownSource } from './resolve-sources.ts';

test('ownSource finds our modules where Node finds them, and leaves the rest to Node', () => {
  for (const specifier of ['#base/clock.ts', '#apiserver/http/exchange.ts', './podyard.ts', '../base/clock.ts', './commands/up.ts']) {
    assert.equal(ownSource(specifier, import.meta.url), import.meta.resolve(specifier), specifier);
  }
  for (const specifier of ['lmdb', 'node:fs', '@grpc/grpc-js', './package.json', '#base/clock.js']) assert.equal(ownSource(specifier, import.meta.url), undefined, specifier);
  assert.equal(ownSource('./index.ts', 'file:///elsewhere/a.ts'), undefined);
});
