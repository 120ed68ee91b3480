/** DeviceClasses, by name and by the extended resources that they stand for. Source: the API reference, "DeviceClassSpec"; KEP-5004. */
import type { DeviceClass } from '#api/gen/resource-v1.ts';
import { nameOf } from '#api/object.ts';
import { isExtendedResource } from '#machinery/resource-names.ts';
import type { Lister } from '../framework/handle.ts';

/** Before the name of a class: the extended resource that every class has. */
export const IMPLICIT_PREFIX = 'deviceclass.resource.kubernetes.io/';

export class DeviceClasses {
  readonly #known: Lister<DeviceClass>;
  #byResource: Map<string, DeviceClass> | undefined;

  constructor(known: Lister<DeviceClass>) {
    this.#known = known;
    const changed = () => { this.#byResource = undefined; };
    known.addHandler({ onAdd: changed, onUpdate: changed, onDelete: changed });
  }
  get(name: string): DeviceClass | undefined {
    return this.#known.get('', name);
  }
  /** The class whose devices stand for a resource that Pods ask for by name; of several the newest, then the first by name. */
  forResource(resource: string): DeviceClass | undefined {
    if (resource.startsWith(IMPLICIT_PREFIX)) return this.get(resource.slice(IMPLICIT_PREFIX.length));
    if (!isExtendedResource(resource)) return undefined;
    if (!this.#byResource) {
      this.#byResource = new Map();
      for (const each of this.#known.list().toSorted(preferred).toReversed()) {
        if (each.spec.extendedResourceName !== undefined) this.#byResource.set(each.spec.extendedResourceName, each);
      }
    }
    return this.#byResource.get(resource);
  }
}
function preferred(a: DeviceClass, b: DeviceClass): number {
  const [at, bt] = [Date.parse(a.metadata.creationTimestamp ?? ''), Date.parse(b.metadata.creationTimestamp ?? '')];
  return (Number.isNaN(at) || Number.isNaN(bt) ? 0 : bt - at) || (nameOf(a) < nameOf(b) ? -1 : 1);
}
