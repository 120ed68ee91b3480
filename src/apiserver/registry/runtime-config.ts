/**
 * Which versions of the table are served: those that are on by default, and what `--runtime-config` says. Source: the reference page of
 * kube-apiserver, `--runtime-config`; KEP-3136 (beta versions are off by default).
 *
 * Kinds that are off together with a feature gate upstream need no gate here: serving them is what switches the feature on.
 */
import { apiVersionOf } from '#api/object.ts';
import { ALL_RESOURCES, RESOURCES, type ResourceInfo } from '#api/resources.ts';

/** `group/version` or `group/version/plural`, `api/all`, `api/ga`, `api/beta` or `api/alpha`, to `true` or `false`. */
export type RuntimeConfig = Readonly<Record<string, string>>;

const isMatcher = (key: string): boolean => Object.hasOwn(MATCHERS, key);
/** Applied in this order, before anything more exact. */
const MATCHERS: Readonly<Record<string, RegExp>> = { 'api/all': /^/, 'api/ga': /^v\d+$/, 'api/beta': /^v\d+beta\d+$/, 'api/alpha': /^v\d+alpha\d+$/ };

/** From the flag's text: `a/v1beta1=true,b/v1beta1/things=false`. A key without a value means true. */
export function parseRuntimeConfig(text: string): RuntimeConfig {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '').map((pair) => {
    const at = pair.indexOf('=');
    return at < 0 ? [pair.trim(), ''] : [pair.slice(0, at).trim(), pair.slice(at + 1).trim()];
  });
  return Object.fromEntries(pairs) as RuntimeConfig;
}

function valueOf(key: string, text: string): boolean {
  if (text === '' && !isMatcher(key)) return true;
  if (text === 'true' || (!isMatcher(key) && ['1', 't', 'T', 'TRUE', 'True'].includes(text))) return true;
  if (text === 'false' || (!isMatcher(key) && ['0', 'f', 'F', 'FALSE', 'False'].includes(text))) return false;
  throw new Error(isMatcher(key) ? `invalid value ${key}=${text}` : `invalid value of ${key}: ${text}, err: strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}
/** The rows that a key of a version, or of one resource of it, is about. Throws for what the table does not have. */
function rowsOf(key: string): readonly ResourceInfo[] {
  const [group = '', version = '', plural, ...more] = key.split('/');
  if (version === '' || more.length > 0) throw new Error(`runtime-config invalid key ${key}`);
  if (!ALL_RESOURCES.some((r) => r.group === group)) throw new Error(`unknown api groups ${apiVersionOf(group, version)}`);
  const rows = ALL_RESOURCES.filter((r) => r.group === group && r.version === version);
  if (rows.length === 0) throw new Error(`group version ${apiVersionOf(group, version)} that has not been registered`);
  if (plural !== undefined && plural.toLowerCase() !== plural) throw new Error(`invalid key ${key}: group/version/resource and resource is always lowercase plural, not ${JSON.stringify(plural)}`);
  return plural === undefined ? rows : rows.filter((r) => r.plural === plural);
}

/**
 * The rows of the table to serve, in its order. Throws an Error in upstream's words for what cannot be understood; and for a version that
 * is on by default and is to be off: the cluster's own components live by them.
 */
export function servedResources(config: RuntimeConfig = {}): readonly ResourceInfo[] {
  const served = new Set<ResourceInfo>(RESOURCES);
  const set = (key: string, rows: readonly ResourceInfo[]): void => {
    const on = valueOf(key, config[key]!);
    for (const row of rows) {
      if (on) served.add(row);
      else if (RESOURCES.includes(row)) throw new Error(`runtime-config ${key}: ${apiVersionOf(row.group, row.version)} cannot be switched off: the cluster's own components need it`);
      else served.delete(row);
    }
  };
  for (const [key, pattern] of Object.entries(MATCHERS)) if (config[key] !== undefined) set(key, ALL_RESOURCES.filter((r) => pattern.test(r.version)));
  // What is more exact counts more: a resource before its version.
  for (const key of Object.keys(config).filter((k) => !isMatcher(k)).toSorted((a, b) => a.split('/').length - b.split('/').length)) set(key, rowsOf(key));
  return ALL_RESOURCES.filter((row) => served.has(row));
}
