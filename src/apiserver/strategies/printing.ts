/**
 * The vocabulary of table rows: the columns that nearly every kind has and how ages, selectors and lists are shown.
 * Upstream's counterpart: pkg/printers/internalversion.
 */
import type { LabelSelector, ObjectMeta } from '#api/gen/meta-v1.ts';
import { ageOf } from '#machinery/duration.ts';
import { labelMatcherOf } from '#machinery/selectors.ts';
import type { Column, FieldDoc } from '../registry/strategy.ts';

export const NONE = '<none>';
export const UNKNOWN = '<unknown>';
export const UNSET = '<unset>';

/** The text of a field of the API, by its struct as the table of facts names it: `api/core/v1.PodSpec`. */
export function fieldDoc(struct: string, field: string): FieldDoc {
  return { struct, field };
}
const META = 'apimachinery/pkg/apis/meta/v1.ObjectMeta';
const CREATION = fieldDoc(META, 'creationTimestamp');

export const NAME: Column = { name: 'Name', type: 'string', format: 'name', description: fieldDoc(META, 'name') };
export const AGE: Column = { name: 'Age', type: 'string', description: CREATION };
export const CREATED_AT: Column = { name: 'Created At', type: 'date', description: CREATION };

type Description = NonNullable<Column['description']>;
export function text(name: string, description: Description): Column {
  return { name, type: 'string', description };
}
export function integer(name: string, description: Description): Column {
  return { name, type: 'integer', description };
}
export function boolean(name: string, description: Description): Column {
  return { name, type: 'boolean', description };
}
/** A column of `-o wide`. */
export function wide(name: string, description: Description): Column {
  return { name, type: 'string', priority: 1, description };
}
export const CONTAINERS = wide('Containers', 'Names of each container in the template.');
export const IMAGES = wide('Images', 'Images referenced by each container in the template.');

/** How long ago a timestamp was, as `kubectl` shows it: `5m`, `<unknown>` where there is none. */
export function since(timestamp: string | null | undefined, now: number): string {
  return ageOf(timestamp, now);
}
/** How far off a timestamp is. */
export function age(meta: ObjectMeta, now: number): string {
  return since(meta.creationTimestamp, now);
}

/** `a=b,c=d` in order of keys; `<none>` for an empty map. */
export function labelsText(labels: Readonly<Record<string, string>> | undefined): string {
  const parts = Object.keys(labels ?? {}).toSorted().map((k) => `${k}=${labels![k]}`);
  return parts.length === 0 ? NONE : parts.join(',');
}
/** A label selector on one line; `<none>` where it selects everything or is absent, `<error>` where it is none. */
export function selectorText(selector: LabelSelector | undefined): string {
  if (!selector) return NONE;
  try {
    return labelMatcherOf(selector).toString() || NONE;
  } catch {
    return '<error>';
  }
}
interface Named {
  readonly name: string;
  readonly image?: string | undefined;
}
/** The cells `Containers` and `Images` of workloads. */
export function containerCells(containers: readonly Named[] | undefined): [names: string, images: string] {
  const list = containers ?? [];
  return [list.map((c) => c.name).join(','), list.map((c) => c.image ?? '').join(',')];
}
