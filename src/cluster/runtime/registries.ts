/**
 * `registries.yaml`, in the form that k3s made known: where images of a registry are really pulled from, and with which
 * credentials. Mirrors become containerd's `hosts.toml`, which it reads at each pull; credentials go with the pull itself.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import type { AuthConfig } from '#cri/types.ts';
import { renderToml } from './config.ts';
import { writeFileAtomically } from './files.ts';

export interface Mirror {
  /** URLs, tried in turn before the registry itself. */
  readonly endpoints: readonly string[];
}
export interface RegistryAuth {
  readonly username?: string;
  readonly password?: string;
  /** base64 of `username:password`. */
  readonly auth?: string;
  readonly identityToken?: string;
}
export interface RegistryTls {
  readonly caFile?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly insecureSkipVerify?: boolean;
}
export interface Registries {
  /** By registry: `docker.io`, `registry.example.com:5000`; `*` stands for all others. */
  readonly mirrors: ReadonlyMap<string, Mirror>;
  /** By host of an endpoint, with its port, or by URL. */
  readonly configs: ReadonlyMap<string, { readonly auth?: RegistryAuth; readonly tls?: RegistryTls }>;
}

export const NO_REGISTRIES: Registries = { mirrors: new Map(), configs: new Map() };

const DOCKER_HUB = 'docker.io';
const DOCKER_HUB_HOST = 'registry-1.docker.io';

type Json = Readonly<Record<string, unknown>>;

/** From the parsed YAML. Throws an error that names the field which is wrong. */
export function parseRegistries(value: unknown): Registries {
  if (value === undefined || value === null) return NO_REGISTRIES;
  const file = fieldsOf(value, 'registries.yaml', ['mirrors', 'configs', 'auths']);
  if (file['auths'] !== undefined) throw new Error('reading registries.yaml: "auths" is the form of long ago; write "configs: <host>: auth:" instead');
  const mirrors = new Map<string, Mirror>();
  for (const [name, mirror] of entriesOf(file['mirrors'], 'mirrors')) {
    const at = `mirrors["${name}"]`;
    const fields = fieldsOf(mirror ?? {}, at, ['endpoint', 'rewrite']);
    if (fields['rewrite'] !== undefined) throw new Error(`reading registries.yaml: ${at}.rewrite: containerd cannot rewrite names`);
    mirrors.set(name, { endpoints: listOf(fields['endpoint'], `${at}.endpoint`).map((url) => checkedUrl(url, `${at}.endpoint`)) });
  }
  const configs = new Map(entriesOf(file['configs'], 'configs').map(([name, config]) => [name, parseConfig(config ?? {}, `configs["${name}"]`)]));
  return { mirrors, configs };
}

function parseConfig(value: unknown, at: string): { auth?: RegistryAuth; tls?: RegistryTls } {
  const fields = fieldsOf(value, at, ['auth', 'tls']);
  const auth = fields['auth'] === undefined ? undefined : fieldsOf(fields['auth'], `${at}.auth`, ['username', 'password', 'auth', 'identity_token']);
  const tls = fields['tls'] === undefined ? undefined : fieldsOf(fields['tls'], `${at}.tls`, ['ca_file', 'cert_file', 'key_file', 'insecure_skip_verify']);
  return {
    ...(auth && { auth: { ...text(auth, 'username', 'username', at), ...text(auth, 'password', 'password', at), ...text(auth, 'auth', 'auth', at), ...text(auth, 'identity_token', 'identityToken', at) } }),
    ...(tls && { tls: { ...text(tls, 'ca_file', 'caFile', at), ...text(tls, 'cert_file', 'certFile', at), ...text(tls, 'key_file', 'keyFile', at), ...(tls['insecure_skip_verify'] === true && { insecureSkipVerify: true }) } }),
  };
}

function fieldsOf(value: unknown, at: string, known: readonly string[]): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`reading registries.yaml: ${at} must be a map`);
  const unknown = Object.keys(value).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new Error(`reading registries.yaml: ${at}: unknown field "${unknown}"; known are ${known.join(', ')}`);
  return value as Json;
}
function entriesOf(value: unknown, at: string): [string, unknown][] {
  if (value === undefined || value === null) return [];
  if (typeof value !== 'object' || Array.isArray(value)) throw new Error(`reading registries.yaml: ${at} must be a map`);
  return Object.entries(value);
}
function listOf(value: unknown, at: string): string[] {
  const list = value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
  if (!list.every((item): item is string => typeof item === 'string')) throw new Error(`reading registries.yaml: ${at} must be a list of URLs`);
  return list;
}
function text<K extends string>(fields: Json, from: string, to: K, at: string): { readonly [key in K]?: string } {
  const value = fields[from];
  if (value === undefined || value === null) return {};
  if (typeof value !== 'string') throw new Error(`reading registries.yaml: ${at}: "${from}" must be a string`);
  return { [to]: value } as { readonly [key in K]?: string };
}
function checkedUrl(endpoint: string, at: string): string {
  const url = URL.parse(endpoint);
  if (!url || !/^https?:$/.test(url.protocol)) throw new Error(`reading registries.yaml: ${at}: "${endpoint}" must be a URL that begins with http:// or https://`);
  return endpoint.replace(/\/+$/, '');
}

export interface HostsOptions {
  /**
   * After its mirrors a registry itself is asked (the default). Without that, the last mirror has the last word: what it does
   * not have is "not found", where a node that cannot reach the registry would else report a failed connection.
   */
  readonly defaultEndpoint?: boolean;
}

/** `hosts.toml` by the folder it goes to: the registry's name, `_default` for all others. */
export function hostsFiles(registries: Registries, options: HostsOptions = {}): Map<string, string> {
  // A registry with TLS settings of its own needs a file even without mirrors.
  const hosts = [...registries.configs.keys()].map(hostOf).map((host) => (host === DOCKER_HUB_HOST ? DOCKER_HUB : host));
  const endpoints = new Set([...registries.mirrors.values()].flatMap((m) => m.endpoints.map(hostOf)));
  const names = new Set([...registries.mirrors.keys(), ...hosts.filter((host) => !endpoints.has(host) && configOf(registries, host)?.tls)]);
  return new Map([...names].map((name) => [name === '*' ? '_default' : name, hostsFile(name, registries, options.defaultEndpoint ?? true)]));
}

function hostsFile(registry: string, registries: Registries, defaultEndpoint: boolean): string {
  const endpoints = registries.mirrors.get(registry)?.endpoints ?? [];
  const host: Record<string, Parameters<typeof renderToml>[0]> = {};
  for (const endpoint of endpoints) host[`${endpoint}${apiPath(endpoint)}`] = hostSettings(endpoint, registries);
  const own = registry === '*' ? undefined : `https://${registry === DOCKER_HUB ? DOCKER_HUB_HOST : registry}`;
  const server = defaultEndpoint ? own : (endpoints.at(-1) ?? own);
  const tls = server === undefined ? {} : tlsSettings(configOf(registries, server)?.tls ?? configOf(registries, registry)?.tls);
  return renderToml({ ...(server !== undefined && { server }), ...tls, host }).replace(/^\n/, '');
}

/** containerd adds `/v2` to a bare host; to an endpoint with a path it must be told not to. */
function apiPath(endpoint: string): string {
  return new URL(endpoint).pathname === '/' ? '' : '/v2';
}
function hostSettings(endpoint: string, registries: Registries): Parameters<typeof renderToml>[0] {
  return { capabilities: ['pull', 'resolve'], ...(apiPath(endpoint) !== '' && { override_path: true }), ...tlsSettings(configOf(registries, endpoint)?.tls) };
}
function tlsSettings(tls: RegistryTls | undefined): { [key: string]: string | boolean | readonly string[] } {
  return {
    ...(tls?.caFile !== undefined && { ca: tls.caFile }),
    ...(tls?.certFile !== undefined && { client: [tls.certFile, ...(tls.keyFile === undefined ? [] : [tls.keyFile])] }),
    ...(tls?.insecureSkipVerify && { skip_verify: true }),
  };
}

function hostOf(nameOrUrl: string): string {
  return URL.parse(nameOrUrl)?.host || nameOrUrl.replace(/\/.*$/, '');
}
function configOf(registries: Registries, nameOrUrl: string): { readonly auth?: RegistryAuth; readonly tls?: RegistryTls } | undefined {
  const host = hostOf(nameOrUrl);
  const exact = registries.configs.get(nameOrUrl) ?? registries.configs.get(host);
  if (exact) return exact;
  if (host === DOCKER_HUB_HOST || host === DOCKER_HUB) return registries.configs.get(DOCKER_HUB) ?? registries.configs.get(DOCKER_HUB_HOST);
  return undefined;
}

/** Writes the `hosts.toml` files, and removes those of registries that are no longer configured. */
export async function writeHostsFiles(certsDir: string, registries: Registries, options: HostsOptions = {}): Promise<void> {
  const files = hostsFiles(registries, options);
  await mkdir(certsDir, { recursive: true, mode: 0o755 });
  for (const name of await readdir(certsDir)) if (!files.has(name)) await rm(`${certsDir}/${name}`, { recursive: true });
  for (const [name, content] of files) {
    await mkdir(`${certsDir}/${name}`, { recursive: true, mode: 0o755 });
    await writeFileAtomically(`${certsDir}/${name}/hosts.toml`, content, 0o644);
  }
}

/**
 * The credentials to try for an image, in order: those of its mirrors, then of its registry. Each names the server that it
 * is for, so that containerd shows it to no other.
 */
export function pullCredentials(registries: Registries, image: string): Partial<AuthConfig>[] {
  const registry = registryOf(image);
  const endpoints = (registries.mirrors.get(registry) ?? registries.mirrors.get('*'))?.endpoints ?? [];
  const servers = [...endpoints, `https://${registry === DOCKER_HUB ? DOCKER_HUB_HOST : registry}`];
  return servers.flatMap((server) => {
    const auth = configOf(registries, server)?.auth;
    return auth ? [{ ...auth, serverAddress: new URL(server).origin }] : [];
  });
}

/** `nginx` → `docker.io`, `registry.example.com:5000/a/b:1` → `registry.example.com:5000`. */
export function registryOf(image: string): string {
  const [first = '', ...rest] = image.split('/');
  return rest.length > 0 && (/[.:]/.test(first) || first === 'localhost') ? first : DOCKER_HUB;
}
