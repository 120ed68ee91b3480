/** Tables and bare metadata: the other shapes that `kubectl get` and metadata clients ask for (KEP-0050 "server-side get"). */
import type * as metaV1 from '#api/gen/meta-v1.ts';
import type { KubeObject } from '#api/object.ts';
import { badRequest } from '#machinery/status-error.ts';
import type { Query } from '../query.ts';
import type { CacheEntry } from '../registry/object-cache.ts';
import type { ServedResource } from '../registry/resource-registry.ts';
import type { Column } from '../registry/strategy.ts';

export type IncludeObject = 'None' | 'Metadata' | 'Object';

export function includeObjectOf(query: Query): IncludeObject {
  const value = query.get('includeObject');
  if (value === '') return 'Metadata';
  if (value !== 'None' && value !== 'Metadata' && value !== 'Object') throw badRequest(`Unable to convert to Table as requested: includeObject: Invalid value: ${JSON.stringify(value)}: must be 'Metadata', 'Object', 'None', or empty`);
  return value;
}

export const metaVersion = (version: string): string => `meta.k8s.io/${version}`;

export function partialMetadata({ strategy }: Pick<ServedResource, 'strategy'>, { metadata }: KubeObject, version: string): metaV1.PartialObjectMetadata {
  return { kind: 'PartialObjectMetadata', apiVersion: metaVersion(version), metadata: strategy.fieldAnnotations ? withoutAnnotations(metadata, strategy.fieldAnnotations) : metadata };
}
function withoutAnnotations(metadata: metaV1.ObjectMeta, names: readonly string[]): metaV1.ObjectMeta {
  const kept = Object.entries(metadata.annotations ?? {}).filter(([name]) => !names.includes(name));
  return { ...metadata, annotations: kept.length > 0 ? Object.fromEntries(kept) : undefined };
}

function columnDefinition(column: Column): metaV1.TableColumnDefinition {
  const { name, type, format = '', description = '', priority = 0 } = column;
  return { name, type, format, description, priority };
}
/** The head of a table; watches leave it out of every frame but the first. */
export function columnDefinitions(served: ServedResource): readonly metaV1.TableColumnDefinition[] {
  return served.strategy.columns.map((c) => columnDefinition(withDescription(c)));
}
const NAME_DESCRIPTION =
  'Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically. Name is primarily intended for creation idempotence and configuration definition. Cannot be updated. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names';
function withDescription(column: Column): Column {
  return column.description === undefined && column.format === 'name' ? { ...column, description: NAME_DESCRIPTION } : column;
}

export interface TableOptions {
  readonly version: string;
  readonly include: IncludeObject;
  readonly now: number;
}
function tableRow(served: ServedResource, entry: CacheEntry, o: TableOptions): metaV1.TableRow {
  const cells = served.strategy.row(entry.object, o.now);
  // Go's raw extension has no absent form.
  if (o.include === 'None') return { cells, object: null };
  return { cells, object: o.include === 'Object' ? entry.object : partialMetadata(served, entry.object, o.version) };
}
export function tableOf(served: ServedResource, entries: readonly CacheEntry[], metadata: metaV1.ListMeta, o: TableOptions, headers = true): metaV1.Table {
  return {
    kind: 'Table',
    apiVersion: metaVersion(o.version),
    metadata,
    columnDefinitions: (headers ? columnDefinitions(served) : null) as metaV1.Table['columnDefinitions'],
    rows: entries.map((entry) => tableRow(served, entry, o)),
  };
}
