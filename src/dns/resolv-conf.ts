/** The host's resolvers. Source: resolv.conf(5). */
import { readFile, stat } from 'node:fs/promises';
import { isIP } from 'node:net';

export interface ResolvConf {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
}
const MAX_NAMESERVERS = 3;

export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  let search: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.replace(/[#;].*/, '').trim().split(/\s+/);
    if (keyword === 'nameserver' && values[0] !== undefined && isIP(values[0].split('%')[0]!)) nameservers.push(values[0]);
    // The last one counts.
    if (keyword === 'search' || keyword === 'domain') search = values.map((v) => v.toLowerCase().replace(/\.$/, '')).filter((v) => v !== '');
  }
  return { nameservers: nameservers.slice(0, MAX_NAMESERVERS), search };
}

/** The file as it is now: read again when it has changed, asked at most once in `everyMs`. */
export class ResolvConfFile {
  readonly #path: string;
  readonly #now: () => number;
  readonly #everyMs: number;
  #state: ResolvConf = { nameservers: [], search: [] };
  #changed = '';
  #asked = -Infinity;

  constructor(path: string, now: () => number, everyMs = 5_000) {
    this.#path = path;
    this.#now = now;
    this.#everyMs = everyMs;
  }
  async current(): Promise<ResolvConf> {
    if (this.#now() - this.#asked < this.#everyMs) return this.#state;
    this.#asked = this.#now();
    // Without the file there are no resolvers: names outside of the cluster do not resolve.
    const stats = await stat(this.#path).catch(() => undefined);
    const changed = stats ? `${stats.ino} ${stats.mtimeMs} ${stats.size}` : '';
    if (changed !== this.#changed) {
      this.#changed = changed;
      this.#state = parseResolvConf(await readFile(this.#path, 'utf8').catch(() => ''));
    }
    return this.#state;
  }
}
