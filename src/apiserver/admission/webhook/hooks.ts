/** The webhooks of all configurations, in upstream's order, kept current from the watch cache. */
import type * as admissionregistrationV1 from '#api/gen/admissionregistration-v1.ts';
import { nameOf, type KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import type { ObjectReader } from '../../interfaces.ts';

export type AnyWebhook = admissionregistrationV1.MutatingWebhook | admissionregistrationV1.ValidatingWebhook;
export interface Hook<T extends AnyWebhook> {
  /** `configuration/webhook/n`: stable while the configuration has its webhooks. */
  readonly id: string;
  readonly configuration: string;
  readonly webhook: T;
}
interface Configuration<T> extends KubeObject {
  readonly webhooks?: readonly T[] | undefined;
}

export class HookList<T extends AnyWebhook> {
  #hooks: readonly Hook<T>[] | undefined;
  readonly #reader: ObjectReader;
  readonly #resource: ResourceInfo;
  readonly #stop: () => void;
  constructor(reader: ObjectReader, resource: ResourceInfo) {
    this.#reader = reader;
    this.#resource = resource;
    this.#stop = reader.subscribe(resource, () => void (this.#hooks = undefined));
  }
  stop(): void {
    this.#stop();
  }
  /** By the name of their configuration, then as it lists them. */
  get hooks(): readonly Hook<T>[] {
    this.#hooks ??= this.#reader.list<Configuration<T>>(this.#resource)
      .toSorted((x, y) => (nameOf(x) < nameOf(y) ? -1 : 1))
      .flatMap((c) => {
        const seen = new Map<string, number>();
        return (c.webhooks ?? []).map((webhook) => {
          const n = seen.get(webhook.name) ?? 0;
          seen.set(webhook.name, n + 1);
          return { id: `${nameOf(c)}/${webhook.name}/${n}`, configuration: nameOf(c), webhook };
        });
      });
    return this.#hooks;
  }
}
