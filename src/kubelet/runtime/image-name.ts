/** Image references. Grammar: the OCI distribution reference, as Docker normalises short names. */

export interface ImageReference {
  readonly registry: string;
  readonly repository: string;
  readonly tag: string | undefined;
  readonly digest: string | undefined;
  /** Complete: `docker.io/library/nginx:latest`. */
  readonly full: string;
}
const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const DOMAIN = '(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\\[[0-9a-fA-F:]+\\])(?::[0-9]+)?';
const REFERENCE = new RegExp(`^(?:(${DOMAIN})/)?(${COMPONENT}(?:/${COMPONENT})*)(?::(\\w[\\w.-]{0,127}))?(?:@([A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?$`);

/** Parses a reference; a string is what is wrong with it, in the words of the reference library that users know from events. */
export function parseImageReference(text: string): ImageReference | string {
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  const hasDomain = slash >= 0 && (/[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase());
  const registry = hasDomain ? first : 'docker.io';
  const rest = hasDomain ? text.slice(slash + 1) : text;
  const named = registry === 'docker.io' && !rest.split(/[:@]/)[0]!.includes('/') ? `library/${rest}` : rest;
  const match = REFERENCE.exec(`${registry}/${named}`);
  if (!match) {
    if (text !== '' && text !== text.toLowerCase() && REFERENCE.test(`${registry}/${named}`.toLowerCase())) return 'invalid reference format: repository name must be lowercase';
    return 'invalid reference format';
  }
  const [, , repository = '', tag, digest] = match;
  const kept = tag ?? (digest === undefined ? 'latest' : undefined);
  return { registry, repository, tag: kept, digest, full: `${registry}/${repository}${kept === undefined ? '' : `:${kept}`}${digest === undefined ? '' : `@${digest}`}` };
}
