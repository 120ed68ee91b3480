import type { OpenApiSource } from '#apiserver/http/openapi-paths.ts';
import type { ResourceRegistry } from '#apiserver/registry/resource-registry.ts';

export function builtinOpenApi(_resources: ResourceRegistry): OpenApiSource {
  return { v2: () => ({ swagger: '2.0', info: { title: 'Kubernetes', version: 'v1.36.0' }, paths: {}, definitions: {} }), v3: () => undefined, v3Paths: () => [] };
}
