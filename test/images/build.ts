/**
 * Builds the images of `recipes.ts` into a cache, from where tests load or push them. As a program: builds all and lists them.
 *
 * The cache is an OCI layout by the hash of what it was made by: nothing is asked of the network when it is there.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, open, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { sleep, systemClock } from '#base/clock.ts';
import { hostArchitecture, imageArchive, makeImage, makeLayer, type Descriptor, type Layer, type OciImage } from '#cluster/runtime/oci-image.ts';
import type { TarEntry } from '#cluster/runtime/tar.ts';
import { AptSuite, type Package } from './apt.ts';
import { DROPPED, RECIPES, type LayerRecipe, type Recipe } from './recipes.ts';
import { checkLibraries, entriesOf, merged, unpack } from './rootfs.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const SOURCES = ['test/images/recipes.ts', 'test/images/rootfs.ts', 'test/images/build.ts', 'src/cluster/runtime/oci-image.ts', 'src/cluster/runtime/tar.ts', 'src/cluster/runtime/pause-image.ts'];
const LOCK_WAIT_MS = 200;

export interface ImageStore {
  /** The images that are built, by their complete names. */
  readonly images: ReadonlyMap<string, OciImage>;
  /** Writes an archive with some of them, for `podyard image load` or `ctr images import`. */
  writeArchive(path: string, names: readonly string[]): Promise<void>;
}

/** Builds what is missing. `names` limits it: a test that needs busybox need not wait for nginx. */
export async function buildImages(options: { readonly cacheDir?: string; readonly names?: readonly string[] } = {}): Promise<ImageStore> {
  const cacheDir = options.cacheDir ?? `${root}/.cache/images`;
  const all = RECIPES.flatMap((r) => r.names);
  const wanted = options.names ?? all;
  const unknown = wanted.find((name) => !all.includes(name));
  if (unknown !== undefined) throw new Error(`building images: "${unknown}" is none of ${all.join(', ')}`);
  const dir = `${cacheDir}/${await recipeHash()}`;
  if (!hasAll(await readIndex(dir), wanted)) await locked(cacheDir, () => buildMissing(cacheDir, dir, wanted));
  const index = await readIndex(dir);
  const images = new Map(await Promise.all(wanted.map(async (name) => [name, await readImage(dir, index[name]!)] as const)));
  return {
    images,
    writeArchive: async (path, names) => writeFile(path, imageArchive(new Map(names.map((name) => [name, images.get(name) ?? fail(`"${name}" was not built`)])))),
  };
}

type Index = Readonly<Record<string, Descriptor>>;

function fail(what: string): never {
  throw new Error(`building images: ${what}`);
}
function hasAll(index: Index, names: readonly string[]): boolean {
  return names.every((name) => index[name]);
}
async function readIndex(dir: string): Promise<Index> {
  return JSON.parse(await readFile(`${dir}/images.json`, 'utf8').catch(() => '{}')) as Index;
}
async function recipeHash(): Promise<string> {
  const hash = createHash('sha256').update(process.arch);
  for (const source of SOURCES) hash.update(await readFile(`${root}/${source}`));
  return hash.digest('hex').slice(0, 16);
}

const blobPath = (dir: string, digest: string) => `${dir}/blobs/sha256/${digest.slice('sha256:'.length)}`;

async function readImage(dir: string, manifest: Descriptor): Promise<OciImage> {
  const text = await readFile(blobPath(dir, manifest.digest));
  const { config, layers } = JSON.parse(text.toString()) as { config: Descriptor; layers: Descriptor[] };
  const blobs = await Promise.all([config, ...layers].map(async ({ digest }) => [digest, await readFile(blobPath(dir, digest))] as const));
  return { manifest, config, blobs: new Map([[manifest.digest, text], ...blobs]) };
}

async function buildMissing(cacheDir: string, dir: string, wanted: readonly string[]): Promise<void> {
  let index = await readIndex(dir);
  await mkdir(`${dir}/blobs/sha256`, { recursive: true });
  const work = await mkdtemp(`${cacheDir}/work-`);
  try {
    const builder = new Builder(cacheDir, work);
    for (const recipe of RECIPES.filter((r) => r.names.some((name) => wanted.includes(name) && !index[name]))) {
      const image = await builder.build(recipe);
      for (const [digest, blob] of image.blobs) await writeFile(blobPath(dir, digest), blob);
      index = { ...index, ...Object.fromEntries(recipe.names.map((name) => [name, image.manifest])) };
      await writeFile(`${dir}/images.json.new`, JSON.stringify(index, undefined, 2));
      await rename(`${dir}/images.json.new`, `${dir}/images.json`);
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
  for (const name of await readdir(cacheDir)) if (/^[0-9a-f]{16}$/.test(name) && `${cacheDir}/${name}` !== dir) await rm(`${cacheDir}/${name}`, { recursive: true });
}

interface BuiltLayer {
  readonly layer: Layer;
  readonly entries: readonly TarEntry[];
}

class Builder {
  readonly #suites = new Map<string, AptSuite>();
  readonly #layers = new Map<string, BuiltLayer>();
  readonly #cacheDir: string;
  readonly #work: string;

  constructor(cacheDir: string, work: string) {
    this.#cacheDir = cacheDir;
    this.#work = work;
  }

  async build(recipe: Recipe): Promise<OciImage> {
    const layers: BuiltLayer[] = [];
    const have = new Set<string>();
    let packages: Package[] = [];
    for (const layer of recipe.layers) {
      const closure = layer.packages.length === 0 ? [] : await this.#suite(recipe.suite).download(layer.packages);
      const own = closure.filter((p) => !have.has(p.name) && !DROPPED.test(p.name));
      for (const p of own) have.add(p.name);
      packages = [...packages, ...own];
      layers.push(await this.#layer(recipe.suite, layer, own));
    }
    checkLibraries(merged(...layers.map((l) => l.entries)), recipe.programs);
    const version = 'text' in recipe.version ? recipe.version.text : upstreamVersion(packages, recipe.version.package);
    const labels = { 'org.opencontainers.image.version': version, 'org.opencontainers.image.description': `A stand-in for tests, made from Debian ${recipe.suite} packages`, 'org.opencontainers.image.base.name': `debian:${recipe.suite}` };
    return makeImage({ layers: layers.map((l) => l.layer), config: { ...recipe.config, Labels: labels }, architecture: hostArchitecture() });
  }

  #suite(name: string): AptSuite {
    const suite = this.#suites.get(name) ?? new AptSuite(name, `${this.#cacheDir}/apt`, hostArchitecture());
    this.#suites.set(name, suite);
    return suite;
  }

  /** The same packages make the same layer, which images then share. */
  async #layer(suite: string, recipe: LayerRecipe, packages: readonly Package[]): Promise<BuiltLayer> {
    const key = `${suite} ${packages.map((p) => `${p.name}=${p.version}`).join(' ')} ${RECIPES.flatMap((r) => r.layers).indexOf(recipe)}`;
    const known = this.#layers.get(key);
    if (known) return known;
    const dir = `${this.#work}/${this.#layers.size}`;
    await unpack(packages, dir);
    const unpacked = (await entriesOf(dir)).filter((e) => !/^(s?bin|lib(64)?)$/.test(e.name) || recipe.packages.includes('bash'));
    const made = recipe.files?.(unpacked) ?? [];
    const taken = packages.length === 0 || recipe.only ? [] : unpacked;
    const applets = recipe.only ? await busyboxApplets(`${dir}/usr/bin/busybox`) : [];
    const entries = merged(taken, made, applets);
    // Hard links must come after what they name.
    const sorted = [...entries.filter((e) => e.type !== 'hardlink'), ...entries.filter((e) => e.type === 'hardlink')];
    const built = { layer: makeLayer(sorted), entries: sorted };
    this.#layers.set(key, built);
    return built;
  }
}

async function busyboxApplets(program: string): Promise<TarEntry[]> {
  const { stdout } = await promisify(execFile)(program, ['--list-full']);
  const names = stdout.trim().split('\n').filter((name) => !name.endsWith('/busybox'));
  return names.map((name) => ({ name, type: 'hardlink', mode: 0o755, link: 'bin/busybox' }));
}

/** `1:1.37.0-6+b3` → `1.37.0`. */
function upstreamVersion(packages: readonly Package[], name: string): string {
  const version = packages.find((p) => p.name === name)?.version ?? fail(`package "${name}" is in no layer`);
  return version.replace(/^\d+:/, '').replace(/[-+].*$/, '');
}

/** One builder at a time: test files may run beside each other. A lock whose process is gone does not count. */
async function locked<T>(cacheDir: string, work: () => Promise<T>): Promise<T> {
  await mkdir(cacheDir, { recursive: true });
  const path = `${cacheDir}/lock`;
  for (;;) {
    try {
      const lock = await open(path, 'wx');
      await lock.writeFile(String(process.pid));
      await lock.close();
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      const holder = Number(await readFile(path, 'utf8').catch(() => '0'));
      if (holder > 0 && !(await readdir(`/proc/${holder}`).catch(() => undefined))) await rm(path, { force: true });
      else await sleep(systemClock, LOCK_WAIT_MS);
    }
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const started = performance.now();
  const { images } = await buildImages();
  for (const [name, image] of images) {
    const { config } = JSON.parse(image.blobs.get(image.config.digest)!.toString()) as { config: { Labels: Record<string, string> } };
    const bytes = [...image.blobs.values()].reduce((sum, blob) => sum + blob.length, 0);
    console.log(`${name}  ${config.Labels['org.opencontainers.image.version']}  ${(bytes / 1e6).toFixed(1)} MB  ${image.manifest.digest.slice(0, 19)}`);
  }
  console.log(`${images.size} images in ${((performance.now() - started) / 1000).toFixed(1)} s`);
}
