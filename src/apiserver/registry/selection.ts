/** Which objects a list, watch or deletecollection is about: label and field selectors, compiled once per request. */
import type { KubeObject } from '#api/object.ts';
import { parseFieldSelector, parseLabelSelector, type FieldMatcher, type LabelMatcher } from '#machinery/selectors.ts';
import { badRequest } from '#machinery/status-error.ts';
import type { ServedResource } from './resource-registry.ts';
import type { ResourceInfo } from '#api/resources.ts';

export interface Selection {
  /** Selects everything. */
  readonly empty: boolean;
  matches(object: KubeObject): boolean;
  /** `metadata.name=x`: at most this one object of a namespace. */
  readonly name: string | undefined;
}
export const EVERYTHING: Selection = { empty: true, matches: () => true, name: undefined };

function parse<T>(read: () => T): T {
  try {
    return read();
  } catch (err) {
    throw badRequest(err instanceof Error ? err.message : String(err));
  }
}

export function selectionOf(served: ServedResource, labelSelector: string, fieldSelector: string): Selection {
  if (labelSelector === '' && fieldSelector === '') return EVERYTHING;
  const labels = labelSelector === '' ? undefined : parse(() => parseLabelSelector(labelSelector));
  const fields = fieldSelector === '' ? undefined : parse(() => parseFieldSelector(fieldSelector));
  if (fields) checkFields(served, fields);
  return compile(served, labels, fields);
}

/** Not every kind says it in the same words. */
function unsupported(field: string, { group, version, kind }: ResourceInfo): string {
  if (group === 'batch') return `field label ${JSON.stringify(field)} not supported for ${kind}`;
  return group === 'resource.k8s.io' ? `field label not supported for ${group}/${version}, Kind=${kind}: ${field}` : `field label not supported: ${field}`;
}
function checkFields(served: ServedResource, fields: FieldMatcher): void {
  const { info, strategy } = served;
  const known = strategy.selectableFields;
  for (const { field } of fields.requirements) {
    // Kinds with fields of their own that live in no namespace do not know the word.
    if (field === 'metadata.name' || (field === 'metadata.namespace' && (info.namespaced || !known)) || (known && Object.hasOwn(known, field))) continue;
    throw badRequest(known ? unsupported(field, info) : `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`);
  }
}

function compile(served: ServedResource, labels: LabelMatcher | undefined, fields: FieldMatcher | undefined): Selection {
  const known = served.strategy.selectableFields ?? {};
  const fieldOf = (object: KubeObject, field: string): string => {
    if (field === 'metadata.name') return object.metadata.name ?? '';
    if (field === 'metadata.namespace') return object.metadata.namespace ?? '';
    return known[field]!(object);
  };
  const empty = (labels?.empty ?? true) && (fields?.empty ?? true);
  if (empty) return EVERYTHING;
  return {
    empty,
    name: fields?.requiresExactMatch('metadata.name'),
    matches: (object) => (labels?.matches(object.metadata.labels) ?? true) && (fields?.matches((field) => fieldOf(object, field)) ?? true),
  };
}
