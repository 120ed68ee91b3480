/** Which devices the selectors of classes and requests choose. What a selector says of a device never changes, so it is asked once. */
import type { Device, DeviceSelector } from '#api/gen/resource-v1.ts';
import { compileDeviceSelector, deviceValue, type CompiledSelector, type DeviceValue } from '#cel/device-selector.ts';

const MAX_COMPILED = 256;
/** Of one device; beyond, answers are forgotten. */
const MAX_ANSWERS = 64;

interface Known {
  value?: DeviceValue;
  readonly answers: Map<string, boolean | Error>;
}
/** `what` is the class or the claim that the selectors are of: `class gpu`, `claim default/x`. */
export interface SelectorOwner {
  readonly what: string;
  readonly selectors: readonly DeviceSelector[];
}

export class DeviceSelectors {
  readonly #compiled = new Map<string, CompiledSelector>();
  readonly #known = new WeakMap<Device, Known>();

  /** Throws where a selector cannot be compiled or fails on the device. */
  match({ what, selectors }: SelectorOwner, driver: string, device: Device): boolean {
    return selectors.every((selector, i) => {
      const answer = this.#ask(selector.cel?.expression ?? '', driver, device);
      if (typeof answer === 'boolean') return answer;
      throw new Error(`${what}: selector #${i}: ${answer.message}`, { cause: answer });
    });
  }
  #ask(expression: string, driver: string, device: Device): boolean | Error {
    const known: Known = this.#known.get(device) ?? { answers: new Map() };
    this.#known.set(device, known);
    let answer = known.answers.get(expression);
    if (answer === undefined) {
      answer = this.#evaluate(expression, driver, device, known);
      if (known.answers.size >= MAX_ANSWERS) known.answers.clear();
      known.answers.set(expression, answer);
    }
    return answer;
  }
  #evaluate(expression: string, driver: string, device: Device, known: Known): boolean | Error {
    const compiled = this.#compile(expression);
    if ('error' in compiled) return new Error(`CEL compile error: ${compiled.error}`);
    try {
      return compiled.selector.matches((known.value ??= deviceValue(driver, device)));
    } catch (err) {
      return new Error(`CEL runtime error: ${(err as Error).message}`, { cause: err });
    }
  }
  #compile(expression: string): CompiledSelector {
    let compiled = this.#compiled.get(expression);
    if (!compiled) {
      compiled = compileDeviceSelector(expression);
      if (this.#compiled.size >= MAX_COMPILED) this.#compiled.clear();
      this.#compiled.set(expression, compiled);
    }
    return compiled;
  }
}
