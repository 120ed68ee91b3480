/** Registry credentials: the Pod's imagePullSecrets first, then the node's own (registries.yaml). Source: concepts/containers/images. */
import type { Pod, Secret } from '#api/gen/core-v1.ts';
import { logger } from '#base/logger.ts';
import type { AuthConfig } from '#cri/types.ts';
import type { NodeObjects } from '../objects.ts';
import { parseImageReference } from '../runtime/image-name.ts';
import type { Credentials } from './image-manager.ts';

const log = logger('kubelet');

interface DockerAuth {
  readonly username?: string;
  readonly password?: string;
  readonly auth?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}
type Keyring = readonly { readonly location: string; readonly auth: Partial<AuthConfig> }[];

/** Entries of a docker config; `https://index.docker.io/v1/` is Docker Hub's historical name. */
export function parseDockerConfig(secret: Secret): Keyring {
  const json = secret.data?.['.dockerconfigjson'];
  const legacy = secret.data?.['.dockercfg'];
  const text = json ?? legacy;
  if (text === undefined) return [];
  const parsed = JSON.parse(Buffer.from(text, 'base64').toString('utf8')) as Record<string, unknown>;
  const auths = (json === undefined ? parsed : (parsed['auths'] ?? {})) as Record<string, DockerAuth>;
  return Object.entries(auths).map(([location, a]) => ({ location: normalise(location), auth: authConfig(a) }));
}
function normalise(location: string): string {
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
/** Longest location first; `*.example.com` matches one label each. */
export function lookUp(keyring: Keyring, image: string): Partial<AuthConfig>[] {
  const reference = parseImageReference(image);
  if (typeof reference === 'string') return [];
  const name = `${reference.registry}/${reference.repository}`;
  return keyring
    .filter(({ location }) => {
      const [host = '', ...path] = location.split('/');
      const pattern = new RegExp(`^${host.split('*').map((s) => s.replace(/[.[\]]/g, '\\$&')).join('[^.]*')}$`);
      return pattern.test(reference.registry) && (path.length === 0 || name === location || name.startsWith(`${reference.registry}/${path.join('/')}/`) || name === `${reference.registry}/${path.join('/')}`);
    })
    .toSorted((a, b) => b.location.length - a.location.length)
    .map((k) => k.auth);
}

export function newCredentials(objects: NodeObjects, nodeCredentials: (image: string) => readonly Partial<AuthConfig>[]): Credentials {
  return {
    async lookup(pod: Pod, image: string) {
      const keyring: { location: string; auth: Partial<AuthConfig> }[] = [];
      for (const { name = '' } of pod.spec.imagePullSecrets ?? []) {
        try {
          keyring.push(...parseDockerConfig(await objects.secrets.get(pod.metadata.namespace!, name)));
        } catch (err) {
          // A missing or unreadable secret does not stop the pull: the registry may need none.
          log.warn({ pod: pod.metadata.name, secret: name, reason: (err as Error).name }, 'unable to use image pull secret');
        }
      }
      return [...lookUp(keyring, image), ...nodeCredentials(image)];
    },
  };
}
