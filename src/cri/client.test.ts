import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { FakeClock } from '#base/fake-clock.ts';
import { connectCri } from './client.ts';
import { CriError } from './error.ts';
import { criCodec } from './schema.ts';
import { startGrpcServer } from './testing/grpc-server.ts';

const RUNTIME = '/runtime.v1.RuntimeService';

test('connectCri calls a method with the request and gives back the typed response', async () => {
  await using server = await startGrpcServer({
    [`${RUNTIME}/ContainerStatus`]: {
      handle: async ({ request }) => criCodec('ContainerStatusResponse').encode({ status: { id: criCodec('ContainerStatusRequest').decode(request).containerId, state: 'CONTAINER_EXITED', exitCode: 3 } }),
    },
  });
  const cri = connectCri({ endpoint: server.endpoint, clock: systemClock });
  try {
    const { status } = await cri.containerStatus({ containerId: 'abc' });
    assert.equal(status?.id, 'abc');
    assert.equal(status.state, 'CONTAINER_EXITED');
    assert.equal(status.exitCode, 3);
  } finally {
    cri.close();
  }
});

test('connectCri rejects with a CriError that has the code and the text of the server', async () => {
  await using server = await startGrpcServer({
    [`${RUNTIME}/StartContainer`]: { handle: async () => Promise.reject(Object.assign(new Error('container is gone'), { code: 5, details: 'container is gone' })) },
  });
  const cri = connectCri({ endpoint: server.endpoint, clock: systemClock });
  try {
    await assert.rejects(cri.startContainer({ containerId: 'x' }), (error: CriError) => error.code === 'NotFound' && error.message === 'rpc error: code = NotFound desc = container is gone');
    await assert.rejects(cri.status({}), (error: CriError) => error.code === 'Unimplemented');
  } finally {
    cri.close();
  }
});

test('connectCri cancels the call at the runtime when the signal aborts, and rejects with its reason', async () => {
  const arrived = Promise.withResolvers<void>();
  const cancelled = Promise.withResolvers<void>();
  await using server = await startGrpcServer({
    '/runtime.v1.ImageService/PullImage': {
      handle: async (call) => {
        arrived.resolve();
        await call.cancelled;
        cancelled.resolve();
      },
    },
  });
  const cri = connectCri({ endpoint: server.endpoint, clock: systemClock });
  try {
    const stop = new AbortController();
    const pull = cri.pullImage({ image: { image: 'nginx' } }, { signal: stop.signal });
    await arrived.promise;
    stop.abort(new Error('no longer wanted'));
    await assert.rejects(pull, /^Error: no longer wanted$/);
    await cancelled.promise;
    await assert.rejects(cri.version({}, { signal: stop.signal }), /no longer wanted/);
  } finally {
    cri.close();
  }
});

test('connectCri ends a call at its deadline on the injected clock: base, plus the timeout of a stop, none for a pull', async () => {
  const arrived: string[] = [];
  let wake = () => {};
  const hang = (name: string) => ({
    handle: async (call: { readonly cancelled: Promise<void> }) => {
      arrived.push(name);
      wake();
      await call.cancelled;
    },
  });
  await using server = await startGrpcServer({ [`${RUNTIME}/Version`]: hang('version'), [`${RUNTIME}/StopContainer`]: hang('stop'), '/runtime.v1.ImageService/PullImage': hang('pull') });
  const clock = new FakeClock();
  const cri = connectCri({ endpoint: server.endpoint, clock, requestTimeoutMs: 1000 });
  try {
    const settled: string[] = [];
    const stop = new AbortController();
    const note = (name: string, call: Promise<unknown>) => call.catch((error: unknown) => settled.push(`${name}: ${(error as Error).message}`));
    const calls = [note('version', cri.version({})), note('stop', cri.stopContainer({ containerId: 'x', timeout: 30 })), note('pull', cri.pullImage({}, { signal: stop.signal }))];
    while (arrived.length < 3) await new Promise<void>((resolve) => (wake = resolve));
    assert.equal(clock.timers, 2);
    await clock.advance(1000);
    await calls[0];
    assert.deepEqual(settled, ['version: rpc error: code = DeadlineExceeded desc = context deadline exceeded']);
    await clock.advance(30_000);
    await calls[1];
    assert.equal(settled.length, 2);
    stop.abort(new Error('end'));
    await calls[2];
    assert.equal(clock.timers, 0);
  } finally {
    cri.close();
  }
});

test('connectCri says what Go says when nothing listens', async () => {
  const cri = connectCri({ endpoint: '/nonexistent/cri.sock', clock: systemClock });
  try {
    await assert.rejects(cri.version({}), { message: 'rpc error: code = Unavailable desc = connection error: desc = "transport: Error while dialing: dial unix /nonexistent/cri.sock: connect: no such file or directory"' });
  } finally {
    cri.close();
  }
});

test('connectCri streams messages until the reader leaves, which cancels the call', async () => {
  const cancelled = Promise.withResolvers<void>();
  await using server = await startGrpcServer({
    [`${RUNTIME}/GetContainerEvents`]: {
      stream: true,
      handle: async (call) => {
        for (const containerId of ['a', 'b', 'c']) call.write(criCodec('ContainerEventResponse').encode({ containerId, containerEventType: 'CONTAINER_STARTED_EVENT' }));
        await call.cancelled;
        cancelled.resolve();
      },
    },
  });
  const cri = connectCri({ endpoint: server.endpoint, clock: systemClock });
  try {
    const seen: string[] = [];
    for await (const event of cri.getContainerEvents({})) {
      seen.push(event.containerId);
      if (seen.length === 2) break;
    }
    assert.deepEqual(seen, ['a', 'b']);
    await cancelled.promise;
  } finally {
    cri.close();
  }
});
