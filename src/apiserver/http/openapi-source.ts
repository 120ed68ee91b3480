/** The OpenAPI documents of what is served, over `#machinery/openapi.ts`. */
import type { ResourceInfo } from '#api/resources.ts';
import { buildOpenApiV2, buildOpenApiV3, encodeOpenApiV2, openApiV3Keys, type CustomKind, type Describe } from '#machinery/openapi.ts';
import type { ResourceRegistry } from '../registry/resource-registry.ts';
import { publishedV2, publishedV3 } from '../extensions/published-schema.ts';
import type { OpenApiSource } from './openapi-paths.ts';

export interface OpenApiSourceOptions {
  /** `v1.36.0` */
  readonly version: string;
  /** The built-in resources that are served. Default: those that are by default. */
  readonly builtin?: () => readonly ResourceInfo[];
  /** The custom resources of the moment. */
  readonly custom?: () => readonly CustomKind[];
  /** Texts for `kubectl explain`. */
  readonly describe?: Describe;
}

/** The resources of the table that are served. */
export function builtinKinds(resources: ResourceRegistry): readonly ResourceInfo[] {
  return resources.all().flatMap((r) => (r.openApiSchema ? [] : [r.info]));
}
/** The resources that a CustomResourceDefinition defines. */
export function customKinds(resources: ResourceRegistry): readonly CustomKind[] {
  return resources.all().flatMap((r) => (r.openApiSchema ? [{ resource: r.info, schema: r.openApiSchema }] : []));
}
function published(kinds: readonly CustomKind[], publish: (schema: CustomKind['schema']) => CustomKind['schema']): readonly CustomKind[] {
  return kinds.map(({ resource, schema }) => ({ resource, schema: publish(schema) }));
}

export function openApiSource(options: OpenApiSourceOptions): OpenApiSource {
  const builtin = () => (options.builtin ? { resources: options.builtin() } : {});
  const current = (publish: typeof publishedV2) => ({ version: options.version, ...builtin(), custom: published(options.custom?.() ?? [], publish), ...(options.describe ? { describe: options.describe } : {}) });
  return {
    v2: () => buildOpenApiV2(current(publishedV2)),
    v2Protobuf: () => encodeOpenApiV2(buildOpenApiV2(current(publishedV2))),
    v3: (path) => buildOpenApiV3(path, current(publishedV3)),
    v3Paths: () => openApiV3Keys({ ...builtin(), custom: options.custom?.() ?? [] }),
  };
}
