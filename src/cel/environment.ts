/** What an expression may speak of: variables with their types, functions, types, macros. Immutable. */
import type { FunctionDeclaration, Overload } from './functions.ts';
import type { Macro } from './macros.ts';
import { BOOL, BYTES, DOUBLE, DURATION, DYN, INT, listOf, mapOf, NULL, optionalOf, runtimeName, STRING, TIMESTAMP, UINT, type CelType } from './types.ts';
import type { Value } from './values.ts';

/** Makes values of a type that expressions construct: `JSONPatch{op: "add"}`. */
export interface StructMaker {
  readonly type: CelType;
  /** The type of a field; undefined: there is no such field. */
  field(name: string): CelType | undefined;
  make(fields: ReadonlyMap<string, Value>): Value;
}
export interface Library {
  readonly functions?: readonly FunctionDeclaration[];
  readonly macros?: readonly Macro[];
  /** Types whose names are values: `type(x) == net.IP`. */
  readonly types?: readonly CelType[];
  /** By name, for `Name{…}`. */
  readonly structs?: (name: string) => StructMaker | undefined;
}
export interface EnvironmentOptions {
  readonly libraries: readonly Library[];
  readonly variables?: Readonly<Record<string, CelType>>;
  /** Lists and maps in literals must be of one type. Default false. */
  readonly homogeneousLiterals?: boolean;
}

const TYPES: readonly CelType[] = [BOOL, BYTES, DOUBLE, DURATION, INT, NULL, STRING, TIMESTAMP, UINT, listOf(DYN), mapOf(DYN, DYN), optionalOf(DYN), { kind: 'type', of: DYN }];

export class Environment {
  readonly macros: readonly Macro[];
  readonly homogeneousLiterals: boolean;
  readonly #functions: ReadonlyMap<string, readonly Overload[]>;
  readonly #types: ReadonlyMap<string, CelType>;
  readonly #structs: readonly ((name: string) => StructMaker | undefined)[];
  readonly #variables: ReadonlyMap<string, CelType>;
  readonly #options: EnvironmentOptions;

  constructor(options: EnvironmentOptions, base?: Environment) {
    this.#options = options;
    this.homogeneousLiterals = options.homogeneousLiterals ?? false;
    this.#variables = new Map(Object.entries(options.variables ?? {}));
    if (base) {
      this.macros = base.macros;
      this.#functions = base.#functions;
      this.#types = base.#types;
      this.#structs = base.#structs;
      return;
    }
    const functions = new Map<string, Overload[]>();
    for (const library of options.libraries) {
      for (const { name, overloads } of library.functions ?? []) functions.set(name, [...(functions.get(name) ?? []), ...overloads]);
    }
    this.#functions = functions;
    this.macros = options.libraries.flatMap((l) => l.macros ?? []);
    this.#types = new Map([...TYPES, ...options.libraries.flatMap((l) => l.types ?? [])].map((type) => [runtimeName(type), type]));
    this.#structs = options.libraries.flatMap((l) => (l.structs ? [l.structs] : []));
  }

  /** The same with other variables. Cheap. */
  withVariables(variables: Readonly<Record<string, CelType>>): Environment {
    return new Environment({ ...this.#options, variables: { ...this.#options.variables, ...variables } }, this);
  }
  variable(name: string): CelType | undefined {
    return this.#variables.get(name);
  }
  functions(name: string): readonly Overload[] | undefined {
    return this.#functions.get(name);
  }
  typeNamed(name: string): CelType | undefined {
    return this.#types.get(name);
  }
  structNamed(name: string): StructMaker | undefined {
    for (const find of this.#structs) {
      const found = find(name);
      if (found) return found;
    }
    return undefined;
  }
}
