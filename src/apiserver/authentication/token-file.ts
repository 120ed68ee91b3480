/** The static token file: CSV of token, user, uid and optionally a quoted list of groups (`--token-auth-file`). */
import { createHash } from 'node:crypto';
import type { AuthenticationResult, TokenAuthenticator, UserInfo } from '../interfaces.ts';

const digest = (token: string): string => createHash('sha256').update(token).digest('base64');

/** Fields of one CSV record (RFC 4180, one line). */
function fieldsOf(line: string): string[] {
  const out: string[] = [];
  const field = /\s*(?:"((?:[^"]|"")*)"|([^,]*))\s*(?:,|$)/y;
  while (field.lastIndex < line.length) {
    const hit = field.exec(line);
    if (!hit) throw new Error(`cannot read a line of the token file: a quote is not closed`);
    out.push(hit[1] === undefined ? hit[2]!.trim() : hit[1].replaceAll('""', '"'));
  }
  return out;
}
/** Users by token. Throws for lines with fewer than three columns. Empty tokens and lines starting with `#` are skipped. */
export function parseTokenFile(text: string): ReadonlyMap<string, UserInfo> {
  const users = new Map<string, UserInfo>();
  text.split(/\r?\n/).forEach((line, i) => {
    if (line.trim() === '' || line.startsWith('#')) return;
    const [token = '', name, uid, groups = ''] = fieldsOf(line);
    if (name === undefined || uid === undefined) throw new Error(`token file must have at least 3 columns (token, user name, user uid), found fewer in line ${i + 1}`);
    if (token !== '') users.set(token, { name, uid, groups: groups.split(',').map((g) => g.trim()).filter((g) => g !== '') });
  });
  return users;
}

export class TokenFileAuthenticator implements TokenAuthenticator {
  /** By digest, so that a lookup's time tells nothing about the tokens. */
  readonly #users: ReadonlyMap<string, UserInfo>;
  constructor(text: string) {
    this.#users = new Map([...parseTokenFile(text)].map(([token, user]) => [digest(token), user]));
  }
  authenticateToken(token: string): AuthenticationResult | undefined {
    const user = this.#users.get(digest(token));
    return user && { user };
  }
}
