/** The shape that every controller shares: informers feed keys to a queue, a reconcile brings the world to what they say. */
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import type { Clock } from '#base/clock.ts';
import type { Component } from '#base/component.ts';
import { logger } from '#base/logger.ts';
import type { Registry } from '#base/metrics.ts';
import type { Client } from '#client/client.ts';
import type { EventSender } from '#client/event-sender.ts';
import { EventRecorder } from '#client/events.ts';
import type { Informer, InformerFactory, InformerHandler, InformerOptions } from '#client/informer.ts';
import type { KindRef } from '#client/kinds.ts';
import { Reconciler, type ReconcileResult } from '#client/reconciler.ts';
import type { WorkQueue } from '#client/work-queue.ts';

/** The resources that the API serves now: custom ones come and go. */
export interface ResourceSource {
  list(): readonly ResourceInfo[];
  /** Called after each change of the list. Returns the unsubscriber. */
  onChange(listener: () => void): () => void;
}

/** What a controller is made from. */
export interface ControllerContext {
  readonly client: Client;
  readonly informers: InformerFactory;
  readonly clock: Clock;
  /** Writes the events of all controllers. */
  readonly events: EventSender;
  readonly resources: ResourceSource;
  /** Takes the metrics of all controllers. */
  readonly metrics: Registry;
}

/** A resource that a controller watches. */
export interface Source {
  readonly informer: Informer<KubeObject>;
  readonly handler: InformerHandler<KubeObject>;
}
export interface ControllerOptions {
  /** Upstream's canonical name: `namespace-controller`. */
  readonly name: string;
  readonly context: ControllerContext;
  readonly workers?: number;
  readonly baseDelayMs?: number;
  readonly maxDelayMs?: number;
  /** Declares the sources; `queue` takes the keys. */
  sources(queue: WorkQueue): readonly Source[];
  reconcile(key: string, signal: AbortSignal): Promise<ReconcileResult>;
}

/** A controller as a component: starts its workers once its informers have synced. */
export function newController(options: ControllerOptions): Component & { readonly queue: WorkQueue } {
  const { name, context, workers, baseDelayMs, maxDelayMs } = options;
  const reconciler = new Reconciler({
    name, clock: context.clock, logger: logger(name),
    ...(workers === undefined ? {} : { workers }), ...(baseDelayMs === undefined ? {} : { baseDelayMs }), ...(maxDelayMs === undefined ? {} : { maxDelayMs }),
    reconcile: (key, signal) => options.reconcile(key, signal),
  });
  let removers: (() => void)[] = [];
  return {
    name,
    queue: reconciler.queue,
    async start() {
      const sources = options.sources(reconciler.queue);
      removers = sources.map((s) => s.informer.addHandler(s.handler));
      await Promise.all(sources.map((s) => s.informer.synced));
      reconciler.start();
    },
    async stop() {
      for (const remove of removers.splice(0)) remove();
      await reconciler.stop();
    },
  };
}

/** A source whose objects each give keys, on every change; both states of an update count. */
export function source<T extends KubeObject>(context: ControllerContext, queue: WorkQueue, kind: KindRef<T>, keys: (obj: T) => Iterable<string>, options?: InformerOptions): Source {
  const add = (obj: T) => { for (const key of keys(obj)) queue.add(key); };
  const handler: InformerHandler<T> = {
    onAdd: add,
    onUpdate: (old, obj) => {
      add(old);
      add(obj);
    },
    onDelete: add,
  };
  return sourceWith(context, kind, handler, options);
}
/** A source with a handler of its own, for controllers that must tell additions, updates and deletions apart. */
export function sourceWith<T extends KubeObject>(context: ControllerContext, kind: KindRef<T>, handler: InformerHandler<T>, options?: InformerOptions): Source {
  return { informer: context.informers.informer(kind, options) as unknown as Informer<KubeObject>, handler: handler as unknown as InformerHandler<KubeObject> };
}
export function recorderOf(context: ControllerContext, component: string): EventRecorder {
  return new EventRecorder(context.client, { component, clock: context.clock, sender: context.events });
}
