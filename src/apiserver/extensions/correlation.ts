/** A value beside what it was before the update: fields by name, items of map lists by their keys. Source: KEP-4008, CRD validation ratcheting. */
import { getOwn } from '#base/own.ts';
import { isObject, itemsOf, propertyOf, sameJson, valuesOf, type Schema } from './schema.ts';

/** The text that tells an item of a map list from others. */
export function itemKey(item: unknown, keys: readonly string[], schema: Schema | undefined): string {
  return JSON.stringify(keys.map((key) => (isObject(item) ? (getOwn(item, key) ?? propertyOf(schema, key)?.default ?? null) : null)));
}
export function mapKeysOf(schema: Schema | undefined): readonly string[] | undefined {
  return schema?.['x-kubernetes-list-type'] === 'map' ? (schema['x-kubernetes-list-map-keys'] ?? []) : undefined;
}

export class Correlation {
  readonly value: unknown;
  readonly old: unknown;
  readonly #schema: Schema | undefined;
  #same: boolean | undefined;
  #oldByKey: ReadonlyMap<string, unknown> | undefined;
  constructor(value: unknown, old: unknown, schema: Schema | undefined) {
    this.value = value;
    this.old = old;
    this.#schema = schema;
  }
  /** Nothing in it changed. */
  get unchanged(): boolean {
    return (this.#same ??= sameJson(this.value, this.old));
  }
  /** Undefined: it was not there before. */
  key(name: string): Correlation | undefined {
    if (!isObject(this.value) || !isObject(this.old) || !Object.hasOwn(this.old, name)) return undefined;
    return new Correlation(this.value[name], this.old[name], propertyOf(this.#schema, name) ?? valuesOf(this.#schema));
  }
  index(i: number): Correlation | undefined {
    const keys = mapKeysOf(this.#schema);
    if (!keys || !Array.isArray(this.value) || !Array.isArray(this.old)) return undefined;
    const items = itemsOf(this.#schema);
    this.#oldByKey ??= new Map(this.old.map((item) => [itemKey(item, keys, items), item]));
    const id = itemKey(this.value[i], keys, items);
    return this.#oldByKey.has(id) ? new Correlation(this.value[i], this.#oldByKey.get(id), items) : undefined;
  }
}
