/**
 * What mutators make of an object, brought back to the object of its kind: decoded and defaulted as a client's would be, and apply
 * configurations merged in by server-side apply's rules.
 * Source: the Kubernetes page "Mutating Admission Policy", apply configurations.
 */
import type { KubeObject } from '#api/object.ts';
import type { Draft } from '#base/draft.ts';
import { mergeApplied } from '#machinery/apply/merge.ts';
import { childSchema, schemaFor, type ApplySchema } from '#machinery/apply/schema.ts';
import { internalError } from '#machinery/status-error.ts';
import type { AdmissionAttributes } from '../interfaces.ts';
import type { ResourceRegistry, ServedResource } from '../registry/resource-registry.ts';

/** The resource of the request when its object is of the resource's own kind; bindings, scales and options have none. */
function servedOf(a: AdmissionAttributes, resources: ResourceRegistry): ServedResource | undefined {
  const served = resources.find(a.resource.group, a.resource.version, a.resource.plural);
  const own = served && a.kind.kind === served.info.kind && a.kind.group === served.info.group;
  return own ? served : undefined;
}
export function normaliserOf(resources: ResourceRegistry): (object: KubeObject, a: AdmissionAttributes) => KubeObject {
  return (object, a) => {
    const served = servedOf(a, resources);
    if (!served) return object;
    let decoded: Draft<KubeObject>;
    try {
      decoded = served.codec.decode(object).object;
    } catch (err) {
      throw internalError(err instanceof Error ? err.message : String(err), err);
    }
    served.strategy.default?.(decoded);
    return decoded;
  };
}

/** Paths of atomic lists, maps and structs that a configuration would replace. */
export function atomicPaths(value: unknown, schema: ApplySchema, path = ''): string[] {
  if (value === null || typeof value !== 'object') return [];
  const here = schemaFor(schema, value);
  if (here.kind === 'list' && Array.isArray(value)) {
    const own = here.relationship === 'atomic' ? [path] : [];
    return [...own, ...value.flatMap((item, i) => atomicPaths(item, here.element, `${path}[${i}]`))];
  }
  if (here.kind !== 'map') return [];
  const own = here.atomic ? [path] : [];
  return [...own, ...Object.entries(value).flatMap(([key, child]) => (here.fields.has(key) ? atomicPaths(child, childSchema(here, key), `${path}.${key}`) : []))];
}
export function applierOf(resources: ResourceRegistry): (object: KubeObject, configuration: unknown, a: AdmissionAttributes) => KubeObject {
  return (object, configuration, a) => {
    const served = servedOf(a, resources);
    if (!served) throw new Error(`error applying patch: no schema for kind "${a.kind.kind}"`);
    const { schema } = served.codec.apply;
    const atomics = atomicPaths(configuration, schema);
    if (atomics.length) throw new Error(`error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${atomics.join(', ')}`);
    return mergeApplied(object, configuration, schema) as KubeObject;
  };
}
