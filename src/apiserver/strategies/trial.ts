/**
 * For tests of strategies: an object's way through a strategy as the registry leads it, without a registry.
 * Errors come back as upstream prints them: `spec.containers[0].name: Required value`.
 */
import type { KubeObject } from '#api/object.ts';
import { draftOf, type Draft } from '#base/draft.ts';
import { toAggregate, type FieldError } from '#machinery/field-errors.ts';
import type { Cell, Strategy, StrategyContext } from '../registry/strategy.ts';

export const NOW = Date.parse('2026-01-02T03:04:05Z');

export interface Trial {
  readonly object: Draft<KubeObject> & Record<string, unknown>;
  readonly errors: readonly string[];
  readonly warnings: readonly string[];
}
const lines = (errors: readonly FieldError[]) => errors.map((e) => toAggregate([e]));

function context(subresource: string, warnings: string[]): StrategyContext {
  return { user: { name: 'jane', groups: ['system:authenticated'] }, now: NOW, subresource, serves: () => true, namespaceLabels: () => ({}), warn: (message) => void warnings.push(message) };
}
/** A create: default, prepare, validate. Warnings are told of objects with errors too. */
export function tryCreate(strategy: Strategy, input: object): Trial {
  const warnings: string[] = [];
  const ctx = context('', warnings);
  const object = draftOf(input) as Trial['object'];
  strategy.default?.(object);
  strategy.prepareForCreate?.(object, ctx);
  const errors = strategy.validate?.(object, ctx) ?? [];
  warnings.push(...(strategy.warnings?.(object, undefined) ?? []));
  return { object, errors: lines(errors), warnings };
}
/** An update of `old`, which is defaulted and prepared as its create was and has the status that it gives, by `change` on a copy of it. */
export function tryUpdate(strategy: Strategy, old: object, change: (obj: Trial['object']) => void, subresource = ''): Trial {
  const warnings: string[] = [];
  const ctx = context(subresource, warnings);
  const before = { ...tryCreate(strategy, old).object, ...('status' in old ? { status: draftOf(old.status) } : {}) };
  const object = draftOf(before) as Trial['object'];
  change(object);
  strategy.default?.(object);
  strategy.prepareForUpdate?.(object, before, ctx);
  const errors = subresource === 'status' ? (strategy.validateStatusUpdate ?? strategy.validateUpdate)?.(object, before, ctx) : strategy.validateUpdate?.(object, before, ctx);
  if (subresource === '') warnings.push(...(strategy.warnings?.(object, before) ?? []));
  return { object, errors: lines(errors ?? []), warnings };
}
/** A row by column name. */
export function rowOf(strategy: Strategy, obj: object, now = NOW): Readonly<Record<string, Cell>> {
  const cells = strategy.row(obj as KubeObject, now);
  if (cells.length !== strategy.columns.length) throw new Error(`"${strategy.resource.plural}" has ${strategy.columns.length} columns but rows of ${cells.length} cells`);
  return Object.fromEntries(strategy.columns.map((column, i) => [column.name, cells[i]!]));
}
