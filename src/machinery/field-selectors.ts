/**
 * Field selectors: `?fieldSelector=` and `kubectl --field-selector`. Grammar and error texts as upstream's `apimachinery/pkg/fields`.
 */

export interface FieldRequirement {
  readonly field: string;
  readonly operator: '=' | '!=';
  readonly value: string;
}
export interface FieldMatcher {
  readonly requirements: readonly FieldRequirement[];
  readonly empty: boolean;
  /** `get` gives the text of a field; undefined counts as ''. */
  matches(get: (field: string) => string | undefined): boolean;
  /** The value that the field must have, where the selector asks for one. */
  requiresExactMatch(field: string): string | undefined;
  toString(): string;
}

/** Puts a backslash before `\`, `,` and `=`, so that a value can stand in a selector. */
export function escapeFieldValue(value: string): string {
  return value.replace(/[\\,=]/g, (c) => `\\${c}`);
}

function unescapeFieldValue(text: string): string {
  let out = '';
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!;
    if (char === ',' || char === '=') throw new Error(`invalid field selector: unescaped character in value: ${char.codePointAt(0)}`);
    if (char !== '\\') {
      out += char;
      continue;
    }
    const next = i + 1 < text.length ? String.fromCodePoint(text.codePointAt(i + 1)!) : '';
    if (next === '' || !'\\,='.includes(next)) throw new Error(`invalid field selector: invalid escape sequence: \\${next}`);
    out += next;
    i++;
  }
  return out;
}

/** The terms between commas that no backslash escapes. */
function splitTerms(text: string): string[] {
  const out: string[] = [];
  let start = 0;
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++;
    else if (text[i] === ',') {
      out.push(text.slice(start, i));
      start = i + 1;
    }
  }
  return [...out, text.slice(start)];
}

function makeMatcher(requirements: readonly FieldRequirement[]): FieldMatcher {
  return {
    requirements,
    empty: requirements.length === 0,
    matches: (get) => requirements.every((r) => ((get(r.field) ?? '') === r.value) === (r.operator === '=')),
    requiresExactMatch: (field) => requirements.find((r) => r.field === field && r.operator === '=')?.value,
    toString: () => requirements.map((r) => `${r.field}${r.operator}${escapeFieldValue(r.value)}`).join(','),
  };
}

/** Reads a selector such as `status.phase!=Running,spec.nodeName=n1`. Throws an Error in upstream's words. */
export function parseFieldSelector(text: string): FieldMatcher {
  const requirements = splitTerms(text).toSorted().filter((term) => term !== '').map((term): FieldRequirement => {
    const match = /^(.*?)(!=|==|=)([^]*)$/s.exec(term);
    if (!match) throw new Error(`invalid selector: '${text}'; can't understand '${term}'`);
    return { field: match[1]!, operator: match[2] === '!=' ? '!=' : '=', value: unescapeFieldValue(match[3]!) };
  });
  // Upstream drops a term whose field and value are both empty.
  return makeMatcher(requirements.filter((r) => r.field !== '' || r.value !== ''));
}
