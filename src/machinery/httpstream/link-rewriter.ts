/**
 * Links of pages that are seen through a proxy: `/style.css` of a Pod's page is `…/pods/web/proxy/style.css` for who asked the API server.
 * Upstream's counterpart: apimachinery `util/proxy`'s Transport.
 */
import { posix } from 'node:path';

export interface LinkOrigin {
  /** Path under which the proxy shows the target's `/`: `/api/v1/namespaces/default/pods/web/proxy`. */
  readonly prefix: string;
  /** Host and port of the target, and those that the client asked for: links to either are the target's own. */
  readonly hosts: readonly string[];
}

const URL_PARTS = /^([a-z][a-z0-9+.-]*:)?(?:\/\/([^/?#]*))?([^?#]*)(.*)$/is;

/** A link as the client must follow it. Relative ones, those to other hosts and what is no URL stay as they are. */
export function rewriteLink(link: string, { prefix, hosts }: LinkOrigin): string {
  const [, scheme = '', host = '', path = '', rest = ''] = URL_PARTS.exec(link) ?? [];
  if (!path.startsWith('/') || (scheme !== '' && host === '') || (host !== '' && !hosts.includes(host)) || /%(?![0-9a-f]{2})/i.test(path)) return link;
  const own = host === '' || host !== hosts.at(-1) ? '' : `${scheme}//${host}`;
  return `${own}${path.startsWith(prefix) ? path : posix.join(prefix, path)}${rest}`;
}

/** Attributes that hold URLs (HTML 4 and 5), by element. */
const LINKS: Readonly<Record<string, readonly string[]>> = {
  a: ['href'], applet: ['codebase'], area: ['href'], audio: ['src'], base: ['href'], blockquote: ['cite'], body: ['background'], button: ['formaction'], command: ['icon'], del: ['cite'],
  embed: ['src'], form: ['action'], frame: ['longdesc', 'src'], head: ['profile'], html: ['manifest'], iframe: ['longdesc', 'src'], img: ['longdesc', 'src', 'usemap'],
  input: ['src', 'usemap', 'formaction'], ins: ['cite'], link: ['href'], object: ['classid', 'codebase', 'data', 'usemap'], q: ['cite'], script: ['src'], source: ['src'], video: ['poster', 'src'],
};
/** Elements whose content is text up to their end tag, whatever it looks like. */
const RAW_TEXT: ReadonlySet<string> = new Set(['iframe', 'noembed', 'noframes', 'noscript', 'script', 'style', 'textarea', 'title', 'xmp']);
/** A tag that is longer is passed on as it is. */
const MAX_TAG = 64 * 1024;
const TAG = /^<([a-z][^\s/>]*)(?:"[^"]*"|'[^']*'|[^"'>])*>/i;
const ATTRIBUTE = /([^\s"'<>/=]+)(\s*=\s*)(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+))/g;

/** Rewrites the links of one HTML document, fed in pieces. All but the links comes out byte for byte; what is held back is bounded. */
export class HtmlLinkRewriter {
  readonly #origin: LinkOrigin;
  /** One character for each byte. */
  #pending = '';
  /** What ends the comment or the raw text that the document is in. */
  #until: RegExp | undefined;

  constructor(origin: LinkOrigin) {
    this.#origin = origin;
  }
  feed(bytes: Uint8Array): Buffer {
    this.#pending += Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
    let out = '';
    for (let piece = this.#next(); piece !== undefined; piece = this.#next()) out += piece;
    return Buffer.from(out, 'latin1');
  }
  /** What was held back. */
  end(): Buffer {
    const rest = this.#pending;
    this.#pending = '';
    return Buffer.from(rest, 'latin1');
  }

  /** The next piece that is settled; undefined: more is needed. */
  #next(): string | undefined {
    if (this.#pending === '') return undefined;
    return this.#until ? this.#rawText(this.#until) : this.#markup();
  }
  #rawText(until: RegExp): string | undefined {
    const at = this.#pending.search(until);
    if (at < 0) return this.#pending.length > 2 * MAX_END ? this.#take(this.#pending.length - MAX_END) : undefined;
    this.#until = undefined;
    return this.#take(at + 1);
  }
  #markup(): string | undefined {
    const at = this.#pending.indexOf('<');
    if (at !== 0) return this.#take(at < 0 ? this.#pending.length : at);
    if (this.#pending.startsWith('<!--')) {
      this.#until = /-->/;
      return this.#take(4);
    }
    if (this.#pending.length < 4 && '<!--'.startsWith(this.#pending)) return undefined;
    if (!/^<[a-z]/i.test(this.#pending)) return this.#take(1);
    const tag = TAG.exec(this.#pending);
    if (!tag) return this.#pending.length > MAX_TAG ? this.#take(1) : undefined;
    const name = tag[1]!.toLowerCase();
    if (RAW_TEXT.has(name)) this.#until = new RegExp(`</${name}[\\s/>]`, 'i');
    return this.#rewriteTag(this.#take(tag[0].length), name);
  }
  #rewriteTag(tag: string, name: string): string {
    const wanted = LINKS[name];
    if (!wanted) return tag;
    const start = name.length + 1;
    const attributes = tag.slice(start).replaceAll(ATTRIBUTE, (whole: string, key: string, equals: string, double?: string, single?: string, bare?: string) => {
      if (!wanted.includes(key.toLowerCase())) return whole;
      const quote = double !== undefined ? '"' : single !== undefined ? "'" : '';
      return `${key}${equals}${quote}${rewriteLink(double ?? single ?? bare ?? '', this.#origin)}${quote}`;
    });
    return tag.slice(0, start) + attributes;
  }
  #take(length: number): string {
    const piece = this.#pending.slice(0, length);
    this.#pending = this.#pending.slice(length);
    return piece;
  }
}
/** Longest text that ends raw text: of it, a part may be in the next piece. */
const MAX_END = 16;
