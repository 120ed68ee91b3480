/** Debian packages without touching the machine's own package manager: private lists, private cache, an empty installed state. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { Architecture } from '#cluster/runtime/oci-image.ts';

const exec = promisify(execFile);

export interface Package {
  readonly name: string;
  /** As Debian writes it: `1.26.3-3+deb13u1`. */
  readonly version: string;
  /** Path of the `.deb`. */
  readonly path: string;
}

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';
const PUBLIC_MIRROR = 'http://deb.debian.org/debian';
const RETRIES = 3;

/** One release of Debian. `update` comes before anything else. */
export class AptSuite {
  readonly suite: string;
  readonly #dir: string;
  readonly #architecture: Architecture;
  readonly #closures = new Map<string, Promise<Package[]>>();
  #updated: Promise<void> | undefined;

  constructor(suite: string, dir: string, architecture: Architecture) {
    this.suite = suite;
    this.#dir = `${dir}/${suite}`;
    this.#architecture = architecture;
  }

  /** Downloads the packages and all that they depend on; each comes once, sorted by name. */
  download(names: readonly string[]): Promise<Package[]> {
    const key = names.join(' ');
    const known = this.#closures.get(key) ?? this.#download(names);
    this.#closures.set(key, known);
    return known;
  }

  async #download(names: readonly string[]): Promise<Package[]> {
    await (this.#updated ??= this.#update());
    const { stdout } = await this.#aptGet(['-qq', '-y', '--simulate', 'install', ...names]);
    await this.#aptGet(['-qq', '-y', '--download-only', 'install', ...names]);
    const inst = [...stdout.matchAll(/^Inst (\S+) \((\S+) .*\[(\S+)\]\)/gm)];
    if (inst.length === 0) throw new Error(`resolving ${names.join(' ')} in ${this.suite}: apt names no packages: ${stdout}`);
    const packages = inst.map(([, name = '', version = '', architecture = '']) => ({ name, version, path: `${this.#dir}/cache/archives/${name}_${version.replaceAll(':', '%3a')}_${architecture}.deb` }));
    return packages.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Downloads these packages without what they depend on; paths of their `.deb` files. */
  async downloadAlone(names: readonly string[]): Promise<string[]> {
    await (this.#updated ??= this.#update());
    const dir = await mkdtemp(`${this.#dir}/alone-`);
    await this.#aptGet(['-qq', 'download', ...names], dir);
    return (await readdir(dir)).filter((file) => file.endsWith('.deb')).map((file) => `${dir}/${file}`);
  }

  async #update(): Promise<void> {
    for (const dir of ['state/lists/partial', 'cache/archives/partial']) await mkdir(`${this.#dir}/${dir}`, { recursive: true });
    await writeFile(`${this.#dir}/status`, '');
    await writeFile(`${this.#dir}/sources.list`, `deb [signed-by=${KEYRING}] ${await mirror()} ${this.suite} main\n`);
    await this.#aptGet(['-qq', 'update']);
  }

  async #aptGet(args: readonly string[], cwd?: string): Promise<{ stdout: string }> {
    const settings: Readonly<Record<string, string>> = {
      'Dir::Etc::sourcelist': `${this.#dir}/sources.list`, 'Dir::Etc::sourceparts': '-', 'Dir::State': `${this.#dir}/state`, 'Dir::State::status': `${this.#dir}/status`, 'Dir::Cache': `${this.#dir}/cache`,
      // Container images of Debian switch apt's own cache off, and then each call reads all lists again.
      'Dir::Cache::pkgcache': 'pkgcache.bin', 'Dir::Cache::srcpkgcache': 'srcpkgcache.bin', 'Acquire::GzipIndexes': 'false',
      'APT::Architecture': this.#architecture, 'APT::Architectures': this.#architecture, 'APT::Install-Recommends': 'false', 'APT::Sandbox::User': 'root', 'Acquire::Languages': 'none',
      'Acquire::Retries': String(RETRIES), 'APT::Update::Error-Mode': 'any',
      // A mirror may be a snapshot of some weeks ago. Signatures and hashes are checked all the same.
      'Acquire::Check-Valid-Until': 'false',
    };
    const options = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
    for (let attempt = 1; ; attempt++) {
      try {
        return await exec('apt-get', [...options, ...args], { cwd, maxBuffer: 16 * 1024 * 1024, env: { ...process.env, LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' } });
      } catch (error) {
        if (attempt === RETRIES) throw error;
      }
    }
  }
}

/** The Debian mirror that the machine itself uses. */
async function mirror(): Promise<string> {
  const dir = '/etc/apt/sources.list.d';
  const files = ['/etc/apt/sources.list', ...(await readdir(dir).catch((): string[] => [])).map((name) => `${dir}/${name}`)];
  for (const file of files) {
    const text = await readFile(file, 'utf8').catch(() => '');
    const url = /^(?:URIs:|deb(?: \[[^\]]*\])?)\s+(https?:\/\/\S*\/debian)\/?(?:\s|$)/m.exec(text)?.[1];
    if (url) return url;
  }
  return PUBLIC_MIRROR;
}
