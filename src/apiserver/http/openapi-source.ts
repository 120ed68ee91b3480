/** The OpenAPI documents of what is served, over `#machinery/openapi.ts`. */
import { buildOpenApiV2, buildOpenApiV3, encodeOpenApiV2, openApiV3Keys, type CustomKind, type Describe } from '#machinery/openapi.ts';
import type { OpenApiSource } from './openapi-paths.ts';

export interface OpenApiSourceOptions {
  /** `v1.36.0` */
  readonly version: string;
  /** The custom resources of the moment. */
  readonly custom?: () => readonly CustomKind[];
  /** Texts for `kubectl explain`. */
  readonly describe?: Describe;
}

export function openApiSource(options: OpenApiSourceOptions): OpenApiSource {
  const current = () => ({ version: options.version, custom: options.custom?.() ?? [], ...(options.describe ? { describe: options.describe } : {}) });
  return {
    v2: () => buildOpenApiV2(current()),
    v2Protobuf: () => encodeOpenApiV2(buildOpenApiV2(current())),
    v3: (path) => buildOpenApiV3(path, current()),
    v3Paths: () => openApiV3Keys(current()),
  };
}
