/**
 * `resource.Quantity`: exact decimal amounts with a suffix, such as `100m`, `1.5Gi` or `12e6`.
 * Source: the API reference, "Quantity"; error texts and the choice of suffix as upstream's `apimachinery/pkg/api/resource`.
 *
 * A quantity is `mantissa × 10^scale`. It keeps the kind of suffix it was written with and prints in canonical form: no fraction,
 * no loss, the largest suffix. Amounts finer than a nano are rounded away from zero; amounts with a binary suffix end at 2^63-1.
 */

export type QuantityFormat = 'DecimalSI' | 'BinarySI' | 'DecimalExponent';

export class QuantityError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'QuantityError';
  }
}

const WRONG_FORMAT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
const BAD_NUMBER = 'unable to parse numeric part of quantity';
const BAD_SUFFIX = "unable to parse quantity's suffix";

const DECIMAL: ReadonlyMap<string, number> = new Map([['n', -9], ['u', -6], ['m', -3], ['', 0], ['k', 3], ['M', 6], ['G', 9], ['T', 12], ['P', 15], ['E', 18]]);
const DECIMAL_SUFFIX: ReadonlyMap<number, string> = new Map([...DECIMAL].map(([suffix, exponent]) => [exponent, suffix]));
const BINARY = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'] as const;
const NANO = -9;
const MAX_DECIMAL_SUFFIX = 18;
const MAX_INT64 = 2n ** 63n - 1n;
const MIN_INT64 = -(2n ** 63n);
/** What fits an int64 whatever its digits are: upstream leaves a text of up to so many digits as it was written. */
const SAFE_DIGITS = 18;
/** Beyond this upstream would compute with numbers that fill the memory; we refuse to. */
const MAX_DIGITS = 1000;

const TEXT = /^([+-]?)([0-9]*)(?:(\.)([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)$/;

interface Suffix {
  readonly format: QuantityFormat;
  /** A power of ten, or of two for `BinarySI`. */
  readonly exponent: number;
}

function parseSuffix(text: string): Suffix {
  const decimal = DECIMAL.get(text);
  if (decimal !== undefined) return { format: 'DecimalSI', exponent: decimal };
  const binary = BINARY.indexOf(text as (typeof BINARY)[number]);
  if (binary > 0) return { format: 'BinarySI', exponent: binary * 10 };
  if (!/^[eE][-+]?[0-9]+$/.test(text)) throw new QuantityError(BAD_SUFFIX);
  const exponent = Number(text.slice(1));
  if (exponent > MAX_DIGITS) throw new QuantityError(BAD_SUFFIX);
  return { format: 'DecimalExponent', exponent: Math.max(exponent, -2 * MAX_DIGITS) };
}

/** Quotient of a division by 10^digits, rounded away from zero. */
function roundOff(mantissa: bigint, digits: number): bigint {
  const divisor = 10n ** BigInt(digits);
  const quotient = mantissa / divisor;
  if (quotient * divisor === mantissa) return quotient;
  return mantissa < 0n ? quotient - 1n : quotient + 1n;
}

/** True where upstream keeps the text as it was written instead of computing the canonical form. */
function isKeptAsWritten(digits: string, fraction: string, suffix: Suffix): boolean {
  if (suffix.format !== 'BinarySI') {
    const scale = suffix.exponent - fraction.length;
    return digits.length <= SAFE_DIGITS && scale >= NANO && scale % 3 === 0 && !digits.endsWith('000') && !digits.startsWith('0');
  }
  const room = 14 - digits.length - Math.trunc((suffix.exponent * 3) / 10);
  return fraction === '' && room >= 0 && (Number(digits) & 7) !== 0;
}

/** An exact amount. Immutable. */
export class Quantity {
  readonly format: QuantityFormat;
  readonly #mantissa: bigint;
  readonly #scale: number;
  #text: string | undefined;

  /** `mantissa × 10^scale`; `text` is given only where it is known to be the way upstream prints the amount. */
  constructor(mantissa: bigint, scale: number, format: QuantityFormat, text?: string) {
    this.#mantissa = mantissa;
    this.#scale = scale;
    this.format = format;
    this.#text = text;
  }

  sign(): -1 | 0 | 1 {
    return this.#mantissa === 0n ? 0 : this.#mantissa < 0n ? -1 : 1;
  }
  isZero(): boolean {
    return this.#mantissa === 0n;
  }

  cmp(other: Quantity): -1 | 0 | 1 {
    const scale = Math.min(this.#scale, other.#scale);
    const a = this.#at(scale);
    const b = other.#at(scale);
    return a === b ? 0 : a < b ? -1 : 1;
  }
  equals(other: Quantity): boolean {
    return this.cmp(other) === 0;
  }

  /** The sum, in this quantity's format; in the other's where this one is zero. */
  add(other: Quantity): Quantity {
    const scale = Math.min(this.#scale, other.#scale);
    return new Quantity(this.#at(scale) + other.#at(scale), scale, this.isZero() ? other.format : this.format);
  }
  sub(other: Quantity): Quantity {
    return this.add(other.neg());
  }
  neg(): Quantity {
    return new Quantity(-this.#mantissa, this.#scale, this.format);
  }
  mul(factor: bigint | number): Quantity {
    return new Quantity(this.#mantissa * BigInt(factor), this.#scale, this.format);
  }

  /** The amount as an integer, rounded away from zero, within int64. */
  value(): bigint {
    return this.#scaled(0);
  }
  /** The amount in thousandths, rounded away from zero, within int64. */
  milliValue(): bigint {
    return this.#scaled(-3);
  }
  /** The nearest number; may lose precision. */
  toNumber(): number {
    return Number(`${this.#mantissa}e${this.#scale}`);
  }

  /** The canonical form. */
  toString(): string {
    return (this.#text ??= this.#canonical());
  }
  toJSON(): string {
    return this.toString();
  }

  /** The mantissa at a scale that is not above the quantity's own. */
  #at(scale: number): bigint {
    return scale === this.#scale ? this.#mantissa : this.#mantissa * 10n ** BigInt(this.#scale - scale);
  }
  #scaled(scale: number): bigint {
    const exact = this.#scale >= scale ? this.#at(scale) : roundOff(this.#mantissa, scale - this.#scale);
    return exact > MAX_INT64 ? MAX_INT64 : exact < MIN_INT64 ? MIN_INT64 : exact;
  }

  #canonical(): string {
    if (this.#mantissa === 0n) return '0';
    let digits = String(this.#mantissa);
    let scale = this.#scale;
    const zeros = digits.length - digits.replace(/0+$/, '').length;
    digits = digits.slice(0, digits.length - zeros);
    scale += zeros;
    if (this.format === 'BinarySI' && scale >= 0) {
      const text = binaryText(BigInt(digits) * 10n ** BigInt(scale));
      if (text !== undefined) return text;
    }
    const exponent = Math.min(Math.floor(scale / 3) * 3, this.format === 'DecimalExponent' ? Infinity : MAX_DECIMAL_SUFFIX);
    const number = digits + '0'.repeat(scale - exponent);
    if (this.format === 'DecimalExponent') return exponent === 0 ? number : `${number}e${exponent}`;
    return number + DECIMAL_SUFFIX.get(exponent)!;
  }
}

/** The text with a binary suffix; undefined for amounts under 1024, which are written in decimal. */
function binaryText(amount: bigint): string | undefined {
  if (amount > -1024n && amount < 1024n) return undefined;
  let rest = amount;
  let step = 0;
  while (step < BINARY.length - 1 && (rest & 1023n) === 0n) {
    rest >>= 10n;
    step++;
  }
  return `${rest}${BINARY[step]}`;
}

/** The text of a JSON number as its sender most likely wrote it. */
function textOf(input: string | number): string {
  return typeof input === 'number' ? String(input).replace('e+', 'e') : input;
}

/** Reads a quantity as it stands in JSON: a string, or a number. Throws {@link QuantityError} in upstream's words. */
export function parseQuantity(input: string | number): Quantity {
  const text = textOf(input);
  if (text === '') throw new QuantityError(WRONG_FORMAT);
  const match = TEXT.exec(text);
  if (!match) throw new QuantityError(WRONG_FORMAT);
  const [, sign = '', whole = '', , fraction = '', suffixText = ''] = match;
  if (whole.length + fraction.length > MAX_DIGITS) throw new QuantityError(BAD_NUMBER);
  const suffix = parseSuffix(suffixText);
  const digits = (whole.replace(/^0+/, '') || '0') + fraction;
  const kept = isKeptAsWritten(digits, fraction, suffix);
  let mantissa = BigInt(digits);
  let scale = -fraction.length;
  let format = suffix.format;
  if (format === 'BinarySI') mantissa <<= BigInt(suffix.exponent);
  else scale += suffix.exponent;
  if (scale < NANO) {
    mantissa = roundOff(mantissa, NANO - scale);
    scale = NANO;
  }
  if (format === 'BinarySI') {
    const one = 10n ** BigInt(-scale);
    if (mantissa > MAX_INT64 * one) [mantissa, scale] = [MAX_INT64, 0];
    if (mantissa > 0n && mantissa < one) format = 'DecimalSI';
  }
  return new Quantity(sign === '-' ? -mantissa : mantissa, scale, format, kept ? text : undefined);
}

/** A whole amount. */
export function quantityOf(value: bigint | number, format: QuantityFormat = 'DecimalSI'): Quantity {
  return new Quantity(BigInt(value), 0, format);
}
/** An amount in thousandths. */
export function milliQuantityOf(milli: bigint | number, format: QuantityFormat = 'DecimalSI'): Quantity {
  return new Quantity(BigInt(milli), -3, format);
}

const CACHE_SIZE = 512;
const canonicalTexts = new Map<string, string>();

/** The canonical form of a quantity's text; a shortcut past {@link parseQuantity} for texts that come again and again. */
export function canonicalQuantity(input: string | number): string {
  const text = textOf(input);
  const known = canonicalTexts.get(text);
  if (known !== undefined) return known;
  const canonical = parseQuantity(text.trim()).toString();
  if (canonicalTexts.size >= CACHE_SIZE) canonicalTexts.clear();
  if (text.length <= 32) canonicalTexts.set(text, canonical);
  return canonical;
}
