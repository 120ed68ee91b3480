/** The user's own kubeconfig: our context is put in, and taken out again; everything else in it stays. */
import { chown, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { dump, load } from 'js-yaml';
import type { Kubeconfig } from '../pki.ts';

interface Named {
  readonly name: string;
}
interface UserConfig {
  apiVersion?: string;
  kind?: string;
  clusters?: Named[] | null;
  contexts?: Named[] | null;
  users?: Named[] | null;
  'current-context'?: string;
  preferences?: unknown;
}

/** `$KUBECONFIG`'s first file, else `~/.kube/config`. */
export function userKubeconfigPath(): string {
  const [first] = (process.env['KUBECONFIG'] ?? '').split(delimiter).filter(Boolean);
  return first ?? join(homedir(), '.kube', 'config');
}
async function read(path: string): Promise<UserConfig> {
  const text = await readFile(path, 'utf8').catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return '';
    throw err;
  });
  const value: unknown = text.trim() === '' ? {} : load(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`"${path}" is not a kubeconfig: it is left as it is`);
  return value;
}
/** Replaces the file at once, keeping its owner; mode 0600. */
async function write(path: string, config: UserConfig): Promise<void> {
  const before = await stat(path).catch(() => undefined);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const fresh = `${path}.podyard-new`;
  await writeFile(fresh, dump(config, { lineWidth: -1 }), { mode: 0o600 });
  if (before) await chown(fresh, before.uid, before.gid);
  await rename(fresh, path);
}
function without<T extends Named>(list: T[] | null | undefined, names: readonly string[]): T[] {
  return (list ?? []).filter((e) => !names.includes(e.name));
}

/** Puts the clusters, users and contexts of `ours` in, over those of the same names, and makes our context the current one. */
export async function mergeKubeconfig(path: string, ours: Kubeconfig): Promise<void> {
  const theirs = await read(path);
  const merge = (key: 'clusters' | 'contexts' | 'users') => [...without(theirs[key], ours[key].map((e) => e.name)), ...ours[key]];
  await write(path, {
    ...theirs,
    apiVersion: 'v1',
    kind: 'Config',
    preferences: theirs.preferences ?? {},
    clusters: merge('clusters'),
    contexts: merge('contexts'),
    users: merge('users'),
    'current-context': ours['current-context'],
  });
}
/** Takes out what {@link mergeKubeconfig} put in; nothing when it is not there. A current context of ours becomes none. */
export async function unmergeKubeconfig(path: string, names: { readonly cluster: string; readonly user: string; readonly context: string }): Promise<void> {
  if (!(await stat(path).catch(() => undefined))) return;
  const theirs = await read(path);
  const has = (list: Named[] | null | undefined, name: string) => (list ?? []).some((e) => e.name === name);
  if (!has(theirs.contexts, names.context) && !has(theirs.clusters, names.cluster) && !has(theirs.users, names.user)) return;
  await write(path, {
    ...theirs,
    clusters: without(theirs.clusters, [names.cluster]),
    contexts: without(theirs.contexts, [names.context]),
    users: without(theirs.users, [names.user]),
    'current-context': theirs['current-context'] === names.context ? '' : (theirs['current-context'] ?? ''),
  });
}
