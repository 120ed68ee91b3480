/** Registry credentials: the Pod's imagePullSecrets first, then those of programs, then the node's own (registries.yaml). Source: concepts/containers/images. */
import type { Pod } from '#api/gen/core-v1.ts';
import { logger } from '#base/logger.ts';
import type { AuthConfig } from '#cri/types.ts';
import type { NodeObjects } from '../objects.ts';
import type { CredentialProviders } from './credential-providers.ts';
import type { Credentials } from './image-manager.ts';
import { lookUp, parseDockerConfig, type Keyring } from './keyring.ts';

const log = logger('kubelet');

export function newCredentials(objects: NodeObjects, providers: Pick<CredentialProviders, 'lookup'> | undefined, nodeCredentials: (image: string) => readonly Partial<AuthConfig>[]): Credentials {
  return {
    async lookup(pod: Pod, image: string) {
      const keyring: Keyring[number][] = [];
      for (const { name = '' } of pod.spec.imagePullSecrets ?? []) {
        try {
          keyring.push(...parseDockerConfig(await objects.secrets.get(pod.metadata.namespace!, name)));
        } catch (err) {
          // A missing or unreadable secret does not stop the pull: the registry may need none.
          log.warn({ pod: pod.metadata.name, secret: name, reason: (err as Error).name }, 'unable to use image pull secret');
        }
      }
      return [...lookUp(keyring, image), ...((await providers?.lookup(pod, image)) ?? []), ...nodeCredentials(image).map((auth) => ({ auth }))];
    },
  };
}
