/** `kubernetes.Semver`: semantic versions 2.0.0. */
import { CelError } from '../errors.ts';
import { declare, member, plain, type CallCost, type FunctionDeclaration, type Implementation } from '../functions.ts';
import { opaque, type CelType } from '../types.ts';
import { OpaqueValue, sizeOf, type Value } from '../values.ts';

export const SEMVER_TYPE = opaque('kubernetes.Semver');
const S = 'kubernetes.Semver';
const PATTERN = /^(0|[1-9]\d{0,18})\.(0|[1-9]\d{0,18})\.(0|[1-9]\d{0,18})(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?$/;

class SemverValue extends OpaqueValue {
  readonly numbers: readonly bigint[];
  readonly pre: readonly string[];
  constructor(numbers: readonly bigint[], pre: readonly string[]) {
    super();
    this.numbers = numbers;
    this.pre = pre;
  }
  get type(): CelType {
    return SEMVER_TYPE;
  }
  equals(other: OpaqueValue): boolean {
    return other instanceof SemverValue && order(this, other) === 0;
  }
}
/** Semantic Versioning 2.0.0, item 11. */
function order(a: SemverValue, b: SemverValue): number {
  for (let i = 0; i < 3; i++) if (a.numbers[i] !== b.numbers[i]) return a.numbers[i]! < b.numbers[i]! ? -1 : 1;
  if (a.pre.length === 0 || b.pre.length === 0) return a.pre.length === b.pre.length ? 0 : a.pre.length === 0 ? 1 : -1;
  for (let i = 0; i < Math.max(a.pre.length, b.pre.length); i++) {
    const [x, y] = [a.pre[i], b.pre[i]];
    if (x === y) continue;
    if (x === undefined || y === undefined) return x === undefined ? -1 : 1;
    const [n, m] = [/^\d+$/.test(x), /^\d+$/.test(y)];
    if (n && m) return BigInt(x) < BigInt(y) ? -1 : 1;
    if (n !== m) return n ? -1 : 1;
    return x < y ? -1 : 1;
  }
  return 0;
}
function parse(text: string): SemverValue {
  const match = PATTERN.exec(text);
  const pre = match?.[4]?.split('.') ?? [];
  if (match && !pre.some((p) => /^0\d+$/.test(p))) return new SemverValue([BigInt(match[1]!), BigInt(match[2]!), BigInt(match[3]!)], pre);
  if (text === '') throw new CelError('Version string empty');
  const parts = text.split('.');
  if (parts.length < 3) throw new CelError('No Major.Minor.Patch elements found');
  for (const part of [parts[0]!, parts[1]!, /^[^-+]*/.exec(parts[2]!)![0]]) {
    if (!/^\d+$/.test(part)) throw new CelError(`Invalid character(s) found in ${part === parts[0] ? 'major' : part === parts[1] ? 'minor' : 'patch'} number ${JSON.stringify(part)}`);
    if (part.length > 1 && part.startsWith('0')) throw new CelError(`${part === parts[0] ? 'Major' : part === parts[1] ? 'Minor' : 'Patch'} number must not contain leading zeroes ${JSON.stringify(part)}`);
  }
  throw new CelError(`Invalid character(s) found in prerelease ${JSON.stringify(/[-+](.*)$/.exec(text)?.[1] ?? '')}`);
}
/** Throws for what is no semantic version. */
export function semverOf(text: string): Value {
  return parse(text);
}
/** Takes `v1`, `1.0` and leading zeros as well. */
function normalise(text: string): string {
  const cut = text.replace(/^v/, '');
  const all = cut.split('.');
  const parts = all.length > 3 ? [all[0]!, all[1]!, all.slice(2).join('.')] : all;
  const trimmed = parts.map((p) => (p.length > 1 ? p.replace(/^0+(?=\d)/, '').replace(/^0*(?=\D|$)/, '0') : p)).map((p, i) => (parts[i]!.length > 1 && /^0[1-9]/.test(p) ? p.slice(1) : p));
  if (trimmed.length < 3 && /[+-]/.test(trimmed.at(-1)!)) throw new CelError('short version cannot contain PreRelease/Build meta data');
  while (trimmed.length < 3) trimmed.push('0');
  return trimmed.join('.');
}
const read = (text: Value, lenient: Value): SemverValue => parse(lenient === true ? normalise(text as string) : (text as string));
const isSemver: Implementation = (_f, a, b) => {
  try {
    read(a, b);
    return true;
  } catch (err) {
    if (err instanceof CelError) return false;
    throw err;
  }
};
const v = (value: Value): SemverValue => value as SemverValue;
const cost: CallCost = (a) => Math.ceil(sizeOf(a) * 0.1);
const toSemver: Implementation = (_f, a, b) => read(a, b);

export const SEMVER: readonly FunctionDeclaration[] = [
  declare('semver', plain('string_to_semver', `string -> ${S}`, toSemver, cost), plain('string_bool_to_semver', `string, bool -> ${S}`, toSemver, cost)),
  declare('isSemver', plain('is_semver_string', 'string -> bool', isSemver, cost), plain('is_semver_string_bool', 'string, bool -> bool', isSemver, cost)),
  declare('isGreaterThan', member('semver_is_greater_than', `${S}, ${S} -> bool`, (_f, a, b) => order(v(a), v(b)) > 0)),
  declare('isLessThan', member('semver_is_less_than', `${S}, ${S} -> bool`, (_f, a, b) => order(v(a), v(b)) < 0)),
  declare('compareTo', member('semver_compare_to', `${S}, ${S} -> int`, (_f, a, b) => BigInt(order(v(a), v(b))))),
  declare('major', member('semver_major', `${S} -> int`, (_f, a) => v(a).numbers[0]!)),
  declare('minor', member('semver_minor', `${S} -> int`, (_f, a) => v(a).numbers[1]!)),
  declare('patch', member('semver_patch', `${S} -> int`, (_f, a) => v(a).numbers[2]!)),
];
