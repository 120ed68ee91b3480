/**
 * CustomResourceDefinitions at work: names, conditions, registration of what they define, and the deletion of its instances.
 * Upstream's counterpart: apiextensions-apiserver's handler and controllers.
 *
 * ```
 *   definition written ─▶ names ─┬─ conflict ─▶ NamesAccepted=False
 *                                └─ storage opened, resources registered ─▶ Established=True
 *   definition deleted ─▶ Terminating ─▶ instances deleted ─▶ all gone ─▶ finalizer off ─▶ unregistered, watches end
 * ```
 */
import type { CustomResourceDefinition } from '#api/gen/apiextensions-v1.ts';
import { nameOf, namespaceOf, type KubeObject } from '#api/object.ts';
import { resourceOf, type ResourceInfo } from '#api/resources.ts';
import { rfc3339, type Clock, type Timer } from '#base/clock.ts';
import { logger } from '#base/logger.ts';
import { isReason } from '#machinery/status-error.ts';
import { resourcePrefix } from '#store/keys.ts';
import type { Loopback, ObjectReader } from '../interfaces.ts';
import type { ObjectStorage } from '../registry/object-cache.ts';
import type { DynamicResourceRegistry, ServedResource } from '../registry/resource-registry.ts';
import { customResources, infoOf, type CustomServices } from './custom-resources.ts';
import { conditionOf, isNamed, isTrue, nameDefinition, obsoleteConditions, withCondition, type Condition } from './naming.ts';

const CRDS = resourceOf('apiextensions.k8s.io', 'v1', 'customresourcedefinitions');
const FINALIZER = 'customresourcecleanup.apiextensions.k8s.io';
const IN_PROGRESS = 'InstanceDeletionInProgress';
const RETRY_MS = 1_000;
const log = logger('apiextensions');

export interface ExtensionsOptions extends CustomServices {
  readonly reader: ObjectReader;
  readonly loopback: Loopback;
  readonly resources: DynamicResourceRegistry;
  readonly clock: Clock;
  openStorage(prefix: string): Promise<ObjectStorage>;
  closeStorage(prefix: string): Promise<void>;
}
/** What is registered of one definition. */
interface Registered {
  readonly resourceVersion: string;
  readonly resources: readonly ServedResource[];
  readonly info: ResourceInfo;
  /** Ends the wait for the last instance. */
  unsubscribe?: () => void;
}

export class Extensions {
  readonly #options: ExtensionsOptions;
  readonly #registered = new Map<string, Registered>();
  readonly #queue = new Set<string>();
  readonly #timers = new Set<Timer>();
  #working: Promise<void> | undefined;
  #unsubscribe: (() => void) | undefined;
  #stopped = false;

  constructor(options: ExtensionsOptions) {
    this.#options = options;
  }
  /** Registers what is established already, so that it is served from the first request on; then follows the definitions. */
  async start(): Promise<void> {
    for (const definition of this.#definitions()) if (isTrue(definition, 'Established')) await this.#register(definition);
    this.#unsubscribe = this.#options.reader.subscribe(CRDS, ({ object }) => this.#enqueue(nameOf(object)));
    for (const definition of this.#definitions()) this.#enqueue(nameOf(definition));
  }
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe?.();
    for (const timer of this.#timers) timer.cancel();
    for (const registered of this.#registered.values()) registered.unsubscribe?.();
    await this.#working;
  }

  #definitions(): readonly CustomResourceDefinition[] {
    return this.#options.reader.list<CustomResourceDefinition & KubeObject>(CRDS);
  }
  #enqueue(name: string): void {
    if (this.#stopped) return;
    this.#queue.add(name);
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined;
    });
  }
  async #work(): Promise<void> {
    for (const name of this.#queue) {
      this.#queue.delete(name);
      if (this.#stopped) return;
      try {
        await this.#sync(name);
      } catch (err) {
        if (this.#stopped) return;
        log.error({ err, name }, 'A CustomResourceDefinition could not be brought to what it says; trying again');
        const timer = this.#options.clock.after(RETRY_MS, () => {
          this.#timers.delete(timer);
          this.#enqueue(name);
        });
        this.#timers.add(timer);
      }
    }
  }
  async #sync(name: string): Promise<void> {
    const definition = this.#options.reader.get<CustomResourceDefinition & KubeObject>(CRDS, '', name);
    if (!definition) {
      await this.#unregister(name);
      // Its names are free now.
      for (const other of this.#definitions()) if (!isTrue(other, 'NamesAccepted')) this.#enqueue(nameOf(other));
      return;
    }
    const others = this.#definitions().filter((o) => o.spec.group === definition.spec.group && nameOf(o) !== name);
    const naming = nameDefinition(definition, others);
    if (naming.accepted && naming.acceptedNames.plural !== '') await this.#register({ ...definition, status: { ...definition.status, acceptedNames: naming.acceptedNames } });
    if (definition.metadata.deletionTimestamp !== undefined) return this.#finalize(definition);
    if (isNamed(definition, naming)) return;
    const released = definition.status?.acceptedNames !== undefined;
    await this.#writeStatus(definition, { acceptedNames: naming.acceptedNames }, naming.conditions, obsoleteConditions(definition, naming));
    if (released) for (const other of others) if (!isTrue(other, 'NamesAccepted')) this.#enqueue(nameOf(other));
  }

  async #register(definition: CustomResourceDefinition): Promise<void> {
    const name = nameOf(definition);
    const old = this.#registered.get(name);
    const resourceVersion = specId(definition);
    if (old?.resourceVersion === resourceVersion) return;
    const { resources } = this.#options;
    const info = infoOf(definition, definition.spec.versions[0]!);
    if (resources.all().some((r) => r.info.group === info.group && r.info.plural === info.plural && !this.#isOurs(r))) {
      log.warn({ name }, 'The CustomResourceDefinition stands for a built-in resource; it is not served');
      return;
    }
    const storage = await this.#options.openStorage(resourcePrefix(info));
    const next = customResources(definition, storage, this.#options);
    const gone = (old?.resources ?? []).filter((r) => !next.some((n) => n.info.version === r.info.version && n.info.plural === r.info.plural));
    if (gone.length) resources.remove(...gone.map((r) => r.info));
    if (next.length) resources.add(...next);
    this.#registered.set(name, { resourceVersion, resources: next, info, ...(old?.unsubscribe ? { unsubscribe: old.unsubscribe } : {}) });
  }
  #isOurs(resource: ServedResource): boolean {
    return [...this.#registered.values()].some((r) => r.resources.includes(resource));
  }
  async #unregister(name: string): Promise<void> {
    const registered = this.#registered.get(name);
    if (!registered) return;
    this.#registered.delete(name);
    registered.unsubscribe?.();
    if (registered.resources.length) this.#options.resources.remove(...registered.resources.map((r) => r.info));
    await this.#options.closeStorage(resourcePrefix(registered.info));
  }

  /** Deletes the instances; the finalizer goes with the last of them. */
  async #finalize(definition: CustomResourceDefinition): Promise<void> {
    if (!definition.metadata.finalizers?.includes(FINALIZER)) return;
    const registered = this.#registered.get(nameOf(definition));
    if (!registered || registered.resources.length === 0 || !isTrue(definition, 'Established')) {
      return this.#release(definition, { type: 'Terminating', status: 'False', reason: 'NeverEstablished', message: 'resource was never established' });
    }
    const left = this.#options.reader.list(registered.info);
    if (left.length === 0) return this.#release(definition, { type: 'Terminating', status: 'False', reason: 'InstanceDeletionCompleted', message: 'removed all instances' });
    if (conditionOf(definition, 'Terminating')?.reason !== IN_PROGRESS) {
      // The write comes back here, and then the instances are deleted.
      return this.#writeStatus(definition, {}, [{ type: 'Terminating', status: 'True', reason: IN_PROGRESS, message: 'CustomResource deletion is in progress' }]);
    }
    registered.unsubscribe ??= this.#options.reader.subscribe(registered.info, ({ type }) => {
      if (type === 'DELETED' && this.#options.reader.list(registered.info).length === 0) this.#enqueue(nameOf(definition));
    });
    const { info } = registered.resources[0]!;
    const pending = left.filter((o) => o.metadata.deletionTimestamp === undefined);
    for (const namespace of new Set(pending.map(namespaceOf))) await this.#options.loopback.call({ verb: 'deletecollection', resource: info, ...(info.namespaced ? { namespace } : {}) });
    if (this.#options.reader.list(registered.info).length === 0) this.#enqueue(nameOf(definition));
  }
  async #release(definition: CustomResourceDefinition, condition: Omit<Condition, 'lastTransitionTime'>): Promise<void> {
    await this.#writeStatus(definition, {}, [condition]);
    await this.#tolerant(() =>
      this.#options.loopback.call({
        verb: 'patch', resource: CRDS, name: nameOf(definition), patchType: 'application/merge-patch+json',
        body: { metadata: { finalizers: definition.metadata.finalizers?.filter((f) => f !== FINALIZER) ?? [] } },
      }),
    );
  }
  async #writeStatus(definition: CustomResourceDefinition, status: object, conditions: readonly Omit<Condition, 'lastTransitionTime'>[], obsolete: readonly string[] = []): Promise<void> {
    const now = rfc3339(this.#options.clock.now());
    const kept = (definition.status?.conditions ?? []).filter((c) => !obsolete.includes(c.type));
    const next = conditions.reduce<readonly Condition[]>((all, c) => withCondition(all, c, now), kept);
    const body = { ...definition, status: { ...definition.status, ...status, conditions: next } };
    await this.#tolerant(() => this.#options.loopback.call({ verb: 'update', resource: CRDS, name: nameOf(definition), subresource: 'status', body }));
  }
  /** Somebody else wrote or deleted it: that change comes by the subscription. */
  async #tolerant(write: () => Promise<unknown>): Promise<void> {
    try {
      await write();
    } catch (err) {
      if (!isReason(err, 'Conflict') && !isReason(err, 'NotFound')) throw err;
    }
  }
}

/** The same for definitions that are served alike: the spec, the accepted names, whether it is established and whether it is being deleted. */
function specId(definition: CustomResourceDefinition): string {
  return JSON.stringify([definition.metadata.uid, definition.metadata.generation, definition.status?.acceptedNames, isTrue(definition, 'Established'), definition.metadata.deletionTimestamp !== undefined]);
}
