/** From a CustomResourceDefinition to what the registry serves: one resource for each served version. */
import type { CustomResourceDefinition, CustomResourceDefinitionVersion } from '#api/gen/apiextensions-v1.ts';
import { apiVersionOf } from '#api/object.ts';
import type { ResourceInfo, Subresource } from '#api/resources.ts';
import { compareVersions } from '../http/discovery.ts';
import type { ObjectStorage } from '../registry/object-cache.ts';
import type { ServedResource, SubresourceHandler } from '../registry/resource-registry.ts';
import { statusHandler } from '../subresources/handlers.ts';
import { scaleHandler } from '../subresources/scale.ts';
import { converterOf, type ConversionServices } from './conversion.ts';
import type { CelMetrics } from './cel-metrics.ts';
import { customCodec, type VersionSchema } from './custom-codec.ts';
import { customScalable } from './custom-scale.ts';
import { customStrategy } from './custom-strategy.ts';
import type { Schema } from './schema.ts';

/** In upstream's order, which clients show. */
const VERBS = ['delete', 'deletecollection', 'get', 'list', 'patch', 'create', 'update', 'watch'] as const;
const STATUS_VERBS = ['get', 'patch', 'update'];
/** Without a schema everything is kept. */
const OPEN: Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };

export const hasStatus = (version: CustomResourceDefinitionVersion): boolean => version.subresources?.status !== undefined && version.subresources.status !== null;

export function infoOf({ spec, status }: CustomResourceDefinition, version: CustomResourceDefinitionVersion): ResourceInfo {
  // Until names are accepted they are those that were asked for.
  const names = status?.acceptedNames?.plural ? status.acceptedNames : spec.names;
  const { kind } = names;
  const subresources: Subresource[] = [
    ...(hasStatus(version) ? [{ name: 'status', kind, verbs: STATUS_VERBS }] : []),
    ...(version.subresources?.scale ? [{ name: 'scale', kind: 'Scale', group: 'autoscaling', version: 'v1', verbs: STATUS_VERBS }] : []),
  ];
  return {
    group: spec.group, version: version.name, plural: names.plural, singular: names.singular || kind.toLowerCase(), kind, listKind: names.listKind || `${kind}List`, namespaced: spec.scope === 'Namespaced',
    verbs: VERBS, shortNames: names.shortNames ?? [], categories: names.categories ?? [], subresources,
  };
}

/** `apiVersion` and `kind` are strings whatever the schema says of them, and the registry checks metadata but for what the schema says of the name. */
function usable(version: CustomResourceDefinitionVersion): Schema {
  return version.schema?.openAPIV3Schema ?? OPEN;
}
function warningsOf(definition: CustomResourceDefinition, version: CustomResourceDefinitionVersion): string[] {
  if (!version.deprecated) return [];
  if (version.deprecationWarning !== undefined) return [version.deprecationWarning];
  const { group, names, versions } = definition.spec;
  const next = versions.filter((v) => v.served && !v.deprecated && compareVersions(v.name, version.name) < 0).toSorted((a, b) => compareVersions(a.name, b.name))[0];
  return [`${group}/${version.name} ${names.kind} is deprecated${next ? `; use ${group}/${next.name} ${names.kind}` : ''}`];
}
/** For OpenAPI: the parts that every object has are described by the builder. */
function published(schema: Schema, { selectableFields }: CustomResourceDefinitionVersion): Record<string, unknown> {
  const { properties, ...rest } = schema;
  const { apiVersion: _a, kind: _k, metadata: _m, ...own } = properties ?? {};
  const selectable = selectableFields?.length ? { 'x-kubernetes-selectable-fields': selectableFields.map(({ jsonPath }) => ({ fieldPath: jsonPath.replace(/^\./, '') })) } : {};
  return { ...rest, ...(properties ? { properties: own } : {}), ...selectable };
}

export interface CustomServices extends ConversionServices {
  readonly cel: CelMetrics;
}
export function customResources(definition: CustomResourceDefinition, storage: ObjectStorage, services: CustomServices): ServedResource[] {
  const { group, versions } = definition.spec;
  const byVersion = new Map<string, VersionSchema>(versions.map((v) => [apiVersionOf(group, v.name), { info: infoOf(definition, v), schema: usable(v) }]));
  const stored = byVersion.get(apiVersionOf(group, versions.find((v) => v.storage)!.name))!;
  const converter = converterOf(definition, services);
  return versions.filter((v) => v.served).map((version): ServedResource => {
    const apiVersion = apiVersionOf(group, version.name);
    const own = byVersion.get(apiVersion)!;
    const handlers = new Map<string, SubresourceHandler>();
    if (hasStatus(version)) handlers.set('status', statusHandler);
    if (version.subresources?.scale) handlers.set('scale', scaleHandler(customScalable(version.subresources.scale, apiVersion)));
    return {
      info: own.info,
      strategy: customStrategy(own.info, definition, version, own.schema, services.cel),
      codec: customCodec({ served: own, storage: stored, versions: byVersion, converter, preserve: definition.spec.preserveUnknownFields === true }),
      storage,
      subresources: handlers,
      unannounced: definition.status?.conditions?.every((c) => c.type !== 'Established' || c.status !== 'True') ?? true,
      warnings: warningsOf(definition, version),
      openApiSchema: published(own.schema, version),
    };
  });
}
