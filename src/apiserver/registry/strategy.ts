/**
 * What each resource adds to the generic registry. A kind is one file under `strategies/` that exports a
 * {@link Strategy}, and one row in `strategies/index.ts`. Upstream's counterpart: registry strategies and printers.
 *
 * The order of a write: decode → normalise (empty structs, schema defaults) → `default` → admission (mutating) →
 * `prepareForCreate`/`prepareForUpdate` → `validate…` → admission (validating) → store.
 */
import type { KubeObject } from '#api/object.ts';
import type { ResourceInfo } from '#api/resources.ts';
import type { Draft } from '#base/draft.ts';
import type { FieldError, FieldPath } from '#machinery/field-errors.ts';

export interface UserInfo {
  readonly name: string;
  readonly uid?: string | undefined;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** What a strategy may know of the request it serves. */
export interface StrategyContext {
  readonly user: UserInfo;
  /** Milliseconds since the epoch, from the injected clock. */
  readonly now: number;
  /** '' for the main resource, else the subresource that is written: `status`, `resize`, … */
  readonly subresource: string;
  /** Whether a resource is served: fields that are of no use without it are dropped, as upstream drops those of disabled features. */
  serves(group: string, version: string, plural: string): boolean;
  /** Labels of the namespace that the object is in; empty for an object of the cluster. */
  namespaceLabels(): Readonly<Record<string, string>>;
  /** Adds a `Warning` header to the answer. */
  warn(message: string): void;
}

/** What a change needs beyond the permission for the request. */
export interface RequiredPermission {
  readonly path: FieldPath;
  readonly subresource: string;
  /** '' for the cluster. */
  readonly namespace: string;
  /** '' for all. */
  readonly name: string;
  /** Any of them will do; the first is the one that a refusal is about. */
  readonly verbs: readonly [string, ...string[]];
  /** What is told before the refusal: `changing status.devices requires … permission`. */
  readonly message: string;
}

/** What the API reference says of a field. */
export interface FieldDoc {
  readonly struct: string;
  readonly field: string;
}
/** A column of `kubectl get`: as upstream's printers declare it. */
export interface Column {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'number' | 'boolean' | 'date';
  readonly format?: string;
  /** 0: always shown; 1: with `-o wide`. */
  readonly priority?: number;
  readonly description?: string | FieldDoc;
}
export type Cell = string | number | bigint | boolean | null;

export interface Strategy<T extends KubeObject = KubeObject> {
  readonly resource: ResourceInfo;
  /** Dotted paths of lists and maps which, empty, are not absent to {@link default} and to validation. They are stored as absent. */
  readonly givenEmpty?: readonly string[];
  /** What a body of the kind cannot be read for though its fields are of their types: the reason, in upstream's words. */
  unreadable?(obj: T): string | undefined;
  /** Fills in what the client left out. The draft is private to this request. */
  default?(obj: Draft<T>): void;
  prepareForCreate?(obj: Draft<T>, ctx: StrategyContext): void;
  /** Main resource: status is already that of `old` and generation is counted by the registry when {@link generationFields} say so. */
  prepareForUpdate?(obj: Draft<T>, old: T, ctx: StrategyContext): void;
  validate?(obj: T, ctx: StrategyContext): readonly FieldError[];
  validateUpdate?(obj: T, old: T, ctx: StrategyContext): readonly FieldError[];
  /** Replaces {@link validateUpdate} for a write to `status`. */
  validateStatusUpdate?(obj: T, old: T, ctx: StrategyContext): readonly FieldError[];
  /** What the user needs for a write to `status` beside the permission for that; `verb` is that of the request. What is refused is told with what is invalid. */
  statusPermissions?(obj: T, old: T, user: UserInfo, verb: string): readonly RequiredPermission[];
  /**
   * What the author of an object that was found valid may not have meant, for `Warning` headers: of a create, and of an update of the main
   * resource, which has `old`. Upstream's counterpart: WarningsOnCreate and WarningsOnUpdate.
   */
  warnings?(obj: T, old: T | undefined): readonly string[];
  /** Validator of `metadata.name`: returns upstream's messages. Default: DNS-1123 subdomain. */
  validateName?(name: string, prefix: boolean): readonly string[];
  /** Top-level fields whose change counts up `metadata.generation`; empty or absent: the kind has no generation. */
  readonly generationFields?: readonly string[];
  /** PUT to a name that does not exist creates it (upstream's AllowCreateOnUpdate). Default false. */
  readonly allowCreateOnUpdate?: boolean;
  /** An update may leave resourceVersion out. Default true. */
  readonly allowUnconditionalUpdate?: boolean;
  readonly columns: readonly Column[];
  /** Annotations that say what a field once said: shown with the object, and left out where its metadata is shown alone. */
  readonly fieldAnnotations?: readonly string[];
  /** Cells for {@link columns}, without the name's namespace. `now` is for ages. */
  row(obj: T, now: number): readonly Cell[];
  /** Field selectors beyond `metadata.name` and `metadata.namespace`, each to the text it selects on. */
  readonly selectableFields?: Readonly<Record<string, (obj: T) => string>>;
  /**
   * Graceful deletion: seconds that the object stays with a deletionTimestamp, decided from the options; undefined or 0: it
   * goes at once (finalizers apart). Pods only, in practice.
   */
  gracePeriod?(obj: T, requested: number | undefined): number | undefined;
  /** What becomes of dependents when the request for the deletion does not say. `ignore`: the kind has none. Default `delete`. */
  readonly dependents?: 'delete' | 'orphan' | 'ignore';
  /** Told to who deletes without saying what becomes of dependents. */
  readonly deletionWarning?: string;
  /** Called by the first delete: adds finalizers that hold the object, and conditions that tell. May set the deletionTimestamp by itself, and is then all that the delete does. `now` in milliseconds. */
  beforeDelete?(obj: Draft<T>, now: number): void;
}
