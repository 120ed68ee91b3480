/** What plugins keep between the extension points of one cycle. With a `clone`, a dry run gets a copy that it may change; without, the same. */
export type StateData = object;
interface Cloneable {
  clone(): StateData;
}
/** A plugin's own key; compare by identity. */
export class StateKey<T extends StateData> {
  declare readonly type?: T;
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
}

export class CycleState {
  readonly #data = new Map<StateKey<StateData>, StateData>();
  /** Names of the plugins that have nothing to filter in this cycle. */
  readonly skipFilter = new Set<string>();
  readonly skipScore = new Set<string>();

  get<T extends StateData>(key: StateKey<T>): T | undefined {
    return this.#data.get(key as StateKey<StateData>) as T | undefined;
  }
  set<T extends StateData>(key: StateKey<T>, value: T): void {
    this.#data.set(key as StateKey<StateData>, value);
  }
  clone(): CycleState {
    const copy = new CycleState();
    for (const [key, value] of this.#data) copy.#data.set(key, 'clone' in value ? (value as Cloneable).clone() : value);
    for (const name of this.skipFilter) copy.skipFilter.add(name);
    for (const name of this.skipScore) copy.skipScore.add(name);
    return copy;
  }
}
