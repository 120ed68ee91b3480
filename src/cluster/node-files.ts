/** The files that a user may put into the data directory of a node: `registries.yaml`, `kubelet.yaml`, `credential-provider.yaml`. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { load } from 'js-yaml';
import type { KubeletConfig } from '#kubelet/config.ts';
import { parseKubeletConfiguration } from '#kubelet/configuration.ts';
import type { NodeConfig } from './config.ts';
import { readCredentialProviders, type CredentialProviderFile } from './credential-provider-file.ts';
import { readIfThere } from './pki.ts';
import { NO_REGISTRIES, parseRegistries, type Registries } from './runtime/registries.ts';

export interface NodeFiles {
  readonly registries: Registries;
  /** What `kubelet.yaml` chooses. */
  readonly kubeletChoices: Partial<KubeletConfig>;
  /** Undefined: no programs give credentials. */
  readonly credentialProviders: CredentialProviderFile | undefined;
}
/** None of the files has to be there. Rejects for one that cannot be used. */
export async function readNodeFiles(config: Pick<NodeConfig, 'dataDir'>): Promise<NodeFiles> {
  return { kubeletChoices: await readKubeletChoices(config), credentialProviders: await readCredentialProviders(config.dataDir), registries: await readRegistries(config) };
}

/** `registries.yaml` of the data directory or of `/etc/podyard`; none is fine. */
async function readRegistries(config: Pick<NodeConfig, 'dataDir'>): Promise<Registries> {
  for (const path of [join(config.dataDir, 'registries.yaml'), '/etc/podyard/registries.yaml']) {
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text !== undefined) return parseRegistries(load(text));
  }
  return NO_REGISTRIES;
}

/** `kubelet.yaml` of the data directory; none is fine. */
async function readKubeletChoices(config: Pick<NodeConfig, 'dataDir'>): Promise<Partial<KubeletConfig>> {
  const path = join(config.dataDir, 'kubelet.yaml');
  const text = await readIfThere(path);
  try {
    return text === undefined ? {} : parseKubeletConfiguration(text);
  } catch (err) {
    throw new Error(`reading ${path}: ${(err as Error).message}`, { cause: err });
  }
}
