/** What ConfigMaps and Secrets share: the limit on their data and what `immutable` freezes. */

export const MAX_SECRET_SIZE = 1024 * 1024;
export const FROZEN = 'field is immutable when `immutable` is set';

/** Bytes that a base64 text stands for. */
export function decodedLength(base64: string): number {
  return Buffer.byteLength(base64, 'base64');
}

/**
 * Why a text is not a JSON object, as Go's decoder of `map[string]interface{}` says it; undefined when it is one.
 */
export function notJsonObject(json: string): string | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (err) {
    return syntaxError(json, err);
  }
  if (value === null || (typeof value === 'object' && !Array.isArray(value))) return undefined;
  const kind = Array.isArray(value) ? 'array' : typeof value === 'boolean' ? 'bool' : typeof value;
  return `json: cannot unmarshal ${kind} into Go value of type map[string]interface {}`;
}

/** What follows the offending character in Go's message, by how the JavaScript engine's message starts. */
const GO_PHRASES: readonly (readonly [engine: RegExp, go: string])[] = [
  [/^Expected property name/, 'looking for beginning of object key string'],
  [/^Expected double-quoted property name/, 'looking for beginning of object key string'],
  [/^Expected ',' or '}'/, 'after object key:value pair'],
  [/^Expected ',' or ']'/, 'after array element'],
  [/^Expected ':'/, 'after object key'],
  [/^Unexpected non-whitespace/, 'after top-level value'],
];

function syntaxError(json: string, err: unknown): string {
  const message = err instanceof Error ? err.message : '';
  const position = /position (\d+)/.exec(message)?.[1];
  const token = /^Unexpected token '(.+?)',/su.exec(message)?.[1];
  const char = token ?? (position === undefined ? '' : (json[Number(position)] ?? ''));
  if (char === '') return 'unexpected end of JSON input';
  const shown = char === "'" ? String.raw`'\''` : char === '"' ? `'"'` : `'${JSON.stringify(char).slice(1, -1)}'`;
  const phrase = GO_PHRASES.find(([engine]) => engine.test(message))?.[1] ?? 'looking for beginning of value';
  return `invalid character ${shown} ${phrase}`;
}
