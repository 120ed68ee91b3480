import type { APIResourceDiscovery, APISubresourceDiscovery } from '#api/gen/apidiscovery-v2.ts';
import type { APIResource, APIResourceList } from '#api/gen/meta-v1.ts';

/** The old form of discovery in the new one (KEP-3352), where another server speaks only the old. */
export function resourcesOf(list: APIResourceList, group: string, version: string): readonly APIResourceDiscovery[] {
  const all = Array.isArray(list?.resources) ? list.resources : [];
  const kindOf = (r: APIResource) => ({ group: r.group || group, version: r.version || version, kind: r.kind });
  return all
    .filter((r) => !r.name.includes('/'))
    .map((r): APIResourceDiscovery => {
      const subresources = all
        .filter((s) => s.name.startsWith(`${r.name}/`))
        .map((s): APISubresourceDiscovery => ({ subresource: s.name.slice(r.name.length + 1), responseKind: kindOf(s), verbs: s.verbs }));
      return {
        resource: r.name,
        responseKind: kindOf(r),
        scope: r.namespaced ? 'Namespaced' : 'Cluster',
        singularResource: r.singularName,
        verbs: r.verbs,
        ...(r.shortNames?.length ? { shortNames: r.shortNames } : {}),
        ...(r.categories?.length ? { categories: r.categories } : {}),
        ...(subresources.length ? { subresources } : {}),
      };
    });
}
