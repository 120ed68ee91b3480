/** Arguments of Podyard's own commands: long flags, `--flag value` or `--flag=value`. */
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { parseDurationMs } from '#machinery/duration.ts';

export interface FlagSpec {
  readonly type: 'string' | 'boolean';
  readonly help: string;
  /** How the value is called in the help. */
  readonly value?: string;
}
export type Flags = Readonly<Record<string, FlagSpec>>;
export interface Parsed {
  readonly flags: Readonly<Record<string, string | boolean | undefined>>;
  readonly words: readonly string[];
}

/** A command line that cannot be understood; the message says why. */
export class UsageError extends Error {}

export function parseArguments(args: readonly string[], flags: Flags): Parsed {
  const options: NonNullable<ParseArgsConfig['options']> = Object.fromEntries(Object.entries(flags).map(([name, f]) => [name, { type: f.type }]));
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
    return { flags: values as Parsed['flags'], words: positionals };
  } catch (err) {
    throw new UsageError((err as Error).message.split('. ')[0]!);
  }
}
/** A flag's text, undefined when it was not given. */
export function textOf(parsed: Parsed, name: string): string | undefined {
  const value = parsed.flags[name];
  return typeof value === 'string' ? value : undefined;
}
/** A flag's port number. Throws a {@link UsageError} for what is none. */
export function portOf(parsed: Parsed, name: string): number | undefined {
  const text = textOf(parsed, name);
  if (text === undefined) return undefined;
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new UsageError(`--${name} "${text}": must be a port number from 1 to 65535`);
  return port;
}
/** Throws a {@link UsageError} for what is no number from 0 upwards, in upstream's words where it is below. */
export function countOf(parsed: Parsed, name: string): number | undefined {
  const text = textOf(parsed, name);
  if (text === undefined) return undefined;
  const count = Number(text);
  if (count < 0) throw new UsageError(`--${name} can not be negative value`);
  if (!Number.isSafeInteger(count) || text.trim() === '') throw new UsageError(`--${name} "${text}": must be a whole number`);
  return count;
}
/** Milliseconds of a flag such as `90s` or `5m`. Throws a {@link UsageError} for what is none, or not above zero. */
export function durationOf(parsed: Parsed, name: string): number | undefined {
  const text = textOf(parsed, name);
  if (text === undefined) return undefined;
  let ms = 0;
  try {
    ms = parseDurationMs(text);
  } catch {
    // Said below.
  }
  // A timer holds no more than 2^31 − 1 ms.
  if (ms <= 0 || ms >= 2 ** 31) throw new UsageError(`--${name} "${text}": must be a duration such as 90s or 5m, up to 24 days`);
  return ms;
}
/** Lines that explain flags. */
export function flagHelp(flags: Flags): string {
  const rows = Object.entries(flags).map(([name, f]) => [`  --${name}${f.type === 'string' ? ` ${f.value ?? 'VALUE'}` : ''}`, f.help] as const);
  const width = Math.max(...rows.map(([left]) => left.length)) + 3;
  return rows.map(([left, help]) => `${left.padEnd(width)}${help}`).join('\n');
}
