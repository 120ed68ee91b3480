/** Credentials by the place that they are for: `registry.example.com`, `*.example.com:5000`, `docker.io/team`. Upstream's counterpart: DockerKeyring. */
import type { Secret } from '#api/gen/core-v1.ts';
import type { AuthConfig } from '#cri/types.ts';
import { parseImageReference, type ImageReference } from '../runtime/image-name.ts';

interface DockerAuth {
  readonly username?: string;
  readonly password?: string;
  readonly auth?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}
export type Keyring = readonly (Credential & { readonly location: string })[];

/** Whose a credential is; absent for those of the node, which every Pod may use. */
export type CredentialOwner = { readonly kind: 'secret' | 'serviceAccount'; readonly uid: string; readonly namespace: string; readonly name: string };
/** What a pull may be tried with. */
export interface Credential {
  readonly auth: Partial<AuthConfig>;
  readonly owner?: CredentialOwner | undefined;
}

/** Entries of a docker config. */
export function parseDockerConfig(secret: Secret): Keyring {
  const json = secret.data?.['.dockerconfigjson'];
  const legacy = secret.data?.['.dockercfg'];
  const text = json ?? legacy;
  if (text === undefined) return [];
  const parsed = JSON.parse(Buffer.from(text, 'base64').toString('utf8')) as Record<string, unknown>;
  const auths = (json === undefined ? parsed : (parsed['auths'] ?? {})) as Record<string, DockerAuth>;
  const { uid = '', namespace = '', name = '' } = secret.metadata;
  return Object.entries(auths).map(([location, a]) => ({ location: normaliseLocation(location), auth: authConfig(a), owner: { kind: 'secret', uid, namespace, name } }));
}
/** Without scheme and API version; `https://index.docker.io/v1/` is Docker Hub's historical name. */
export function normaliseLocation(location: string): string {
  const bare = location.replace(/^https?:\/\//, '').replace(/\/v[12]\/?$/, '').replace(/\/$/, '');
  return bare === 'index.docker.io' || bare === 'registry-1.docker.io' ? 'docker.io' : bare;
}
function authConfig(a: DockerAuth): Partial<AuthConfig> {
  const [user = '', ...rest] = a.auth ? Buffer.from(a.auth, 'base64').toString('utf8').split(':') : [];
  return {
    username: a.username ?? user,
    password: a.password ?? rest.join(':'),
    ...(a.identitytoken ? { identityToken: a.identitytoken } : {}),
    ...(a.registrytoken ? { registryToken: a.registrytoken } : {}),
  };
}
/** `*` in the host stands for any part of one label; a path holds for everything below it. */
export function matchesLocation(location: string, { registry, repository }: ImageReference): boolean {
  const [host = '', ...path] = location.split('/');
  const pattern = new RegExp(`^${host.split('*').map((s) => s.replace(/[.[\]]/g, '\\$&')).join('[^.]*')}$`);
  const below = path.join('/');
  return pattern.test(registry) && (below === '' || repository === below || repository.startsWith(`${below}/`));
}
/** Longest location first. */
export function lookUp(keyring: Keyring, image: string): Credential[] {
  const reference = parseImageReference(image);
  if (typeof reference === 'string') return [];
  return keyring.filter(({ location }) => matchesLocation(location, reference)).toSorted((a, b) => b.location.length - a.location.length).map(({ auth, owner }) => ({ auth, ...(owner ? { owner } : {}) }));
}
