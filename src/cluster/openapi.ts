/** The OpenAPI documents of what the API server serves, with the texts of the installed client package where it is there. */
import type { OpenApiSource } from '#apiserver/http/openapi-paths.ts';
import { DEFAULT_VERSION } from '#apiserver/server.ts';
import { buildOpenApiV2, buildOpenApiV3, clientDescriptions, encodeOpenApiV2, openApiV3Keys } from '#machinery/openapi.ts';

export function builtinOpenApi(): OpenApiSource {
  const describe = clientDescriptions();
  const options = { version: DEFAULT_VERSION.gitVersion.split('+')[0]!, ...(describe ? { describe } : {}) };
  return {
    v2: () => buildOpenApiV2(options),
    v2Protobuf: () => encodeOpenApiV2(buildOpenApiV2(options)),
    v3: (path) => buildOpenApiV3(path, options),
    v3Paths: () => openApiV3Keys({}),
  };
}
