/** What the devices of a claim must have in common, or not. Source: the API reference, "DeviceConstraint". */
import type { DeviceAttribute, DeviceConstraint } from '#api/gen/resource-v1.ts';
import type { Candidate } from './pools.ts';

/** The value with its type; values of lists are an alpha feature (KEP-5491) and compare with nothing. */
function valueOf(attribute: DeviceAttribute | undefined): string | undefined {
  if (attribute?.string !== undefined) return `string ${attribute.string}`;
  if (attribute?.int !== undefined) return `int ${attribute.int}`;
  if (attribute?.bool !== undefined) return `bool ${attribute.bool}`;
  return attribute?.version === undefined ? undefined : `version ${attribute.version}`;
}
/** Attributes without a domain are in the driver's. */
function lookUp({ device, driver }: Candidate, name: string): string | undefined {
  const attributes = device.attributes ?? {};
  const own = Object.hasOwn(attributes, name) ? attributes[name] : undefined;
  if (own) return valueOf(own);
  const [domain, short] = [name.slice(0, name.indexOf('/')), name.slice(name.indexOf('/') + 1)];
  return domain === driver && Object.hasOwn(attributes, short) ? valueOf(attributes[short]) : undefined;
}

/** One constraint while devices come and go; the last that came goes first. */
export class Constraint {
  readonly #attribute: string;
  readonly #same: boolean;
  readonly #requests: ReadonlySet<string>;
  readonly #values: string[] = [];

  /** Throws for a kind of constraint that is not known. */
  constructor({ requests = [], matchAttribute, distinctAttribute }: DeviceConstraint, where: string) {
    const attribute = matchAttribute ?? distinctAttribute;
    if (attribute === undefined) throw new Error(`${where}: empty constraint (unsupported constraint type?)`);
    this.#attribute = attribute;
    this.#same = matchAttribute !== undefined;
    this.#requests = new Set(requests);
  }
  /** `names` are those of the request: its own and, of an alternative, the full one. */
  concerns(names: readonly string[]): boolean {
    return this.#requests.size === 0 || names.some((name) => this.#requests.has(name));
  }
  /** False where the device must not join. */
  add(candidate: Candidate): boolean {
    const value = lookUp(candidate, this.#attribute);
    if (value === undefined) return false;
    const fits = this.#same ? this.#values.length === 0 || this.#values[0] === value : !this.#values.includes(value);
    if (fits) this.#values.push(value);
    return fits;
  }
  removeLast(): void {
    this.#values.pop();
  }
}
