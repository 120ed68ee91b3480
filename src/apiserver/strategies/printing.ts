/**
 * The vocabulary of table rows: the columns that nearly every kind has and how ages, selectors and lists are shown.
 * Upstream's counterpart: pkg/printers/internalversion.
 */
import type { LabelSelector, ObjectMeta } from '#api/gen/meta-v1.ts';
import { ageOf } from '#machinery/duration.ts';
import { labelMatcherOf } from '#machinery/selectors.ts';
import type { Column } from '../registry/strategy.ts';

export const NONE = '<none>';
export const UNKNOWN = '<unknown>';
export const UNSET = '<unset>';

export const NAME: Column = { name: 'Name', type: 'string', format: 'name' };
export const AGE: Column = { name: 'Age', type: 'string' };
export const CREATED_AT: Column = { name: 'Created At', type: 'date' };

export function text(name: string): Column {
  return { name, type: 'string' };
}
export function integer(name: string): Column {
  return { name, type: 'integer' };
}
export function boolean(name: string): Column {
  return { name, type: 'boolean' };
}
/** A column of `-o wide`. */
export function wide(name: string): Column {
  return { name, type: 'string', priority: 1 };
}

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
/** Comma-separated, `<none>` when empty. */

interface Named {
  readonly name: string;
  readonly image?: string | undefined;
}
/** The cells `Containers` and `Images` of workloads. */
export function containerCells(containers: readonly Named[] | undefined): [names: string, images: string] {
  const list = containers ?? [];
  return [list.map((c) => c.name).join(','), list.map((c) => c.image ?? '').join(',')];
}
