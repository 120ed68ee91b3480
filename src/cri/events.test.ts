import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '#base/clock.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { connectCri } from './client.ts';
import { runtimeEvents, type RuntimeEvent } from './events.ts';
import { fakeRuntime } from './fake-runtime.ts';
import { criCodec } from './schema.ts';
import { startGrpcServer, type RawHandler } from './testing/grpc-server.ts';

/** A length-delimited protobuf field; `number` in front is its field number. */
function text(number: number, value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}
function envelope(topic: string, event: Buffer): Buffer {
  return Buffer.concat([text(1, Buffer.from([8, 100])), text(2, 'k8s.io'), text(3, topic), text(4, Buffer.concat([text(1, 'x'), text(2, event)]))]);
}
const version: { handle: RawHandler } = { handle: async () => criCodec('VersionResponse').encode({ runtimeName: 'test' }) };

test('runtimeEvents gives the CRI events of a runtime that has them, after a Resync', async () => {
  const clock = new FakeClock();
  const runtime = fakeRuntime({ clock, anyImage: true });
  const stop = new AbortController();
  const events = runtimeEvents({ runtime, clock, signal: stop.signal });
  assert.deepEqual((await events.next()).value, { type: 'Resync' });
  const { podSandboxId } = await runtime.runPodSandbox({ config: { metadata: { name: 'p', uid: 'u', namespace: 'default' } } });
  assert.deepEqual((await events.next()).value, { type: 'ContainerCreated', containerId: podSandboxId, atMs: clock.now() });
  assert.equal(((await events.next()).value as RuntimeEvent).type, 'ContainerStarted');
  stop.abort();
  assert.equal((await events.next()).done, true);
});

test('runtimeEvents subscribes again after a failure, backing off, and says Resync again', async () => {
  let connections = 0;
  await using server = await startGrpcServer({
    '/runtime.v1.RuntimeService/Version': version,
    '/runtime.v1.RuntimeService/GetContainerEvents': {
      stream: true,
      handle: async (call) => {
        call.write(criCodec('ContainerEventResponse').encode({ containerId: `c${++connections}`, containerEventType: 'CONTAINER_STOPPED_EVENT', createdAt: 5e6 }));
        if (connections > 1) await call.cancelled;
        else throw Object.assign(new Error('restarting'), { code: 14, details: 'restarting' });
      },
    },
  });
  const runtime = connectCri({ endpoint: server.endpoint, clock: systemClock });
  const stop = new AbortController();
  const seen: RuntimeEvent[] = [];
  for await (const event of runtimeEvents({ runtime, clock: systemClock, signal: stop.signal })) {
    seen.push(event);
    if (event.type === 'ContainerStopped' && event.containerId === 'c2') stop.abort();
  }
  runtime.close();
  assert.deepEqual(seen.slice(-2), [{ type: 'Resync' }, { type: 'ContainerStopped', containerId: 'c2', atMs: 5 }]);
  assert.equal(connections, 2);
});

test('runtimeEvents falls back to the native events, leaves out exits of executed commands, and waits for the CRI status of an exit', async () => {
  let send: (message: Buffer) => void = () => {};
  let asked = 0;
  let filters = '';
  await using server = await startGrpcServer({
    '/runtime.v1.RuntimeService/Version': version,
    '/runtime.v1.RuntimeService/ContainerStatus': { handle: async () => criCodec('ContainerStatusResponse').encode({ status: { id: 'c', state: ++asked < 3 ? 'CONTAINER_RUNNING' : 'CONTAINER_EXITED' } }) },
    '/containerd.services.events.v1.Events/Subscribe': {
      stream: true,
      handle: async (call) => {
        filters = call.request.toString();
        send = call.write;
        await call.cancelled;
      },
    },
    '/containerd.services.events.v1.Events/Publish': {
      handle: async ({ request }) => {
        const topic = request.subarray(2, 2 + request[1]!).toString();
        send(envelope(topic, Buffer.alloc(0)));
      },
    },
  });
  const runtime = connectCri({ endpoint: server.endpoint, clock: systemClock });
  const stop = new AbortController();
  const seen: RuntimeEvent[] = [];
  for await (const event of runtimeEvents({ runtime, clock: systemClock, signal: stop.signal })) {
    if (event.type === 'Resync') {
      send(envelope('/containers/create', text(1, 'c')));
      send(envelope('/tasks/start', text(1, 'c')));
      send(envelope('/tasks/exit', Buffer.concat([text(1, 'c'), text(2, 'exec-1')])));
      send(envelope('/tasks/exit', Buffer.concat([text(1, 'c'), text(2, 'c'), Buffer.from([0x20, 7]), text(5, Buffer.from([8, 90]))])));
      send(envelope('/containers/delete', text(1, 'c')));
    } else if (event.type === 'ContainerStopped') assert.equal(asked, 3);
    seen.push(event);
    if (event.type === 'ContainerDeleted') stop.abort();
  }
  runtime.close();
  assert.deepEqual(seen.map((e) => e.type), ['Resync', 'ContainerCreated', 'ContainerStarted', 'ProcessEnded', 'ContainerStopped', 'ContainerDeleted']);
  assert.deepEqual(seen[3], { type: 'ProcessEnded', containerId: 'c', atMs: 90_000, exitCode: 7 });
  assert.deepEqual(seen[1], { type: 'ContainerCreated', containerId: 'c', atMs: 100_000 });
  assert.match(filters, /namespace==k8s\.io,topic=="\/tasks\/exit"/);
});

test('runtimeEvents asks for the status of an exit when the task has been removed', async () => {
  const clock = new FakeClock();
  let send: (message: Buffer) => void = () => {};
  let asked = 0;
  await using server = await startGrpcServer({
    '/runtime.v1.RuntimeService/Version': version,
    '/runtime.v1.RuntimeService/ContainerStatus': { handle: async () => (asked++, criCodec('ContainerStatusResponse').encode({ status: { id: 'c', state: 'CONTAINER_EXITED' } })) },
    '/containerd.services.events.v1.Events/Subscribe': {
      stream: true,
      handle: async (call) => {
        send = call.write;
        await call.cancelled;
      },
    },
    '/containerd.services.events.v1.Events/Publish': { handle: async ({ request }) => void send(envelope(request.subarray(2, 2 + request[1]!).toString(), Buffer.alloc(0))) },
  });
  const runtime = connectCri({ endpoint: server.endpoint, clock: systemClock });
  const stop = new AbortController();
  const seen: string[] = [];
  for await (const event of runtimeEvents({ runtime, clock, signal: stop.signal })) {
    seen.push(event.type);
    if (event.type === 'Resync') {
      send(envelope('/tasks/exit', Buffer.concat([text(1, 'c'), text(2, 'c'), Buffer.from([0x20, 7])])));
      send(envelope('/tasks/start', text(1, 'other')));
    } else if (event.type === 'ProcessEnded') continue;
    else if (event.type === 'ContainerStarted') {
      // The exit came before: nobody has been asked for it, and by this clock nobody will be.
      assert.equal(asked, 0);
      send(envelope('/tasks/delete', text(1, 'c')));
      // Less than what is waited for a removal that is not told.
      for (let ms = 0; ms < 50; ms++) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        await clock.advance(1);
        if (asked > 0) break;
      }
      assert.equal(asked, 1);
    } else stop.abort();
  }
  runtime.close();
  assert.deepEqual(seen, ['Resync', 'ProcessEnded', 'ContainerStarted', 'ContainerStopped']);
  assert.equal(asked, 1);
});

test('runtimeEvents tells of ends by containerd beside the CRI events, and of nothing else twice', async () => {
  let send: (message: Buffer) => void = () => {};
  let filters = '';
  const stopped = Promise.withResolvers<void>();
  await using server = await startGrpcServer({
    '/runtime.v1.RuntimeService/Version': version,
    '/runtime.v1.RuntimeService/GetContainerEvents': {
      stream: true,
      handle: async (call) => {
        await stopped.promise;
        call.write(criCodec('ContainerEventResponse').encode({ containerId: 'c', containerEventType: 'CONTAINER_STOPPED_EVENT', createdAt: 5e6 }));
        await call.cancelled;
      },
    },
    '/containerd.services.events.v1.Events/Subscribe': {
      stream: true,
      handle: async (call) => {
        filters = call.request.toString();
        send = call.write;
        await call.cancelled;
      },
    },
    '/containerd.services.events.v1.Events/Publish': {
      handle: async ({ request }) => {
        send(envelope(request.subarray(2, 2 + request[1]!).toString(), Buffer.alloc(0)));
        send(envelope('/tasks/exit', Buffer.concat([text(1, 'c'), text(2, 'c'), Buffer.from([0x20, 7])])));
      },
    },
  });
  const runtime = connectCri({ endpoint: server.endpoint, clock: systemClock });
  const stop = new AbortController();
  const seen: RuntimeEvent[] = [];
  for await (const event of runtimeEvents({ runtime, clock: systemClock, signal: stop.signal })) {
    seen.push(event);
    if (event.type === 'ProcessEnded') stopped.resolve();
    if (event.type === 'ContainerStopped') stop.abort();
  }
  runtime.close();
  assert.deepEqual(seen.map((e) => e.type), ['Resync', 'ProcessEnded', 'ContainerStopped']);
  assert.doesNotMatch(filters, /containers\/create/);
});

test('runtimeEvents ends when the runtime has no events at all', async () => {
  await using server = await startGrpcServer({ '/runtime.v1.RuntimeService/Version': version });
  const runtime = connectCri({ endpoint: server.endpoint, clock: systemClock });
  const seen: RuntimeEvent[] = [];
  for await (const event of runtimeEvents({ runtime, clock: systemClock, signal: new AbortController().signal })) seen.push(event);
  runtime.close();
  assert.deepEqual(seen, []);
});

test('runtimeEvents replaces what a slow reader cannot take by one Resync', async () => {
  const clock = new FakeClock();
  const runtime = fakeRuntime({ clock, anyImage: true });
  const stop = new AbortController();
  const events = runtimeEvents({ runtime, clock, signal: stop.signal });
  await events.next();
  for (let i = 0; i < 6000; i++) {
    runtime.events.emit(`c${i}`, 'CONTAINER_STARTED_EVENT', 0);
    if (i % 1000 === 0) await flushMicrotasks();
  }
  await flushMicrotasks();
  assert.deepEqual((await events.next()).value, { type: 'Resync' });
  assert.equal(((await events.next()).value as { containerId: string }).containerId, 'c4097');
  stop.abort();
  await events.return(undefined);
});
