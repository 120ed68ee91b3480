import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ApiServer } from '#apiserver/server.ts';
import { componentUser, inProcessTransport } from './in-process-transport.ts';

const server = { call: () => Promise.resolve({}), watch: () => assert.fail('nobody watches') } as unknown as ApiServer;

test('who calls without a pause lets timers and connections have their turn', async () => {
  const transport = inProcessTransport(server, componentUser('somebody'), 'test');
  let turns = 0;
  let over = false;
  const count = (): void => {
    turns++;
    if (!over) setImmediate(count);
  };
  setImmediate(count);
  for (let i = 0; i < 1000; i++) await transport.call({} as never);
  over = true;
  assert.ok(turns >= 9, `${turns} turns`);
});
