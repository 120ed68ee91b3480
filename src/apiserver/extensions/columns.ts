/** The columns of `kubectl get` for custom resources: `additionalPrinterColumns`, or the age. */
import type { CustomResourceColumnDefinition } from '#api/gen/apiextensions-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { ageOf } from '#machinery/duration.ts';
import type { Cell, Column } from '../registry/strategy.ts';
import { AGE, NAME } from '../strategies/printing.ts';
import { parseJsonPath, pathText, type JsonPath } from './json-path.ts';

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
interface Shown {
  readonly column: Column;
  readonly path: JsonPath;
}
/** What a kind has that declares no columns. */
const AGE_ONLY: readonly Shown[] = [{ column: { ...AGE, type: 'date' }, path: parseJsonPath('.metadata.creationTimestamp') }];

function shownColumn({ name, type, format = '', priority = 0, description, jsonPath }: CustomResourceColumnDefinition): Shown[] {
  const path = pathOrNothing(jsonPath);
  if (!path) return [];
  return [{ column: { name, type: type as Column['type'], format, priority, description: description || `Custom resource definition column (in JSONPath format): ${jsonPath}` }, path }];
}
export function customColumns(definitions: readonly CustomResourceColumnDefinition[] | undefined): CustomColumns {
  const shown = definitions?.length ? definitions.flatMap(shownColumn) : AGE_ONLY;
  return {
    columns: [NAME, ...shown.map(({ column }) => column)],
    row: (object, now) => [object.metadata.name ?? '', ...shown.map(({ column, path }) => cellOf(column.type, path(object)[0], now))],
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
