/** Tables and bare metadata: the other shapes that `kubectl get` and metadata clients ask for (KEP-0050 "server-side get"). */
import type * as metaV1 from '#api/gen/meta-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { structByFactsName } from '#api/schema.ts';
import { clientDescriptions } from '#machinery/openapi.ts';
import { badRequest } from '#machinery/status-error.ts';
import type { Query } from '../query.ts';
import type { CacheEntry } from '../registry/object-cache.ts';
import type { Column, Strategy } from '../registry/strategy.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

export function includeObjectOf(query: Query): IncludeObject {
  const value = query.get('includeObject');
  if (value === '') return 'Metadata';
  if (value !== 'None' && value !== 'Metadata' && value !== 'Object') throw badRequest(`Unable to convert to Table as requested: includeObject: Invalid value: ${JSON.stringify(value)}: must be 'Metadata', 'Object', 'None', or empty`);
  return value;
}

export const metaVersion = (version: string): string => `meta.k8s.io/${version}`;

/** What a kind is shown by. */
export interface Shown {
  readonly strategy: Pick<Strategy, 'columns' | 'row' | 'fieldAnnotations'>;
}
export function partialMetadata({ strategy }: Shown, { metadata }: KubeObject, version: string): metaV1.PartialObjectMetadata {
  return { kind: 'PartialObjectMetadata', apiVersion: metaVersion(version), metadata: strategy.fieldAnnotations ? withoutAnnotations(metadata, strategy.fieldAnnotations) : metadata };
}
function withoutAnnotations(metadata: metaV1.ObjectMeta, names: readonly string[]): metaV1.ObjectMeta {
  const kept = Object.entries(metadata.annotations ?? {}).filter(([name]) => !names.includes(name));
  return { ...metadata, annotations: kept.length > 0 ? Object.fromEntries(kept) : undefined };
}

/** Texts of fields come from where `kubectl explain` has its own; they are read when a table asks for them. */
let describe: ReturnType<typeof clientDescriptions> | null = null;
function textOf(description: Column['description'] = ''): string {
  if (typeof description === 'string') return description;
  if (describe === null) describe = clientDescriptions();
  return describe?.(structByFactsName(description.struct), description.field) ?? '';
}
function columnDefinition({ name, type, format = '', description, priority = 0 }: Column): metaV1.TableColumnDefinition {
  return { name, type, format, description: textOf(description), priority };
}
const definitions = new WeakMap<readonly Column[], readonly metaV1.TableColumnDefinition[]>();
/** The head of a table; watches leave it out of every frame but the first. */
export function columnDefinitions({ strategy: { columns } }: Shown): readonly metaV1.TableColumnDefinition[] {
  const known = definitions.get(columns) ?? columns.map(columnDefinition);
  definitions.set(columns, known);
  return known;
}

export interface TableOptions {
  readonly version: string;
  readonly include: IncludeObject;
  readonly now: number;
}
function tableRow(served: Shown, entry: CacheEntry, o: TableOptions): metaV1.TableRow {
  const cells = served.strategy.row(entry.object, o.now);
  // Go's raw extension has no absent form.
  if (o.include === 'None') return { cells, object: null };
  return { cells, object: o.include === 'Object' ? entry.object : partialMetadata(served, entry.object, o.version) };
}
export function tableOf(served: Shown, entries: readonly CacheEntry[], metadata: metaV1.ListMeta, o: TableOptions, headers = true): metaV1.Table {
  return {
    kind: 'Table',
    apiVersion: metaVersion(o.version),
    metadata,
    columnDefinitions: (headers ? columnDefinitions(served) : null) as metaV1.Table['columnDefinitions'],
    rows: entries.map((entry) => tableRow(served, entry, o)),
  };
}
