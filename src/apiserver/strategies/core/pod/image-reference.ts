/**
 * Image references, as far as the API server reads them: the tag decides the pull policy.
 * Source: the distribution project's reference grammar.
 */
const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*';
const DOMAIN = '(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?';
const REFERENCE = new RegExp(`^(?:${DOMAIN}/)?${COMPONENT}(?:/${COMPONENT})*(?::(?<tag>[\\w][\\w.-]{0,127}))?(?<digest>@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?$`);

const MAX_NAME_LENGTH = 255;

/** The tag an image is pulled by: the given one, `latest` where neither tag nor digest is given; '' for a digest alone or a text that is no reference. */
export function tagOf(image: string): string {
  const groups = REFERENCE.exec(image)?.groups;
  const name = image.replace(/@.*$/, '').replace(/:[\w.-]*$/, '');
  if (!groups || name.length > MAX_NAME_LENGTH) return '';
  return groups['tag'] ?? (groups['digest'] === undefined ? 'latest' : '');
}
/** Upstream's default of `imagePullPolicy`. */
export function defaultPullPolicy(image: string): 'Always' | 'IfNotPresent' {
  return tagOf(image) === 'latest' ? 'Always' : 'IfNotPresent';
}
