/** PEM text as Go's `encoding/pem` reads and writes it (RFC 7468, with the headers of RFC 1421). */

export interface PemBlock {
  /** `CERTIFICATE` */
  readonly type: string;
  /** Whether there are headers (`Proc-Type: …`) between its first line and its bytes. */
  readonly hasHeaders: boolean;
  readonly bytes: Buffer;
}
const BLOCK = /^-----BEGIN ([^\n]*?)-----[ \t]*\r?\n((?:[^\n:]+:[^\n]*\r?\n)*)([A-Za-z0-9+/=\s]*?)^-----END \1-----[ \t]*\r?$/gm;
const LINE = 64;

/** Every block of a text, in order; what stands between them, and blocks that are malformed, are passed over. */
export function pemBlocks(text: string): PemBlock[] {
  return Array.from(text.matchAll(BLOCK), ([, type, headers, body]) => ({ type: type!, hasHeaders: headers !== '', bytes: Buffer.from(body!, 'base64') }));
}
export function pemText(type: string, bytes: Uint8Array): string {
  const body = Buffer.from(bytes).toString('base64').match(new RegExp(`.{1,${LINE}}`, 'g')) ?? [];
  return [`-----BEGIN ${type}-----`, ...body, `-----END ${type}-----`, ''].join('\n');
}
