/** From unpacked Debian packages to the entries of an image layer. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, readlink, lstat, symlink } from 'node:fs/promises';
import { posix } from 'node:path';
import type { TarEntry } from '#cluster/runtime/tar.ts';
import type { Package } from './apt.ts';

/** Where a merged `/usr` has moved. */
const MERGED = ['bin', 'sbin', 'lib', 'lib64'];
/** What no container needs. */
const EXCLUDED = ['usr/share/doc', 'usr/share/man', 'usr/share/info', 'usr/share/locale', 'usr/share/lintian', 'usr/share/bash-completion', 'usr/share/bug', 'usr/lib/*/gconv', 'usr/lib/systemd', 'usr/lib/udev', 'var/cache'];

/** Unpacks packages into a new directory. Their maintainer scripts are not run. */
export async function unpack(packages: readonly Package[], dir: string): Promise<void> {
  await mkdir(`${dir}/usr`, { recursive: true });
  for (const name of MERGED) {
    await mkdir(`${dir}/usr/${name}`);
    await symlink(`usr/${name}`, `${dir}/${name}`);
  }
  for (const { path } of packages) {
    const source = spawn('dpkg-deb', ['--fsys-tarfile', path], { stdio: ['ignore', 'pipe', 'inherit'] });
    const sink = spawn('tar', ['--extract', '--numeric-owner', '--preserve-permissions', '--keep-directory-symlink', ...EXCLUDED.map((p) => `--exclude=./${p}`), '--directory', dir], { stdio: ['pipe', 'inherit', 'inherit'] });
    source.stdout.pipe(sink.stdin);
    const [[from], [to]] = await Promise.all([once(source, 'close'), once(sink, 'close')]);
    if (from !== 0 || to !== 0) throw new Error(`unpacking ${path}: dpkg-deb ended with ${from}, tar with ${to}`);
  }
}

/** The whole tree, sorted, without times: the same packages give the same layer. */
export async function entriesOf(dir: string): Promise<TarEntry[]> {
  const entries: TarEntry[] = [];
  const inodes = new Map<number, string>();
  const walk = async (at: string): Promise<void> => {
    for (const name of (await readdir(`${dir}/${at}`)).toSorted()) {
      const path = at === '' ? name : `${at}/${name}`;
      const stat = await lstat(`${dir}/${path}`);
      const base = { name: path, mode: stat.mode & 0o7777, uid: stat.uid, gid: stat.gid };
      if (stat.isDirectory()) {
        entries.push({ ...base, type: 'directory' });
        await walk(path);
      } else if (stat.isSymbolicLink()) entries.push({ ...base, type: 'symlink', link: await readlink(`${dir}/${path}`) });
      else if (stat.isFile()) {
        const first = stat.nlink > 1 ? inodes.get(stat.ino) : undefined;
        if (first !== undefined) entries.push({ ...base, type: 'hardlink', link: first });
        else {
          inodes.set(stat.ino, path);
          entries.push({ ...base, type: 'file', data: await readFile(`${dir}/${path}`) });
        }
      }
    }
  };
  await walk('');
  return entries;
}

/** Entries by name; of two with one name the later stays. */
export function merged(...groups: readonly (readonly TarEntry[])[]): TarEntry[] {
  const byName = new Map<string, TarEntry>();
  for (const entry of groups.flat()) {
    byName.delete(entry.name);
    byName.set(entry.name, entry);
  }
  // A directory must come before what is in it.
  return [...byName.values()].toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** Throws when a program, or a library that it needs, needs a library that is not in the image. */
export function checkLibraries(entries: readonly TarEntry[], programs: readonly string[]): void {
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  const resolve = (name: string): TarEntry | undefined => {
    for (let at = name, hops = 0; hops < 8; hops++) {
      const entry = byName.get(at) ?? byName.get(at.replace(/^(s?bin|lib(64)?)\//, 'usr/$&'));
      if (entry?.type !== 'symlink' && entry?.type !== 'hardlink') return entry;
      const link = entry.link ?? '';
      at = entry.type === 'hardlink' ? link : link.startsWith('/') ? link.slice(1) : posix.join(posix.dirname(entry.name), link);
    }
    return undefined;
  };
  const libraries = new Map(entries.filter((e) => /^usr\/lib(64)?\/([^/]+\/)?[^/]+\.so[^/]*$/.test(e.name)).map((e) => [posix.basename(e.name), e.name]));
  const seen = new Set<string>();
  const visit = (name: string, from: string): void => {
    if (seen.has(name)) return;
    seen.add(name);
    const data = resolve(name)?.data;
    if (!data) throw new Error(`checking an image: "${name}", which "${from}" needs, is not in it`);
    for (const needed of neededLibraries(Buffer.from(data))) visit(libraries.get(needed) ?? needed, name);
  };
  for (const program of programs) visit(program, 'the image');
}

/** The `DT_NEEDED` names of a 64-bit little-endian ELF file; none for anything else. */
export function neededLibraries(elf: Buffer): string[] {
  if (elf.length < 64 || elf.readUInt32BE(0) !== 0x7f454c46 || elf[4] !== 2) return [];
  const headers = Array.from({ length: elf.readUInt16LE(56) }, (_, i) => {
    const at = Number(elf.readBigUInt64LE(32)) + i * elf.readUInt16LE(54);
    const long = (offset: number) => Number(elf.readBigUInt64LE(at + offset));
    return { type: elf.readUInt32LE(at), offset: long(8), address: long(16), size: long(32) };
  });
  const dynamic = headers.find((h) => h.type === 2);
  if (!dynamic) return [];
  const tags: [tag: number, value: number][] = [];
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) tags.push([Number(elf.readBigInt64LE(at)), Number(elf.readBigUInt64LE(at + 8))]);
  const address = tags.find(([tag]) => tag === 5)?.[1] ?? 0;
  const segment = headers.find((h) => h.type === 1 && address >= h.address && address < h.address + h.size);
  if (!segment) return [];
  const strings = address - segment.address + segment.offset;
  return tags.filter(([tag]) => tag === 1).map(([, value]) => elf.toString('latin1', strings + value, elf.indexOf(0, strings + value)));
}
