/**
 * Configuration files of the API server's own (`apiserver.config.k8s.io`), read strictly: a field that is not known, or not of its type, is
 * an error that names it. Defaults and rules are the callers'.
 */
import { parseDurationMs } from '#machinery/duration.ts';
import { fieldPath, invalidValue, type FieldError, type FieldPath } from '#machinery/field-errors.ts';
import { parseYaml } from '#machinery/yaml.ts';

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/** One object of a file. Each field is asked for once; {@link close} complains of those that nobody asked for. */
export class ObjectReader {
  readonly path: FieldPath | undefined;
  readonly errors: FieldError[];
  readonly #value: Json;
  readonly #asked = new Set<string>();
  constructor(value: unknown, path: FieldPath | undefined, errors: FieldError[]) {
    this.path = path;
    this.errors = errors;
    this.#value = isObject(value) ? value : {};
    if (!isObject(value)) errors.push(invalidValue(path ?? fieldPath(), value, 'must be an object'));
  }
  at(name: string): FieldPath {
    return this.path?.child(name) ?? fieldPath(name);
  }
  /** Absent and null are the same. */
  has(name: string): boolean {
    const value = this.#value[name];
    return value !== undefined && value !== null;
  }
  string(name: string): string | undefined {
    return this.#typed(name, 'a string', (v): v is string => typeof v === 'string');
  }
  boolean(name: string): boolean | undefined {
    return this.#typed(name, 'a boolean', (v): v is boolean => typeof v === 'boolean');
  }
  integer(name: string): number | undefined {
    return this.#typed(name, 'an integer', (v): v is number => Number.isSafeInteger(v));
  }
  /** Milliseconds of a Go duration. */
  duration(name: string): number | undefined {
    const text = this.string(name);
    if (text === undefined) return undefined;
    try {
      return parseDurationMs(text);
    } catch (err) {
      this.errors.push(invalidValue(this.at(name), text, (err as Error).message));
      return undefined;
    }
  }
  strings(name: string): readonly string[] {
    return this.#typed(name, 'a list of strings', (v): v is string[] => Array.isArray(v) && v.every((s) => typeof s === 'string')) ?? [];
  }
  stringMap(name: string): Readonly<Record<string, string>> {
    return this.#typed(name, 'a map of strings', (v): v is Record<string, string> => isObject(v) && Object.values(v).every((s) => typeof s === 'string')) ?? {};
  }
  object(name: string): ObjectReader | undefined {
    this.#asked.add(name);
    return this.has(name) ? new ObjectReader(this.#value[name], this.at(name), this.errors) : undefined;
  }
  objects(name: string): readonly ObjectReader[] {
    const list = this.#typed(name, 'a list', (v): v is unknown[] => Array.isArray(v)) ?? [];
    return list.map((item, i) => new ObjectReader(item, this.at(name).index(i), this.errors));
  }
  close(): void {
    for (const name of Object.keys(this.#value)) if (!this.#asked.has(name)) this.errors.push(invalidValue(this.at(name), '', `unknown field "${name}"`));
  }
  #typed<T>(name: string, what: string, fits: (value: unknown) => value is T): T | undefined {
    this.#asked.add(name);
    const value = this.#value[name];
    if (value === undefined || value === null) return undefined;
    if (fits(value)) return value;
    this.errors.push(invalidValue(this.at(name), value, `must be ${what}`));
    return undefined;
  }
}

/** A file of `kind` in one of `versions`, which are read alike. Throws an Error in upstream's words. */
export function readConfigurationObject(text: string, kind: string, versions: readonly string[], errors: FieldError[]): ObjectReader {
  const value: unknown = parseYaml(text, { strict: true });
  const { apiVersion, kind: found } = isObject(value) ? value : {};
  if (found !== kind || !versions.includes(String(apiVersion))) {
    throw new Error(`no kind "${String(found ?? '')}" is registered for version "${String(apiVersion ?? '')}": want kind "${kind}" of apiVersion "${versions[0]}"`);
  }
  const reader = new ObjectReader(value, undefined, errors);
  reader.string('apiVersion');
  reader.string('kind');
  return reader;
}
