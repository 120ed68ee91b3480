/** The resources that controllers see: what the API server serves now, in one version each of those that are the same objects. */
import type { ResourceInfo } from '#api/resources.ts';
import { compareVersions } from '#apiserver/http/discovery.ts';
import type { ResourceRegistry } from '#apiserver/registry/resource-registry.ts';
import type { ResourceSource } from '#controllers/controller.ts';

export function servedResources(registry: ResourceRegistry): ResourceSource {
  let known: readonly ResourceInfo[] = [];
  let generation = -1;
  return {
    list() {
      if (generation !== registry.generation) {
        generation = registry.generation;
        known = listOf(registry);
      }
      return known;
    },
    onChange: (listener) => registry.onChange(listener),
  };
}
function listOf(registry: ResourceRegistry): readonly ResourceInfo[] {
  const builtin: ResourceInfo[] = [];
  const custom = new Map<string, ResourceInfo>();
  for (const { info, openApiSchema } of registry.all()) {
    if (!openApiSchema) {
      if (info.sameAs === undefined) builtin.push(info);
      continue;
    }
    const id = `${info.group}/${info.plural}`;
    const best = custom.get(id);
    if (!best || compareVersions(info.version, best.version) < 0) custom.set(id, info);
  }
  return [...builtin, ...custom.values()];
}
