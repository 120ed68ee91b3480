/** Writing tar archives (POSIX ustar, with pax headers for what does not fit): reproducible, entries in the order given. */

export interface TarEntry {
  /** Without a leading slash; directories may end in one. */
  readonly name: string;
  readonly type?: 'file' | 'directory' | 'symlink' | 'hardlink';
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Seconds since the epoch; 0 unless told. */
  readonly mtime?: number;
  readonly data?: Uint8Array;
  /** Target of a link. */
  readonly link?: string;
}

const BLOCK = 512;
const FLAGS = { file: '0', hardlink: '1', symlink: '2', directory: '5' } as const;
const PAX = 'x';

export function tar(entries: Iterable<TarEntry>): Buffer {
  const out: Uint8Array[] = [];
  for (const entry of entries) {
    const type = entry.type ?? 'file';
    const name = type === 'directory' && !entry.name.endsWith('/') ? `${entry.name}/` : entry.name;
    const place = splitName(name);
    const link = entry.link ?? '';
    const pax = [...(place ? [] : [paxRecord('path', name)]), ...(Buffer.byteLength(link) > 100 ? [paxRecord('linkpath', link)] : [])].join('');
    if (pax) out.push(header({ name: 'pax', prefix: '', flag: PAX, mode: 0o644, size: Buffer.byteLength(pax), link: '' }), ...padded(Buffer.from(pax)));
    const data = type === 'file' ? (entry.data ?? new Uint8Array()) : new Uint8Array();
    const { name: short, prefix } = place ?? { name: name.slice(-100), prefix: '' };
    const mode = entry.mode ?? (type === 'directory' ? 0o755 : type === 'symlink' ? 0o777 : 0o644);
    out.push(header({ name: short, prefix, flag: FLAGS[type], mode, size: data.length, link: link.slice(0, 100), entry }), ...padded(data));
  }
  out.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(out);
}

/** ustar keeps 100 bytes of name and, before a slash, 155 of prefix. Undefined when the name does not fit. */
function splitName(name: string): { name: string; prefix: string } | undefined {
  if (Buffer.byteLength(name) <= 100) return { name, prefix: '' };
  for (let at = name.indexOf('/'); at > 0; at = name.indexOf('/', at + 1)) {
    const [prefix, rest] = [name.slice(0, at), name.slice(at + 1)];
    if (Buffer.byteLength(prefix) <= 155 && rest !== '' && Buffer.byteLength(rest) <= 100) return { name: rest, prefix };
  }
  return undefined;
}

/** `<length> <key>=<value>\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + String(rest).length;
  if (rest + String(length).length !== length) length = rest + String(length).length;
  return `${length} ${key}=${value}\n`;
}

function header(h: { name: string; prefix: string; flag: string; mode: number; size: number; link: string; entry?: TarEntry }): Buffer {
  const block = Buffer.alloc(BLOCK);
  const octal = (value: number, offset: number, length: number) => void block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, 'latin1');
  block.write(h.name, 0, 100);
  octal(h.mode & 0o7777, 100, 8);
  octal(h.entry?.uid ?? 0, 108, 8);
  octal(h.entry?.gid ?? 0, 116, 8);
  octal(h.size, 124, 12);
  octal(h.entry?.mtime ?? 0, 136, 12);
  block.write('        ', 148);
  block.write(h.flag, 156);
  block.write(h.link, 157, 100);
  block.write('ustar\x0000', 257, 'latin1');
  block.write(h.prefix, 345, 155);
  const sum = block.reduce((a, b) => a + b, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function padded(data: Uint8Array): Uint8Array[] {
  const rest = data.length % BLOCK;
  return rest === 0 ? [data] : [data, Buffer.alloc(BLOCK - rest)];
}
