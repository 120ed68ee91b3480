/** The columns of `kubectl get` for custom resources: `additionalPrinterColumns`, or the age. */
import type { CustomResourceColumnDefinition } from '#api/gen/apiextensions-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { ageOf } from '#machinery/duration.ts';
import type { Cell, Column } from '../registry/strategy.ts';
import { parseJsonPath, pathText, type JsonPath } from './json-path.ts';

const AGE: CustomResourceColumnDefinition = {
  name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp',
  description: 'CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed to be set in happens-before order across separate operations. Clients may not set this value. It is represented in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata',
};

function cellOf(type: string, value: unknown, now: number): Cell {
  if (value === null || value === undefined) return null;
  switch (type) {
    case 'string':
      return pathText(value);
    case 'integer':
      return typeof value === 'bigint' ? value : typeof value === 'number' ? Math.trunc(value) : null;
    case 'number':
      return typeof value === 'number' || typeof value === 'bigint' ? value : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    case 'date':
      if (typeof value !== 'string') return null;
      return Number.isNaN(Date.parse(value)) ? '<invalid>' : ageOf(value, now);
    default:
      return null;
  }
}

export interface CustomColumns {
  readonly columns: readonly Column[];
  row(object: KubeObject, now: number): readonly Cell[];
}
export function customColumns(definitions: readonly CustomResourceColumnDefinition[] | undefined): CustomColumns {
  const shown = (definitions?.length ? definitions : [AGE]).flatMap((definition) => {
    const path = pathOrNothing(definition.jsonPath);
    return path ? [{ definition, path }] : [];
  });
  return {
    columns: [
      { name: 'Name', type: 'string', format: 'name' },
      ...shown.map(({ definition: d }): Column => ({
        name: d.name, type: d.type as Column['type'], ...(d.format ? { format: d.format } : {}), ...(d.priority ? { priority: d.priority } : {}),
        description: d.description || `Custom resource definition column (in JSONPath format): ${d.jsonPath}`,
      })),
    ],
    row: (object, now) => [object.metadata.name ?? '', ...shown.map(({ definition, path }) => cellOf(definition.type, path(object)[0], now))],
  };
}
/** Upstream leaves out what its parser cannot read. */
function pathOrNothing(text: string): JsonPath | undefined {
  try {
    return parseJsonPath(text);
  } catch {
    return undefined;
  }
}
