/** The OpenAPI documents of what the API server serves, with the texts of the installed client package where it is there. */
import type { OpenApiSource } from '#apiserver/http/openapi-paths.ts';
import { builtinKinds, customKinds, openApiSource } from '#apiserver/http/openapi-source.ts';
import type { ResourceRegistry } from '#apiserver/registry/resource-registry.ts';
import { DEFAULT_VERSION } from '#apiserver/server.ts';
import { clientDescriptions } from '#machinery/openapi.ts';

export function clusterOpenApi(resources: ResourceRegistry): OpenApiSource {
  const describe = clientDescriptions();
  return openApiSource({ version: DEFAULT_VERSION.gitVersion.split('+')[0]!, builtin: () => builtinKinds(resources), custom: () => customKinds(resources), ...(describe ? { describe } : {}) });
}
