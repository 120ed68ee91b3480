/** What one evaluation keeps: variables, results of macros, and what was spent. */
import { CostLimitError } from './errors.ts';
import type { Value } from './values.ts';

/** Gives the declared variables. */
export interface Activation {
  /** Undefined: the variable has no value; using it is an error. */
  get(name: string): Value | undefined;
}
/**
 * Work that the cost model does not count (it takes the comparison of two lists for one step, however deep they are) but that takes time all the same:
 * items compared, text made (16 characters count as one). Far more than any honest rule needs; keeps a hostile one from holding the process.
 */
const WORK_LIMIT = 4_000_000;

export class Frame {
  /** In cel-go's units. */
  cost = 0;
  work = 0;
  readonly limit: number;
  readonly slots: (Value | undefined)[];
  readonly activation: Activation;
  constructor(activation: Activation, slots: number, limit: number) {
    this.activation = activation;
    this.limit = limit;
    // oxlint-disable-next-line unicorn/no-new-array
    this.slots = slots === 0 ? [] : new Array<Value | undefined>(slots).fill(undefined);
  }
  charge(units: number): void {
    this.cost += units;
    if (this.cost > this.limit) throw new CostLimitError();
  }
  /** Text that is read or made. */
  scribble(characters: number): void {
    this.labour(1 + (characters >> 4));
  }
  labour(units: number): void {
    this.work += units;
    if (this.work > WORK_LIMIT) throw new CostLimitError();
  }
}
