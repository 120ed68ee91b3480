/** The query of a request, under wire names; the same for HTTP and for calls in the process. */
export class Query {
  readonly #values: ReadonlyMap<string, readonly string[]>;
  private constructor(values: ReadonlyMap<string, readonly string[]>) {
    this.#values = values;
  }
  static readonly empty = new Query(new Map());

  /** From the text behind the `?`. */
  static parse(text: string): Query {
    if (text === '') return Query.empty;
    const values = new Map<string, string[]>();
    for (const [name, value] of new URLSearchParams(text)) {
      const known = values.get(name);
      if (known) known.push(value);
      else values.set(name, [value]);
    }
    return new Query(values);
  }
  static of(record: Readonly<Record<string, string | readonly string[] | undefined>> | undefined): Query {
    if (!record) return Query.empty;
    const values = new Map<string, readonly string[]>();
    for (const [name, value] of Object.entries(record)) {
      if (value !== undefined) values.set(name, typeof value === 'string' ? [value] : value);
    }
    return new Query(values);
  }
  has(name: string): boolean {
    return this.#values.has(name);
  }
  /** The first value; '' when the parameter is absent. */
  get(name: string): string {
    return this.#values.get(name)?.[0] ?? '';
  }
  getAll(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }
  get size(): number {
    return this.#values.size;
  }
  /** As text for another server, without the names in `except`. */
  toString(except: ReadonlySet<string> = new Set()): string {
    const out = new URLSearchParams();
    for (const [name, values] of this.#values) if (!except.has(name)) for (const value of values) out.append(name, value);
    return out.toString();
  }
  /** Go's rule for booleans in queries: present and not `false` or `0` is true. */
  bool(name: string): boolean {
    const value = this.#values.get(name)?.[0];
    return value !== undefined && value.toLowerCase() !== 'false' && value !== '0';
  }
}
