import assert from 'node:assert/strict';
import { test } from 'node:test';
import { activeSpan, inSpan, withSpan, type Span } from './tracing.ts';

class FakeSpan implements Span {
  readonly traceparent: string;
  readonly log: string[];
  constructor(name: string, log: string[]) {
    this.traceparent = name;
    this.log = log;
  }
  setAttributes(): void {}
  child(name: string): Span {
    this.log.push(`${this.traceparent} > ${name}`);
    return new FakeSpan(name, this.log);
  }
  end(error?: Error): void {
    this.log.push(`${this.traceparent} ${error ? error.message : 'ends'}`);
  }
}

test('withSpan makes children of the active span, through promises, and ends them with what was thrown', async () => {
  const log: string[] = [];
  await inSpan(new FakeSpan('root', log), async () => {
    await withSpan('a', {}, async () => {
      await Promise.resolve();
      assert.equal(activeSpan()?.traceparent, 'a');
      await assert.rejects(withSpan('b', {}, () => Promise.reject(new Error('broken'))), /broken/);
    });
    assert.equal(activeSpan()?.traceparent, 'root');
  });
  assert.deepEqual(log, ['root > a', 'a > b', 'b broken', 'a ends']);
});

test('without a tracer withSpan is the call itself', async () => {
  assert.equal(activeSpan(), undefined);
  const answer = Promise.resolve(1);
  assert.equal(withSpan('a', {}, () => answer), answer);
});
