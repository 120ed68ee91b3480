/** `credential-provider.yaml` of the data directory, and the programs beside it in `credential-providers/`. */
import { access, constants, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseCredentialProviders, type CredentialProviderConfig } from '#kubelet/images/credential-provider-config.ts';

export interface CredentialProviderFile {
  readonly providers: readonly CredentialProviderConfig[];
  readonly binDir: string;
}

/** Undefined without the file. Rejects when it cannot be used, or names a program that is not there. */
export async function readCredentialProviders(dataDir: string): Promise<CredentialProviderFile | undefined> {
  const text = await readFile(join(dataDir, 'credential-provider.yaml'), 'utf8').catch((err: NodeJS.ErrnoException) => {
    if (err.code !== 'ENOENT') throw err;
    return undefined;
  });
  if (text === undefined) return undefined;
  const providers = parseCredentialProviders(text);
  const binDir = join(dataDir, 'credential-providers');
  for (const { name } of providers) {
    const path = join(binDir, name);
    await access(path, constants.X_OK).catch((err: NodeJS.ErrnoException) => {
      throw new Error(err.code === 'ENOENT' ? `plugin binary executable ${path} did not exist` : `plugin binary ${path} cannot be run: ${err.message}`, { cause: err });
    });
  }
  return { providers, binDir };
}
