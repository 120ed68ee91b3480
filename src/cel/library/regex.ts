/** Regular expressions by RE2: `matches`, and Kubernetes' `find` and `findAll`. */
import { RE2JS } from 're2js';
import { CelError } from '../errors.ts';
import { declare, member, plain, type CallCost, type FunctionDeclaration, type Implementation } from '../functions.ts';
import { ArrayList, sizeOf, type Value } from '../values.ts';

const MAX_PATTERNS = 256;
const MAX_PATTERN_LENGTH = 10_000;
const patterns = new Map<string, RE2JS>();
/** Compiled patterns are kept: expressions use the same few again and again. Throws what Go's regexp says of a bad one. */
export function compilePattern(text: string): RE2JS {
  const known = patterns.get(text);
  if (known) return known;
  if (text.length > MAX_PATTERN_LENGTH) throw new CelError('error parsing regexp: expression too large');
  let made: RE2JS;
  try {
    made = RE2JS.compile(text);
  } catch (err) {
    throw new CelError(err instanceof Error ? err.message : String(err));
  }
  const [oldest] = patterns.keys();
  if (patterns.size >= MAX_PATTERNS) patterns.delete(oldest!);
  patterns.set(text, made);
  return made;
}
const cost: CallCost = (text, pattern) => Math.ceil((1 + sizeOf(text)) * 0.1) * Math.ceil(sizeOf(pattern) * 0.25);

const matches: Implementation = (_f, text, pattern) => compilePattern(pattern as string).matcher(text as string).find();
/** As {@link compilePattern}; Kubernetes' own functions tell of a bad pattern in words of their own. */
function searched(pattern: Value): RE2JS {
  try {
    return compilePattern(pattern as string);
  } catch (err) {
    throw err instanceof CelError ? new CelError(`Illegal regex: ${err.message}`) : err;
  }
}
const find: Implementation = (_f, text, pattern) => {
  const matcher = searched(pattern).matcher(text as string);
  return matcher.find() ? (matcher.group() ?? '') : '';
};
/** At most `limit` findings; below zero: all. */
const findAll: Implementation = (f, text, pattern, limit) => {
  const out: Value[] = [];
  const most = typeof limit === 'bigint' && limit >= 0n ? Number(limit) : Infinity;
  const matcher = searched(pattern).matcher(text as string);
  while (out.length < most && matcher.find()) {
    f.labour(1);
    out.push(matcher.group() ?? '');
  }
  return new ArrayList(out);
};
export const REGEX: readonly FunctionDeclaration[] = [
  declare('matches', plain('matches', 'string, string -> bool', matches, cost), member('matches_string', 'string, string -> bool', matches, cost)),
  declare('find', member('string_find_string', 'string, string -> string', find, cost)),
  declare('findAll', member('string_find_all_string', 'string, string -> list<string>', findAll, cost), member('string_find_all_string_int', 'string, string, int -> list<string>', findAll, cost)),
];
