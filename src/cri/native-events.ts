/**
 * containerd's own event service (`containerd.services.events.v1.Events`), for releases before 1.7, whose CRI plugin has no
 * `GetContainerEvents`. Only the fields that are read here are described.
 */
import protobuf from 'protobufjs';
import type { CallOptions } from './call.ts';
import type { Channel } from './channel.ts';
import { codecOf } from './schema.ts';

/** What the native service reports. Ids of sandboxes and of containers alike: to containerd both are containers. */
export interface NativeEvent {
  readonly kind: 'subscribed' | 'created' | 'started' | 'exited' | 'taskDeleted' | 'deleted' | 'oom';
  readonly containerId: string;
  /** When it happened; of an exit the time that the CRI status will have. */
  readonly atMs: number;
  readonly exitCode?: number;
}

interface AnyMessage {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}
interface Timestamp {
  readonly seconds: number;
  readonly nanos: number;
}
interface Envelope {
  readonly timestamp?: Timestamp;
  readonly topic: string;
  readonly event?: AnyMessage;
}

const field = (id: number, type: string) => ({ id, type });
const root = protobuf.Root.fromJSON({
  nested: {
    Timestamp: { fields: { seconds: field(1, 'int64'), nanos: field(2, 'int32') } },
    Any: { fields: { typeUrl: field(1, 'string'), value: field(2, 'bytes') } },
    Empty: { fields: {} },
    SubscribeRequest: { fields: { filters: { id: 1, type: 'string', rule: 'repeated' } } },
    PublishRequest: { fields: { topic: field(1, 'string'), event: field(2, 'Any') } },
    Envelope: { fields: { timestamp: field(1, 'Timestamp'), namespace: field(2, 'string'), topic: field(3, 'string'), event: field(4, 'Any') } },
    TaskExit: { fields: { containerId: field(1, 'string'), id: field(2, 'string'), pid: field(3, 'uint32'), exitStatus: field(4, 'uint32'), exitedAt: field(5, 'Timestamp') } },
    // What ContainerCreate, ContainerDelete, TaskStart, TaskDelete and TaskOOM have in common.
    Subject: { fields: { containerId: field(1, 'string') } },
  },
});
const taskExitCodec = codecOf<{ containerId: string; id: string; exitStatus: number; exitedAt?: Timestamp }>(root.lookupType('TaskExit'));
const subjectCodec = codecOf<{ containerId: string }>(root.lookupType('Subject'));
const SUBSCRIBE = {
  path: '/containerd.services.events.v1.Events/Subscribe',
  request: codecOf<{ filters: string[] }>(root.lookupType('SubscribeRequest')),
  response: codecOf<Envelope>(root.lookupType('Envelope')),
};
const PUBLISH = {
  path: '/containerd.services.events.v1.Events/Publish',
  request: codecOf<{ topic: string; event: AnyMessage }>(root.lookupType('PublishRequest')),
  response: codecOf<object>(root.lookupType('Empty')),
};

const KINDS: Readonly<Record<string, NativeEvent['kind']>> = {
  '/containers/create': 'created', '/tasks/start': 'started', '/tasks/exit': 'exited', '/tasks/delete': 'taskDeleted', '/containers/delete': 'deleted', '/tasks/oom': 'oom',
};

let subscriptions = 0;

export interface NativeEventsOptions extends CallOptions {
  /** Only these beside `subscribed`; all by default. */
  readonly kinds?: readonly NativeEvent['kind'][];
  readonly pause: (ms: number) => Promise<void>;
}

/**
 * The events of one containerd namespace. `subscribed` comes first, as soon as nothing can be missed any more: the service
 * does not acknowledge a subscription, so an event of our own is published until it arrives.
 */
export async function* nativeEvents(channel: Channel, namespace: string, options: NativeEventsOptions): AsyncGenerator<NativeEvent> {
  const failed = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, failed.signal]) : failed.signal;
  const headers = { 'containerd-namespace': namespace };
  const hello = `/podyard/subscribed/p${process.pid}n${++subscriptions}`;
  const topics = Object.keys(KINDS).filter((t) => options.kinds?.includes(KINDS[t]!) ?? true).map((topic) => `namespace==${namespace},topic=="${topic}"`);
  const stream = channel.stream(SUBSCRIBE, { filters: [...topics, `topic=="${hello}"`] }, { signal }, headers);
  const greeted = new AbortController();
  const first = stream.next();
  const greeting = (async () => {
    while (!greeted.signal.aborted && !signal.aborted) {
      await channel.unary(PUBLISH, { topic: hello, event: { typeUrl: 'podyard/subscribed', value: new Uint8Array() } }, { signal, timeoutMs: 5000 }, headers);
      await options.pause(10);
    }
  })().catch((error: unknown) => failed.abort(error));
  try {
    for (let next = await first; !next.done; next = await stream.next()) {
      if (next.value.topic === hello) {
        if (greeted.signal.aborted) continue;
        greeted.abort();
        yield { kind: 'subscribed', containerId: '', atMs: millisOf(next.value.timestamp) };
      } else {
        const event = eventOf(next.value);
        if (event) yield event;
      }
    }
  } finally {
    failed.abort(new Error('the subscription is no longer wanted'));
    await stream.return(undefined);
    await greeting;
  }
}

function millisOf(time: Timestamp | undefined): number {
  return (time?.seconds ?? 0) * 1000 + (time?.nanos ?? 0) / 1e6;
}

/** Undefined for what is no event of a container's own process: the exit of a command executed in it. */
function eventOf(envelope: Envelope): NativeEvent | undefined {
  const kind = KINDS[envelope.topic];
  if (!kind || !envelope.event) return undefined;
  const atMs = millisOf(envelope.timestamp);
  if (kind !== 'exited') return { kind, containerId: subjectCodec.decode(envelope.event.value).containerId, atMs };
  const task = taskExitCodec.decode(envelope.event.value);
  return task.id === task.containerId ? { kind, containerId: task.containerId, atMs: millisOf(task.exitedAt ?? envelope.timestamp), exitCode: task.exitStatus } : undefined;
}
