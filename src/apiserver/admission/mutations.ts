/**
 * What mutators make of an object, brought back to the object of its kind: decoded and defaulted as a client's would be, and apply
 * configurations merged in by server-side apply's rules.
 * Source: the Kubernetes page "Mutating Admission Policy", apply configurations.
 */
import { splitApiVersion, type KubeObject } from '#api/object.ts';
import type { Draft } from '#base/draft.ts';
import { mergeApplied } from '#machinery/apply/merge.ts';
import { childSchema, schemaFor, type ApplySchema } from '#machinery/apply/schema.ts';
import { violationsOf } from '#machinery/apply/validate.ts';
import { strictReason } from '#machinery/decode.ts';
import { internalError } from '#machinery/status-error.ts';
import type { AdmissionAttributes } from '../interfaces.ts';
import { kindMismatch } from '../registry/body.ts';
import type { ResourceRegistry, ServedResource } from '../registry/resource-registry.ts';

/** The resource of the request when its object is of the resource's own kind; bindings, scales and options have none. */
function servedOf(a: AdmissionAttributes, resources: ResourceRegistry): ServedResource | undefined {
  const served = resources.find(a.resource.group, a.resource.version, a.resource.plural);
  const own = served && a.kind.kind === served.info.kind && a.kind.group === served.info.group;
  return own ? served : undefined;
}
/** `strict`: fields that the kind does not have are a fault. Throws StatusErrors. */
export type Normaliser = (object: KubeObject, a: AdmissionAttributes, strict?: boolean) => KubeObject;

export function normaliserOf(resources: ResourceRegistry): Normaliser {
  return (object, a, strictly = false) => {
    const served = servedOf(a, resources);
    if (!served) return object;
    checkKind(object, a);
    let decoded: Draft<KubeObject>;
    let strict: readonly string[] = [];
    try {
      ({ object: decoded, strict = [] } = served.codec.decode(object));
    } catch (err) {
      throw internalError(err instanceof Error ? err.message : String(err), err);
    }
    if (strictly && served.codec.structType && strict.length > 0) throw internalError(strictReason(strict));
    served.strategy.default?.(decoded);
    return decoded;
  };
}
/** An object stays of its kind: what a mutator made another one of cannot be what was asked for. */
function checkKind(object: KubeObject, { kind: expected }: AdmissionAttributes): void {
  const { group, version } = splitApiVersion(object.apiVersion ?? '');
  if (object.kind === expected.kind && group === expected.group && version === expected.version) return;
  const mismatch = kindMismatch({ group, version, kind: object.kind ?? '' }, expected) ?? `converting (${version}.${expected.kind}) to (${expected.version}.${expected.kind}): unknown conversion`;
  throw internalError(mismatch.startsWith('converting') ? `failed to convert object: ${mismatch}` : mismatch);
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
    const wrong = violationsOf(configuration, schema);
    if (wrong !== undefined) throw new Error(`error applying patch: failed to convert patch object to typed object: ${wrong}`);
    const atomics = atomicPaths(configuration, schema);
    if (atomics.length) throw new Error(`error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: ${atomics.join(', ')}`);
    return mergeApplied(object, configuration, schema) as KubeObject;
  };
}
