/** The schemas of a custom resource and of its lists, as the documents show them: its own with what every object has. */
import type { DefinitionSet, Dialect, GroupVersionKind, Json } from './definitions.ts';

/** `stable.example.com`, `v1`, `CronTab` → `com.example.stable.v1.CronTab` */
export function customName({ group, version, kind }: GroupVersionKind): string {
  return [...group.split('.').toReversed(), version, kind].join('.');
}
const SELECTABLE = 'x-kubernetes-selectable-fields';
const isOpen = (schema: Json): boolean => schema['x-kubernetes-preserve-unknown-fields'] === true;

/** Adds the kind and its list to `definitions`. `schema` is `openAPIV3Schema` of the version. */
export function addCustomKind(definitions: DefinitionSet, dialect: Dialect, gvk: GroupVersionKind, listKind: string, plural: string, schema: Json): void {
  const { 'x-kubernetes-preserve-unknown-fields': _, ...closed } = schema;
  // Old clients take an object that keeps everything for one of which nothing is said, and would refuse the rest of one whose metadata is listed.
  const shown = dialect === 'v2' ? closed : schema;
  const properties = isOpen(schema) && !closed['properties'] ? {} : { properties: { ...(embedded(shown, definitions, dialect)['properties'] as Json | undefined), ...definitions.objectProperties('kind') } };
  const own = definitions.add(customName(gvk), { ...shown, ...properties, type: 'object', 'x-kubernetes-group-version-kind': [gvk] });
  const list = definitions.objectProperties('list');
  definitions.add(customName({ ...gvk, kind: listKind }), {
    description: `${listKind} is a list of ${gvk.kind}`,
    properties: { ...list, items: { description: `List of ${plural}. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md`, items: own, type: 'array' } },
    required: ['items'], type: 'object', 'x-kubernetes-group-version-kind': [{ ...gvk, kind: listKind }],
    ...(schema[SELECTABLE] === undefined ? {} : { [SELECTABLE]: schema[SELECTABLE] }),
  });
}

/** Objects within the object (`x-kubernetes-embedded-resource`) have type and metadata, too. */
function embedded(schema: Json, definitions: DefinitionSet, dialect: Dialect): Json {
  const nested = (value: unknown): Json => {
    const inner = embedded(value as Json, definitions, dialect);
    if (inner['x-kubernetes-embedded-resource'] !== true || (dialect === 'v2' && isOpen(inner))) return inner;
    const required = new Set([...((inner['required'] as readonly string[] | undefined) ?? []), 'kind', 'apiVersion']);
    return { ...inner, properties: { ...(inner['properties'] as Json | undefined), ...definitions.objectProperties('embedded') }, required: [...required] };
  };
  const { properties, items, additionalProperties } = schema;
  return {
    ...schema,
    ...(properties === undefined ? {} : { properties: Object.fromEntries(Object.entries(properties as Json).map(([name, property]) => [name, nested(property)])) }),
    ...(items === undefined ? {} : { items: nested(items) }),
    ...(typeof additionalProperties === 'object' && additionalProperties !== null ? { additionalProperties: nested(additionalProperties) } : {}),
  };
}
