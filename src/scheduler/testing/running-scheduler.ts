/** A scheduler on a fake API server, for tests of the whole. */
import type { Event } from '#api/gen/events-v1.ts';
import type { Node, Pod, PodCondition } from '#api/gen/core-v1.ts';
import { FakeClock, flushMicrotasks } from '#base/fake-clock.ts';
import { Client } from '#client/client.ts';
import { EVENTS, NODES, PODS } from '#client/kinds.ts';
import { newScheduler, type Scheduler } from '../scheduler.ts';
import { FakeApiServer } from './fake-api-server.ts';

export class RunningScheduler implements AsyncDisposable {
  readonly api: FakeApiServer;
  readonly clock: FakeClock;
  readonly scheduler: Scheduler;

  constructor(api: FakeApiServer, clock: FakeClock, scheduler: Scheduler) {
    this.api = api;
    this.clock = clock;
    this.scheduler = scheduler;
  }
  put(...objects: (Node | Pod)[]): void {
    for (const obj of objects) this.api.put(obj.kind === 'Node' ? NODES : PODS, obj);
  }
  /** Lets everything run that is ready to. */
  async settle(): Promise<void> {
    for (let i = 0; i < 4; i++) await flushMicrotasks();
  }
  pod(name: string, namespace = 'default'): Pod | undefined {
    return this.api.get<Pod>(PODS, `${namespace}/${name}`);
  }
  nodeOf(name: string, namespace = 'default'): string | undefined {
    return this.pod(name, namespace)?.spec.nodeName;
  }
  scheduledCondition(name: string): PodCondition | undefined {
    return this.pod(name)?.status?.conditions?.find((c) => c.type === 'PodScheduled');
  }
  /** `reason: message` of the events about a Pod. */
  events(name: string): string[] {
    return this.api.list<Event>(EVENTS).filter((e) => e.regarding?.name === name).map((e) => `${e.reason}: ${e.note}`);
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.scheduler.stop();
  }
}

/** Random numbers are all 0.5 unless given. */
export async function startScheduler(objects: readonly (Node | Pod)[] = [], options: { random?: () => number; prepare?: (api: FakeApiServer) => void } = {}): Promise<RunningScheduler> {
  const api = new FakeApiServer();
  const clock = new FakeClock();
  options.prepare?.(api);
  for (const obj of objects) api.put(obj.kind === 'Node' ? NODES : PODS, obj);
  const scheduler = newScheduler({ client: new Client(api, 'kube-scheduler'), clock, random: options.random ?? (() => 0.5) });
  const running = new RunningScheduler(api, clock, scheduler);
  await scheduler.start(new AbortController().signal);
  await running.settle();
  return running;
}
